"""The sums of a yes-or-no question: a histogram of logits by class, a calibration table, and two error sums.

    logits, labels --from_scores--> ScoreSums --as_sums, over sites, of--> ScoreSums --> figures.measure

From them follow the ROC curve, average precision, the Brier score, the calibration curve and every count at a threshold.

Under no privacy mode are these sums harmless by themselves: a histogram of very few patients can single one out. The site
decides who sees them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.sums import Counts, Sums, impossible
from wardround.values.errors import RunError
from wardround.values.tree import Shapes

BINS = 1024
LIMIT = 16.0
"""Logits are counted in BINS equal bins over [-LIMIT, LIMIT); what lies outside is counted in the first or last bin."""
BINS_PER_UNIT = 32
"""A bin is 1/32 wide in logit, at most 1/128 in probability; the edge between bins 511 and 512 is exactly 0."""
CALIBRATION_BINS = 15
ONE = 1 << 20
"""Probabilities, squared errors and losses are summed as whole multiples of 1/ONE."""
LOSS_CAP = 16.0

SHAPES: Shapes = {"histogram": (2, BINS), "calibration": (CALIBRATION_BINS, 3), "brier": (), "loss": ()}
MOST_ADDED = {"histogram": 1, "calibration": ONE + 2, "brier": ONE, "loss": round(LOSS_CAP * ONE)}
"""By one record."""


@dataclass(frozen=True, eq=False)
class ScoreSums:
    """The sums over n evaluated records. All arrays are int64, none has a negative entry.

    histogram (2, 1024): records per class and per bin of the logit. calibration (15, 3): for 15 equal-width bins of the
    probability p, the records, the sum of round(p 2^20) and the positive records. brier (): the sum of round((p - y)^2 2^20).
    loss (): the sum of round(min(cross-entropy, 16) 2^20), in nats.

    Law: from_scores of two sets of records together equals the sum of from_scores of each, bit for bit.
    """

    histogram: Counts
    calibration: Counts
    brier: Counts
    loss: Counts

    @classmethod
    def zero(cls) -> "ScoreSums":
        """The evaluation of no records: what adds nothing."""
        return cls(**{name: np.zeros(shape, np.int64) for name, shape in SHAPES.items()})

    @classmethod
    def from_scores(cls, logits: NDArray[Any], labels: NDArray[Any]) -> "ScoreSums":
        """Sums of n logits (any float type; infinities are clamped) and n labels in {0, 1}.

        Raises RunError where a logit is not a number: the model has diverged and no figure of it would mean anything.
        """
        scores, positive = np.asarray(logits, np.float64).reshape(-1), np.asarray(labels).reshape(-1)
        if scores.shape != positive.shape:
            raise ValueError(f"{scores.size} logits for {positive.size} labels")
        if not np.isin(positive, (0, 1)).all():
            raise ValueError("labels must be 0 or 1")
        if np.isnan(scores).any():
            raise RunError(
                "The model gives scores that are not numbers",
                expected="a finite score for every record",
                found=f"{int(np.isnan(scores).sum())} of {scores.size} are NaN",
                hint="training has diverged: lower the learning rate and start the run again",
            )
        return cls._sum(np.clip(scores, -1e6, 1e6), positive.astype(np.int64))

    @classmethod
    def _sum(cls, scores: NDArray[np.float64], positive: Counts) -> "ScoreSums":
        chance = probability(scores)
        part = np.minimum((chance * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
        calibration = np.zeros((CALIBRATION_BINS, 3), np.int64)
        np.add.at(calibration, part, np.stack([np.ones_like(positive), _whole(chance), positive], axis=1))
        histogram = np.zeros((2, BINS), np.int64)
        np.add.at(histogram, (positive, bin_of(scores)), 1)
        error = np.square(chance - positive)
        loss = cross_entropy(scores, positive)
        return cls(histogram, calibration, np.asarray(_whole(error).sum()), np.asarray(_whole(loss).sum()))

    def __add__(self, other: "ScoreSums") -> "ScoreSums":
        return ScoreSums(**{name: np.asarray(getattr(self, name) + getattr(other, name)) for name in SHAPES})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ScoreSums):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in SHAPES)

    __hash__ = None  # type: ignore[assignment]

    def to_counts(self) -> dict[str, Counts]:
        """The four arrays by name. Inverse of `from_counts`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, sums: Sums) -> "ScoreSums":
        """The same arrays with their names; they are not checked."""
        return cls(**sums.arrays)

    def as_sums(self) -> Sums:
        """As they travel and add up. Inverse of `of`."""
        return Sums(self.to_counts())

    @classmethod
    def from_counts(cls, counts: Mapping[str, NDArray[Any]]) -> "ScoreSums":
        """Sums that came from elsewhere. Raises WireError where they cannot be the sums of any records."""
        sums = cls.of(Sums.of_counts(counts, SHAPES))
        sums.check()
        return sums

    def check(self) -> None:
        """Raises WireError where no records have these sums."""
        count, total, positive = self.calibration.T
        if count.sum() != self.n or positive.sum() != self.positives or (positive > count).any() or (total > count * ONE).any():
            raise impossible("a histogram and a calibration table of the same records", "two that disagree")
        if self.brier > self.n * ONE or self.loss > self.n * round(LOSS_CAP * ONE):
            raise impossible("error sums within the records' reach", "larger ones")

    @property
    def n(self) -> int:
        """Records evaluated."""
        return int(self.histogram.sum())

    @property
    def positives(self) -> int:
        """Records with label 1."""
        return int(self.histogram[1].sum())

    @property
    def negatives(self) -> int:
        """Records with label 0."""
        return int(self.histogram[0].sum())

    @property
    def mean_loss(self) -> float:
        """Mean cross-entropy in nats, each record's capped at 16; NaN without records."""
        return float(self.loss) / ONE / self.n if self.n else float("nan")


def probability(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-logit)), without overflow.

    >>> probability(np.array([0.0, -1000.0, 1000.0])).tolist()
    [0.5, 0.0, 1.0]
    """
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)


def cross_entropy(logits: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Of each record, in nats, capped at LOSS_CAP.

    >>> cross_entropy(np.array([0.0, 1000.0]), np.array([1, 0])).round(4).tolist()
    [0.6931, 16.0]
    """
    return np.minimum(np.logaddexp(0.0, np.where(labels == 1, -logits, logits)), LOSS_CAP)


def bin_of(logits: NDArray[np.float64]) -> Counts:
    """The bin of each logit. Multiplying by a power of two is exact, so a logit just below 0 never counts as 0.

    >>> bin_of(np.array([-99.0, -1e-30, 0.0, 0.03125, 99.0])).tolist()
    [0, 511, 512, 513, 1023]
    """
    bins: Counts = np.clip(np.floor(logits * BINS_PER_UNIT) + BINS // 2, 0, BINS - 1).astype(np.int64)
    return bins


def _whole(values: NDArray[np.float64]) -> Counts:
    return np.rint(values * ONE).astype(np.int64)
