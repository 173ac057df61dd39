"""Answers that may be "cannot tell", with a promise that holds for each class by itself: split-conformal limits.

    a record may be positive where score >= positive_from         may be negative where score <= negative_to
    only one of both -> that one        both, or neither -> cannot tell

positive_from is a low order statistic of the scores of n positive cases that the model did not learn from. Of further positive
cases a share of 1 - k / (n + 1) lies at or above the k-th smallest, on average over all samples, whatever the model and whatever
the distribution, since the further case has each of the n + 1 ranks alike. The promise asks for k = alpha (n + 1), which is
seldom a whole number. A limit between the orders below and above it, at its fraction, has the promised share where the
distribution between the two is flat; its share lies in any case between those of the two. With the order below alone, 37 cases
would have 92 % where 90 % was promised, and more answers would be "cannot tell".

The argument takes cases as they come, one like the other. Where patients have several, the limits are of cases, and the scatter
from one sample to the next is wider than n says.

Where n is so small that k < 1 nothing can be promised but by the whole line: the class is never ruled out.

Source: V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World (2005), 4.5 (label-conditional); J. Lei et al.,
J. Am. Stat. Assoc. 113 (2018) 1094.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wardround.study.sections.section import Section
from wardround.tasks.protocol import Floats

Verdict = Literal["positive", "negative", "cannot-tell"]


class ConformalLimits(Section):
    """On scores before the sigmoid, as the model gives them. A limit of null rules nothing out."""

    promise: float = Field(gt=0, lt=1, description="Share of each class for which the answer is to hold the truth.")
    positive_from: float | None = Field(default=None, description="From this score on a record may be positive; null: always.")
    negative_to: float | None = Field(default=None, description="Up to this score a record may be negative; null: always.")
    positives: int = Field(ge=0, description="Cases of the class that made the limit.")
    negatives: int = Field(ge=0, description="Cases of the class that made the limit.")

    def may_be(self, scores: NDArray[np.floating]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether each record (n,) may be positive, and whether it may be negative."""
        values = np.asarray(scores, np.float64)
        positive = values >= (-math.inf if self.positive_from is None else self.positive_from)
        return positive, values <= (math.inf if self.negative_to is None else self.negative_to)

    def expected(self, cases: int) -> tuple[float, float]:
        """Between which shares the coverage lies on average, of a limit that so many cases made."""
        rank = _rank(1 - self.promise, cases)
        if rank < 1:
            return 1.0, 1.0
        return 1 - math.ceil(rank) / (cases + 1), 1 - math.floor(rank) / (cases + 1)


def conformal_limits(scores: NDArray[np.floating], labels: NDArray[np.integer], promise: float) -> ConformalLimits:
    """The limits that these cases make.

    >>> limits = conformal_limits(np.arange(19.0), np.ones(19, np.int8), 0.9)
    >>> limits.positive_from, limits.negative_to  # rank 0.1 * 20 = 2: the second smallest; no negative case
    (1.0, None)
    """
    values, positive = np.asarray(scores, np.float64), np.asarray(labels) == 1
    below = low_order(values[positive], 1 - promise)
    above = low_order(-values[~positive], 1 - promise)
    return ConformalLimits(
        promise=promise,
        positive_from=below,
        negative_to=None if above is None else -above,
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
    )


def low_order(values: Floats, alpha: float) -> float | None:
    """Between the order statistics around rank alpha (n + 1); None where that lies below the first."""
    rank = _rank(alpha, len(values))
    if rank < 1:
        return None
    ordered = np.sort(values)
    return float(np.interp(rank, np.arange(1, len(values) + 1), ordered))


def _rank(alpha: float, cases: int) -> float:
    """alpha (n + 1); 0.1 times 20 is 2, whatever floats say."""
    rank = alpha * (cases + 1)
    return float(round(rank)) if abs(rank - round(rank)) < 1e-9 else rank


def verdicts(limits: ConformalLimits, scores: NDArray[np.floating]) -> tuple[Verdict, ...]:
    """In words, record by record."""
    positive, negative = limits.may_be(scores)
    return tuple(
        "cannot-tell" if one == other else "positive" if one else "negative"
        for one, other in zip(positive.tolist(), negative.tolist(), strict=True)
    )
