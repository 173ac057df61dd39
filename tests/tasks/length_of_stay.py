# ruff: noqa: ARG002, RUF012  a task need not use all that it is given
"""A kind of question that Wardround does not have: how many days will a patient stay? One file, as a new kind would be.

The network gives the days over a scale of ten, the loss is the squared error, models are judged by the root of its mean, and
nothing is decided. Sums hold errors and days in whole hundredths.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wardround.study.cell_values import Value, is_number
from wardround.study.label import LabelContract, LabelKind, Target
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.training import TrainingSection
from wardround.tasks.intervals import UNDEFINED, Z
from wardround.tasks.protocol import REPLICATES, Chart, DecisionTable, Dots, Figures, FigureTable, Floats, PairedDifference, Words
from wardround.tasks.sums import Sums, impossible, packed, unpacked
from wardround.values.errors import RunError
from wardround.values.tree import Shapes

if TYPE_CHECKING:
    import torch

SCALE = 10.0
MOST_DAYS = 365
UNIT = 100  # parts of a day, and of a squared day
BINS = 8  # of the true days, each five days wide


def days_of(_label: LabelContract, value: Value) -> Target | None:
    """Days from 0 to a year; None for what is no such number."""
    text = str(value).strip()
    return float(text) if is_number(text) and 0 <= float(text) <= MOST_DAYS else None


LABELS = LabelKind("length-of-stay", days_of, "float32", frozenset(), knows=lambda _, days: 0 <= days <= MOST_DAYS)


class LengthOfStay:
    """See `wardround.tasks.protocol.Task`."""

    outputs = 1
    most_added: ClassVar = {"n": 1, "squared": UNIT * MOST_DAYS**2 + 1, "by_days": 2 * UNIT * MOST_DAYS + 1}
    headline = "rmse"
    bigger_is_better = False
    shapes: Shapes = {"n": (), "squared": (2,), "by_days": (BINS, 3)}
    words = Words(
        names={"rmse": "Error (days)", "bias": "Bias (days)"},
        in_text={"rmse": "error in days"},
        headline="an error in days",
        tiles=("rmse", "bias"),
        judged=(),
        compared=("rmse",),
        counted={"long_stays": "Over a week"},
        counted_in_text={"long_stays": "over a week"},
        decision=None,
        outputs=("days",),
        output_words="Days in hospital.",
        task_type="tabular-regression",
        measures=("Root of the mean squared error, and the mean error.",),
    )

    def __init__(self, label: LabelContract) -> None:
        self.label = label

    def count_labels(self, labels: NDArray[Any]) -> dict[str, int]:
        return {"long_stays": int((labels > 7).sum())}

    def strata(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        return np.minimum(labels // 5, BINS - 1).astype(np.intp)

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        return labels.astype(np.float32)

    def drawn(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        return rng.uniform(0, MOST_DAYS, n).astype(np.float32)

    def row_loss(
        self,
        training: TrainingSection,
        labels: NDArray[Any] | None,
    ) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
        return lambda outputs, targets: (outputs - targets / SCALE).square()

    def shown(self, outputs: "torch.Tensor") -> "torch.Tensor":
        return outputs.clamp(min=0.0) * SCALE

    def answers(self, given: Floats, decision: Decision) -> Mapping[str, NDArray[Any]]:
        return {"days": given}

    def said(self, labels: NDArray[Any]) -> list[Any]:
        return labels.tolist()

    def losses(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
        return np.square(np.asarray(outputs, np.float64) - np.asarray(labels, np.float64) / SCALE)

    def votes(self, labels: NDArray[Any]) -> Floats:
        return np.asarray(labels, np.float64)[:, None] / SCALE

    def with_votes(self, outputs: NDArray[Any], votes: Floats, voters: Floats, share: float) -> Floats:
        return (1.0 - share) * np.asarray(outputs, np.float64) + share * votes[:, 0]

    def with_votes_in_torch(
        self, outputs: "torch.Tensor", votes: "torch.Tensor", voters: "torch.Tensor", share: float
    ) -> "torch.Tensor":
        return (1.0 - share) * outputs + share * votes[:, 0]

    def sums(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
        days = np.clip(np.asarray(outputs, np.float64) * SCALE, 0, MOST_DAYS)
        if np.isnan(days).any():
            raise RunError("The model gives days that are not numbers", hint="lower the learning rate")
        truth = np.asarray(labels, np.float64)
        error, bins = days - truth, self.strata(truth)
        by_days = np.zeros((BINS, 3), np.int64)
        parts = np.stack([np.ones_like(bins), np.rint(days * UNIT), np.rint(truth * UNIT)], axis=1).astype(np.int64)
        np.add.at(by_days, bins, parts)
        squares = np.rint(error**2 * UNIT).astype(np.int64)
        long = int((truth > 7).sum())
        return Sums({"n": np.asarray(len(truth)), "squared": np.array([squares.sum(), long]), "by_days": by_days})

    def check(self, sums: Sums) -> None:
        if sums["by_days"][:, 0].sum() != sums["n"] or sums["squared"][1] > sums["n"]:
            raise impossible("as many stays by length as in all", "others")
        if sums["squared"][0] > sums["n"] * MOST_DAYS**2 * UNIT:
            raise impossible("errors of at most a year", "larger ones")

    def records(self, sums: Sums) -> int:
        return int(sums["n"])

    def pack(self, sums: Sums) -> dict[str, Any]:
        return packed(sums)

    def unpack(self, value: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
        return unpacked(value, self.shapes)

    def score(self, sums: Sums) -> float:
        n = self.records(sums)
        return math.sqrt(float(sums["squared"][0]) / UNIT / n) if n else math.nan

    def decide(self, rule: str, sums: Mapping[str, Sums]) -> Decision:
        return None

    def figures(self, sums: Sums, decision: Decision, *, replicates: int = REPLICATES) -> Figures:
        n, rmse = self.records(sums), self.score(sums)
        half = Z * rmse / math.sqrt(2 * n) if n else math.nan
        total = sums["by_days"].sum(axis=0)
        bias = float(total[1] - total[2]) / UNIT / n if n else math.nan
        values = {"rmse": rmse, "bias": bias, "n": float(n), "long_stays": float(sums["squared"][1])}
        return Figures(values, {"rmse": (max(rmse - half, 0.0), rmse + half) if n else UNDEFINED})

    def charts(self, sums: Mapping[str, Sums]) -> tuple[Chart, ...]:
        rows = [row for row in next(iter(sums.values()))["by_days"].tolist() if row[0]] if sums else []
        if not rows:
            return ()
        x, y = (tuple(row[place] / UNIT / row[0] for row in rows) for place in (2, 1))
        return (Chart("stays", "days stayed", "days predicted", "Days", "Five-day groups.", dots=Dots(x, y, y, y), unit=False),)

    def decision_table(self, sums: Sums, decision: Decision) -> DecisionTable | None:
        return None

    def worth(self, models: Mapping[str, tuple[Sums, Decision]]) -> tuple[FigureTable, ...]:
        return ()

    def few(self, sums: Sums) -> bool:
        return self.records(sums) < 10

    def paired(
        self,
        outputs: tuple[NDArray[Any], NDArray[Any]],
        labels: NDArray[Any],
        decisions: tuple[Decision, Decision],
    ) -> dict[str, PairedDifference]:
        return {}
