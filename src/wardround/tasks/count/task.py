"""How many: one number for a record, the logarithm of a rate, and a Poisson law around it."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary.score_sums import LOSS_CAP, ONE
from wardround.tasks.count.rate import LEAST, deviance, middle_of, output_of, rate_of, with_votes
from wardround.tasks.count.words import words_of
from wardround.tasks.protocol import REPLICATES, Chart, DecisionTable, Figures, FigureTable, Floats, PairedDifference, Words
from wardround.tasks.shared.errors import (
    MOST_ADDED,
    SHAPES,
    Range,
    check_errors,
    error_figures,
    errors_of,
    errors_table,
    mean_of,
    paired_by_record,
    paired_errors,
    residual_chart,
    said_chart,
    whole,
)
from wardround.tasks.shared.outputs import usable
from wardround.tasks.sums import Sums, impossible, packed, unpacked
from wardround.values.tree import Shapes

if TYPE_CHECKING:
    import torch

FEWEST = 10
GROUPS = 5
COUNT_SHAPES: Shapes = {**SHAPES, "deviance": (2,)}
"""deviance: the sums of half the deviance, capped at 16, and of its square."""
COUNT_MOST_ADDED: Mapping[str, int] = {**MOST_ADDED, "deviance": round((LOSS_CAP + LOSS_CAP**2) * ONE)}


class CountTask:
    """See `wardround.tasks.protocol.Task`."""

    outputs = 1
    headline = "deviance"
    bigger_is_better = False
    shapes = COUNT_SHAPES
    most_added = COUNT_MOST_ADDED

    def __init__(self, label: LabelContract) -> None:
        self.asked = label.asked
        self.bounds = Range(*(label.asked.range or (0.0, 1.0)))

    @cached_property
    def words(self) -> Words:
        return words_of(self.asked.unit)

    def count_labels(self, labels: NDArray[Any]) -> dict[str, int]:
        return {"known": int(np.isfinite(labels).sum())}

    def strata(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """By the logarithm of the count; blank ones last."""
        known_rows = np.isfinite(labels)
        part = np.log1p(np.where(known_rows, labels, 0.0)) / math.log1p(self.bounds.high)
        return np.where(known_rows, np.minimum((part * GROUPS).astype(np.intp), GROUPS - 1), GROUPS).astype(np.intp)

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """(n, 3): the count, y log(y) - y, and whether it is known."""
        known_rows = np.isfinite(labels)
        count = np.where(known_rows, labels, 0.0).astype(np.float64)
        own = np.where(count > 0, count * np.log(np.maximum(count, LEAST)) - count, 0.0)
        return np.stack([count, own, known_rows], axis=1).astype(np.float32)

    def drawn(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        counts = np.minimum(rng.poisson(middle_of(self.bounds.high), n), self.bounds.high)
        return np.where(rng.random(n) < 0.1, math.nan, counts).astype(np.float32)

    def row_loss(
        self, training: TrainingSection, labels: NDArray[Any] | None
    ) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
        from wardround.tasks.count.loss import row_loss

        return row_loss(self.bounds.high)

    def shown(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """The expected count, at most the largest one."""
        middle = middle_of(self.bounds.high)
        return (outputs.clamp(max=math.log(self.bounds.high / middle)).exp() * middle).clamp(max=self.bounds.high)

    def answers(self, file_outputs: Floats, decision: Decision) -> Mapping[str, NDArray[Any]]:
        return {"count": file_outputs}

    def said(self, labels: NDArray[Any]) -> list[Any]:
        return [None if math.isnan(label) else label for label in np.asarray(labels, np.float64).tolist()]

    def losses(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
        """Half the deviance; 0 of a blank."""
        known_rows = np.isfinite(labels)
        counts = np.where(known_rows, labels, 0.0).astype(np.float64)
        return np.where(known_rows, deviance(rate_of(usable(outputs), self.bounds.high), counts), 0.0)

    def votes(self, labels: NDArray[Any]) -> Floats:
        """The count, and whether it is known."""
        return self.targets(labels).astype(np.float64)[:, [0, 2]]

    def with_votes(self, outputs: NDArray[Any], votes: Floats, voters: Floats, share: float) -> Floats:
        return with_votes(usable(outputs), votes, voters, share, self.bounds.high)

    def with_votes_in_torch(
        self, outputs: "torch.Tensor", votes: "torch.Tensor", voters: "torch.Tensor", share: float
    ) -> "torch.Tensor":
        middle, highest = middle_of(self.bounds.high), float(output_of(np.array(4.0 * self.bounds.high), self.bounds.high))
        counted = votes[:, 1] * voters
        told = (counted > 0).to(outputs.dtype)
        voted = (votes[:, 0] * voters + 0.5) / (counted + 1.0)
        mixed = share * voted + (1.0 - share) * middle * outputs.clamp(max=highest).exp()
        return told * (mixed.clamp(min=LEAST) / middle).log() + (1.0 - told) * outputs

    def sums(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
        known_rows = np.isfinite(labels)
        rates = rate_of(usable(np.asarray(outputs).reshape(len(labels)))[known_rows], self.bounds.high)
        truth = np.asarray(labels, np.float64)[known_rows]
        cost = np.minimum(np.maximum(deviance(rates, truth), 0.0), LOSS_CAP)
        return Sums(
            {
                **errors_of(self.bounds.part(rates), self.bounds.part(truth)),
                "deviance": np.array([whole(cost).sum(), whole(np.square(cost)).sum()]),
            }
        )

    def check(self, sums: Sums) -> None:
        check_errors(sums)
        n, (total, squares) = int(sums["n"]), sums["deviance"]
        if total > n * round(LOSS_CAP * ONE) or squares > n * round(LOSS_CAP**2 * ONE):
            raise impossible("losses within the records' reach", "larger ones")

    def records(self, sums: Sums) -> int:
        return int(sums["n"])

    def pack(self, sums: Sums) -> dict[str, Any]:
        return packed(sums)

    def unpack(self, value: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
        return unpacked(value, self.shapes)

    def score(self, sums: Sums) -> float:
        return mean_of(int(sums["deviance"][0]), int(sums["deviance"][1]), self.records(sums), 1.0)[0]

    def decide(self, rule: str, sums: Mapping[str, Sums]) -> Decision:
        """A count is no decision."""
        return None

    def figures(self, sums: Sums, decision: Decision, *, replicates: int = REPLICATES) -> Figures:
        n, (total, squares) = self.records(sums), (int(one) for one in sums["deviance"])
        estimates = {"deviance": mean_of(total, squares, n, 1.0), **error_figures(sums, self.bounds.width)}
        values = {name: value for name, (value, _) in estimates.items()}
        intervals = {name: ends for name, (_, ends) in estimates.items()}
        return Figures({**values, "n": float(n), "known": float(n)}, intervals)

    def charts(self, sums: Mapping[str, Sums]) -> tuple[Chart, ...]:
        first, unit = next(iter(sums), None), f", {self.asked.unit}" if self.asked.unit else ""
        drawn = (
            residual_chart(dict(sums), self.bounds, unit),
            None if first is None else said_chart(first, sums[first], self.bounds, unit),
        )
        return tuple(chart for chart in drawn if chart is not None)

    def decision_table(self, sums: Sums, decision: Decision) -> DecisionTable | None:
        return None

    def worth(self, models: Mapping[str, tuple[Sums, Decision]]) -> tuple[FigureTable, ...]:
        return errors_table({name: sums for name, (sums, _) in models.items()}, self.bounds.width, self.asked.unit)

    def few(self, sums: Sums) -> bool:
        return self.records(sums) < FEWEST

    def paired(
        self, outputs: tuple[NDArray[Any], NDArray[Any]], labels: NDArray[Any], decisions: tuple[Decision, Decision]
    ) -> dict[str, PairedDifference]:
        known_rows = np.isfinite(labels)
        truth = np.asarray(labels, np.float64)[known_rows]
        rates = [rate_of(usable(each)[known_rows], self.bounds.high) for each in outputs]
        cost = [np.minimum(deviance(each, truth), LOSS_CAP) for each in rates]
        off = [np.abs(self.bounds.part(each) - self.bounds.part(truth)) for each in rates]
        return {
            "deviance": paired_by_record(cost[1] - cost[0], 1.0),
            "mae": paired_errors(off[0], off[1], self.bounds.width),
        }
