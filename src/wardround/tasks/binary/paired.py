"""Two models on the same patients: is one better? Computed where the patients are, from their scores.

Two intervals that overlap are no test: models that score the same patients err alike, and their difference is surer than
either figure. So the difference itself is measured:

    AUC       E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837: the covariance of two correlated areas.
    accuracy  Q. McNemar, Psychometrika 12 (1947) 153, on the records that one model alone calls rightly. Interval:
              R. G. Newcombe, Statist. Med. 17 (1998) 2635, method 10.

Every difference is the second model's figure less the first's.
"""

import math

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.intervals import UNDEFINED, Z, wilson
from wardround.tasks.protocol import Floats, PairedDifference

EXACT_UP_TO = 1000
"""Discordant records up to which McNemar's test is the exact binomial one; above, the normal one with continuity correction."""


def paired_auc(first: NDArray[np.floating], second: NDArray[np.floating], labels: NDArray[np.integer]) -> PairedDifference:
    """DeLong's test of two score vectors (n,) over the same labels (n,) in {0, 1}.

    Everything is NaN with one class only. Interval and p-value need two records of each class. Where the two models rank every
    record alike the difference is 0 and p is 1; where their difference has no variance otherwise, p is NaN.
    """
    positive = np.asarray(labels) == 1
    scores = np.stack([first, second]).astype(np.float64)
    if positive.all() or not positive.any():
        return PairedDifference(math.nan, UNDEFINED, math.nan, len(positive), 0)
    wins = [_shares_below(row[positive], row[~positive]) for row in scores]
    losses = [1.0 - _shares_below(row[~positive], row[positive]) for row in scores]
    of_positives, of_negatives = wins[1] - wins[0], losses[1] - losses[0]
    difference = float(of_positives.mean())
    discordant = int(np.count_nonzero(of_positives) + np.count_nonzero(of_negatives))
    if discordant == 0:
        return PairedDifference(0.0, UNDEFINED, 1.0, len(positive), 0)
    if min(len(of_positives), len(of_negatives)) < 2:
        return PairedDifference(difference, UNDEFINED, math.nan, len(positive), discordant)
    deviation = math.sqrt(of_positives.var(ddof=1) / len(of_positives) + of_negatives.var(ddof=1) / len(of_negatives))
    if deviation == 0.0:
        return PairedDifference(difference, UNDEFINED, math.nan, len(positive), discordant)
    ends = max(difference - Z * deviation, -1.0), min(difference + Z * deviation, 1.0)
    return PairedDifference(difference, ends, math.erfc(abs(difference) / deviation / math.sqrt(2)), len(positive), discordant)


def paired_accuracy(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> PairedDifference:
    """McNemar's test of which records (n,) each of two models called rightly. All NaN without records."""
    n = len(first_right)
    if n == 0:
        return PairedDifference(math.nan, UNDEFINED, math.nan, 0, 0)
    both, neither = int((first_right & second_right).sum()), int((~first_right & ~second_right).sum())
    gained, lost = int((second_right & ~first_right).sum()), int((first_right & ~second_right).sum())
    ends = _newcombe(both, gained, lost, neither)
    return PairedDifference((gained - lost) / n, ends, mcnemar(gained, lost), n, gained + lost)


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p-value that a record goes either way with chance one half.

    >>> mcnemar(0, 5), mcnemar(3, 3)
    (0.0625, 1.0)
    """
    trials = gained + lost
    if trials > EXACT_UP_TO:
        return math.erfc(max(abs(gained - lost) - 1, 0) / math.sqrt(2 * trials))
    tail = sum(math.comb(trials, hits) for hits in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / (1 << trials))


def _shares_below(rows: Floats, others: Floats) -> Floats:
    """For each of rows the share of others below it; equal ones count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, rows, "left") + np.searchsorted(ordered, rows, "right")
    return np.asarray(below / (2 * len(others)))


def _newcombe(both: int, gained: int, lost: int, neither: int) -> tuple[float, float]:
    """The interval of a difference of paired proportions: two Wilson intervals, joined by their correlation."""
    n = both + gained + lost + neither
    second, first = (both + gained) / n, (both + lost) / n
    (low_2, high_2), (low_1, high_1) = wilson(both + gained, n), wilson(both + lost, n)
    phi = _correlation(both, gained, lost, neither)
    down = _joined(second - low_2, high_1 - first, phi)
    up = _joined(high_2 - second, first - low_1, phi)
    return second - first - down, second - first + up


def _joined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))


def _correlation(both: int, gained: int, lost: int, neither: int) -> float:
    """Of the two models' being right; method 10 lowers a positive one by half a record."""
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    if margins == 0:
        return 0.0
    cross = float(both * neither - gained * lost)
    if cross > 0:
        cross = max(cross - (both + gained + lost + neither) / 2, 0.0)
    return cross / math.sqrt(margins)
