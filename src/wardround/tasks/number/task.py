"""A number on a public scale: its middle and the two ends of a range that is to hold so many of 100 true ones."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary.score_sums import ONE
from wardround.tasks.intervals import UNDEFINED, wilson
from wardround.tasks.number.label import BLANK
from wardround.tasks.number.scale import REACH, Scale, columns_of
from wardround.tasks.number.words import words_of
from wardround.tasks.protocol import REPLICATES, Chart, DecisionTable, Figures, FigureTable, Floats, PairedDifference, Words
from wardround.tasks.shared.errors import (
    MOST_ADDED,
    SHAPES,
    check_errors,
    error_figures,
    errors_of,
    errors_table,
    paired_errors,
    paired_roots,
    residual_chart,
    root_of,
    said_chart,
    whole,
)
from wardround.tasks.shared.outputs import usable
from wardround.tasks.sums import Sums, impossible, packed, unpacked
from wardround.values.head_outputs import Ordered
from wardround.values.tree import Shapes

if TYPE_CHECKING:
    import torch

FEWEST = 10
GROUPS = 5
"""Parts of the scale by which a data set is divided into hospitals."""


NUMBER_SHAPES: Shapes = {**SHAPES, "scaled": (3,), "range": (2,)}
"""scaled: sums of the error on the scale, in parts of it: without sign, squared, to the fourth. range: records within the range
that was given, and the sum of its widths."""
NUMBER_MOST_ADDED: Mapping[str, int] = {**MOST_ADDED, "scaled": 3 * ONE, "range": ONE + 1}


class NumberTask:
    """See `wardround.tasks.protocol.Task`."""

    bigger_is_better = False
    shapes = NUMBER_SHAPES
    most_added = NUMBER_MOST_ADDED

    def __init__(self, label: LabelContract) -> None:
        self.asked, self.scale = label.asked, Scale.of(label)
        self._columns = list(columns_of(label.asked))

    @property
    def outputs(self) -> int:
        return Ordered(3) if self.asked.spread == "constant" else 3

    @property
    def headline(self) -> str:
        return "rmse_log" if self.scale.logarithmic else "rmse"

    @cached_property
    def words(self) -> Words:
        return words_of(self.asked)

    def count_labels(self, labels: NDArray[Any]) -> dict[str, int]:
        return {"known": int(np.isfinite(labels).sum())}

    def strata(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """By fifths of the scale; blank ones last."""
        part = np.nan_to_num(self.scale.part(np.asarray(labels, np.float64)), nan=2.0)
        return np.where(part > 1.0, GROUPS, np.minimum((part * GROUPS).astype(np.intp), GROUPS - 1)).astype(np.intp)

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """(n, 2): the aim, and whether it is known."""
        known_rows = np.isfinite(labels)
        aims = np.where(known_rows, self.scale.aim(np.where(known_rows, labels, self.scale.bounds.low).astype(np.float64)), 0.0)
        return np.stack([aims, known_rows], axis=1).astype(np.float32)

    def drawn(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        labels = rng.uniform(self.scale.bounds.low, self.scale.bounds.high, n)
        return np.where(rng.random(n) < 0.1, BLANK, labels).astype(np.float32)

    def row_loss(
        self, training: TrainingSection, labels: NDArray[Any] | None
    ) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
        from wardround.tasks.number.loss import row_loss

        return row_loss(self.asked)

    def shown(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """The number, and the range around it; all within the public range."""
        import torch

        # The ends hold the middle, also where a young model has them crossed.
        three = torch.stack([outputs[:, self._columns[0]], outputs.amin(1), outputs.amax(1)], dim=1)
        part = (three / (2.0 * REACH) + 0.5).clamp(0.0, 1.0)
        width = self.scale.width
        return self.scale.bounds.low + ((part * width).exp() - 1.0 if self.scale.logarithmic else part * width)

    def answers(self, file_outputs: Floats, decision: Decision) -> Mapping[str, NDArray[Any]]:
        return {"value": file_outputs[:, 0], "low": file_outputs[:, 1], "high": file_outputs[:, 2]}

    def said(self, labels: NDArray[Any]) -> list[Any]:
        return [None if math.isnan(label) else label for label in np.asarray(labels, np.float64).tolist()]

    def losses(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
        """Squared error of the middle answer, on the scale and in parts of a quarter of it; 0 of a blank."""
        known_rows = np.isfinite(labels)
        aims = self.targets(labels).astype(np.float64)[:, 0]
        return np.where(known_rows, np.square(usable(outputs)[:, self._columns[0]] - aims), 0.0)

    def votes(self, labels: NDArray[Any]) -> Floats:
        """The aim, and whether it is known."""
        return self.targets(labels).astype(np.float64)

    def with_votes(self, outputs: NDArray[Any], votes: Floats, voters: Floats, share: float) -> Floats:
        """The middle moves towards what those with an answer say, and the ends with it."""
        numbers = usable(outputs)
        told, middle = votes[:, 1] > 0, numbers[:, self._columns[0]]
        aim = np.where(told, votes[:, 0] / np.where(told, votes[:, 1], 1.0), middle)
        return numbers + (share * (aim - middle))[:, None]

    def with_votes_in_torch(
        self, outputs: "torch.Tensor", votes: "torch.Tensor", voters: "torch.Tensor", share: float
    ) -> "torch.Tensor":
        told = (votes[:, 1] > 0).to(outputs.dtype)
        aim = votes[:, 0] / (votes[:, 1] + (1.0 - told))
        move = told * share * (aim - outputs[:, self._columns[0]])
        return outputs + move.unsqueeze(1)

    def sums(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
        known_rows = np.isfinite(labels)
        numbers = usable(np.asarray(outputs).reshape(len(labels), self.outputs))[known_rows]
        truth = np.asarray(labels, np.float64)[known_rows]
        bounds = self.scale.bounds
        middle, low, high = (
            self.scale.number(each) for each in (numbers[:, self._columns[0]], numbers.min(axis=1), numbers.max(axis=1))
        )
        off = np.abs(self.scale.part(middle) - self.scale.part(truth))
        inside = (low <= truth + 1e-6 * bounds.width) & (truth <= high + 1e-6 * bounds.width)
        return Sums(
            {
                **errors_of(bounds.part(middle), bounds.part(truth)),
                "scaled": np.array([whole(off).sum(), whole(np.square(off)).sum(), whole(off**4).sum()]),
                "range": np.array([int(inside.sum()), whole((high - low) / bounds.width).sum()]),
            }
        )

    def check(self, sums: Sums) -> None:
        check_errors(sums)
        n = int(sums["n"])
        if (sums["scaled"] > n * ONE).any() or sums["range"][0] > n or sums["range"][1] > n * ONE:
            raise impossible("errors and ranges within the public range", "larger ones")

    def records(self, sums: Sums) -> int:
        return int(sums["n"])

    def pack(self, sums: Sums) -> dict[str, Any]:
        return packed(sums)

    def unpack(self, value: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
        return unpacked(value, self.shapes)

    def score(self, sums: Sums) -> float:
        powers = sums["scaled"] if self.scale.logarithmic else sums["powers"]
        return root_of(int(powers[1]), int(powers[2]), self.records(sums), self._unit)[0]

    @property
    def _unit(self) -> float:
        """Of the headline: the width of the scale, or of the range."""
        return self.scale.width if self.scale.logarithmic else self.scale.bounds.width

    def decide(self, rule: str, sums: Mapping[str, Sums]) -> Decision:
        """A number is no decision."""
        return None

    def figures(self, sums: Sums, decision: Decision, *, replicates: int = REPLICATES) -> Figures:
        n = self.records(sums)
        estimates = error_figures(sums, self.scale.bounds.width)
        if self.scale.logarithmic:
            _, squares, fourth = (int(one) for one in sums["scaled"])
            estimates = {"rmse_log": root_of(squares, fourth, n, self.scale.width), **estimates}
        inside, widths = int(sums["range"][0]), float(sums["range"][1])
        estimates["coverage"] = (inside / n if n else math.nan, wilson(inside, n))
        estimates["width"] = (widths / ONE / n * self.scale.bounds.width if n else math.nan, UNDEFINED)
        values = {name: value for name, (value, _) in estimates.items()}
        intervals = {name: ends for name, (_, ends) in estimates.items() if name != "width"}
        return Figures({**values, "n": float(n), "known": float(n)}, intervals)

    def charts(self, sums: Mapping[str, Sums]) -> tuple[Chart, ...]:
        first, unit = next(iter(sums), None), f", {self.asked.unit}" if self.asked.unit else ""
        drawn = (
            residual_chart(dict(sums), self.scale.bounds, unit),
            None if first is None else said_chart(first, sums[first], self.scale.bounds, unit),
        )
        return tuple(chart for chart in drawn if chart is not None)

    def decision_table(self, sums: Sums, decision: Decision) -> DecisionTable | None:
        return None

    def worth(self, models: Mapping[str, tuple[Sums, Decision]]) -> tuple[FigureTable, ...]:
        return errors_table({name: sums for name, (sums, _) in models.items()}, self.scale.bounds.width, self.asked.unit)

    def few(self, sums: Sums) -> bool:
        return self.records(sums) < FEWEST

    def paired(
        self, outputs: tuple[NDArray[Any], NDArray[Any]], labels: NDArray[Any], decisions: tuple[Decision, Decision]
    ) -> dict[str, PairedDifference]:
        known_rows = np.isfinite(labels)
        truth = np.asarray(labels, np.float64)[known_rows]
        said = [self.scale.number(usable(each)[known_rows, self._columns[0]]) for each in outputs]
        part = self.scale.part if self.scale.logarithmic else self.scale.bounds.part
        first, second = (part(each) - part(truth) for each in said)
        off = [np.abs(self.scale.bounds.part(each) - self.scale.bounds.part(truth)) for each in said]
        return {
            self.headline: paired_roots(first, second, self._unit),
            "mae": paired_errors(off[0], off[1], self.scale.bounds.width),
        }
