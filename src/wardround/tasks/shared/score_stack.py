"""Several yes-or-no questions of the same records side by side: each class against the rest, each cut of grades, each finding.

logits (n, k), truths (n, k) --stacked--> histogram (k, 2, 1024), calibration (k, 15, 3), brier (k,), loss (k,)
                             --part--> ScoreSums of one, with all figures of a yes or no
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.binary.figures import auc, auc_interval
from wardround.tasks.binary.score_sums import MOST_ADDED, SHAPES, ScoreSums
from wardround.tasks.intervals import UNDEFINED
from wardround.tasks.protocol import Estimate, Floats
from wardround.tasks.sums import Counts, Sums
from wardround.values.tree import Shapes

BLANK = -1
"""A truth that is not known. It counts nowhere."""


def stack_shapes(count: int) -> Shapes:
    """The arrays of so many questions."""
    return {name: (count, *shape) for name, shape in SHAPES.items()}


def stack_most_added(count: int) -> dict[str, int]:
    """By one record that all of the questions know."""
    return {name: count * most for name, most in MOST_ADDED.items()}


def stacked(logits: Floats, truths: NDArray[np.integer]) -> dict[str, Counts]:
    """Sums of logits (n, k) and truths (n, k): 1, 0 or BLANK."""
    each = [
        ScoreSums.from_scores(logits[known_rows, position], truths[known_rows, position]).to_counts()
        for position, known_rows in enumerate((truths != BLANK).T)
    ]
    return {name: np.stack([one[name] for one in each]) for name in SHAPES}


def part(sums: Sums, position: int) -> ScoreSums:
    """The sums of one of the questions."""
    return ScoreSums(**{name: sums[name][position] for name in SHAPES})


def parts(sums: Sums) -> list[ScoreSums]:
    """All of them, in order."""
    return [part(sums, position) for position in range(len(sums["histogram"]))]


def mean_auc(sums: Sequence[ScoreSums]) -> Estimate:
    """The mean of the AUCs of those with both sides, and an interval; NaN where none has.

    The interval is as wide as the single ones (DeLong) are on average. It is narrower in truth: the single AUCs are not all
    wrong in the same direction.
    """
    there = [(auc(one), auc_interval(one)) for one in sums if one.positives and one.negatives]
    if not there:
        return math.nan, UNDEFINED
    mean = float(np.mean([value for value, _ in there]))
    sure = [(value, ends) for value, ends in there if not math.isnan(ends[0])]
    if len(sure) < len(there):
        return mean, UNDEFINED
    down, up = np.mean([(value - low, high - value) for value, (low, high) in sure], axis=0)
    return mean, (max(mean - float(down), 0.0), min(mean + float(up), 1.0))
