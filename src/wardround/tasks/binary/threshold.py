"""Where a score becomes a yes: chosen on validation sums, never on test."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wardround.study.sections.evaluation import Decision
from wardround.tasks.binary.figures import roc_counts
from wardround.tasks.binary.score_sums import BINS, BINS_PER_UNIT, LIMIT, ScoreSums, probability
from wardround.tasks.protocol import Floats

HALF = 0.5
_NEARLY_BEST = 0.005


def cut_of(decision: Decision) -> float:
    """The threshold of one yes or no; HALF where none was chosen. ValueError where there are several."""
    if isinstance(decision, tuple):
        raise ValueError(f"a yes or no has one threshold, not {len(decision)}")
    return HALF if decision is None else decision


def chosen_by_rule(rule: str, sums: Mapping[str, ScoreSums]) -> float:
    """By `evaluation.threshold`, from sums by split: `validation`, or `shifted` where the study looks through other scanners."""
    if rule == "half":
        return HALF
    if "shifted" in sums:
        return choose_robust_threshold([sums["shifted"]])  # of all shifts: each has the same records, so the mean is of the sum
    choose = choose_threshold_near_half if rule == "near_half" else choose_threshold
    return choose(sums["validation"])


def choose_threshold(sums: ScoreSums) -> float:
    """The probability of best balanced accuracy on these (validation) sums: the middle of the widest best plateau.

    Between equally wide plateaus the one nearest to 0.5. Returns 0.5 where nothing can be chosen: no record, one class only, or
    no threshold better than calling everything one class.
    """
    gain = roc_counts(sums) @ np.array([sums.negatives, -sums.positives])  # tp * negatives - fp * positives: Youden's index
    if gain.max() <= 0:
        return 0.5
    best = np.concatenate([[False], gain == gain.max(), [False]]).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(best) == 1), np.flatnonzero(np.diff(best) == -1) - 1
    middles = (starts + ends) // 2
    widest = middles[ends - starts == (ends - starts).max()]
    edge = widest[np.argmin(np.abs(widest - BINS // 2))]
    return _probability_of(int(edge))


def _probability_of(edge: int) -> float:
    return float(probability(np.asarray((edge - BINS // 2) / BINS_PER_UNIT)))


def choose_threshold_near_half(sums: ScoreSums) -> float:
    """The probability nearest to 0.5 whose Youden index on these (validation) sums is within one standard error of the best.

    A threshold that is a little better on validation patients of the hospitals that trained is often worse elsewhere, so 0.5
    moves only as far as the patients compel it to. The standard error is that of the best index, of two independent proportions,
    each with one success and one failure added (Laplace), or few patients would seem to be sure. 0.5 where nothing can be chosen.
    """
    if not sums.positives or not sums.negatives:
        return HALF
    caught, alarms = (roc_counts(sums) / np.array([sums.positives, sums.negatives])).T
    index = caught - alarms
    best = int(np.argmax(index))
    if index[best] <= 0:
        return HALF
    variance = _variance(caught[best], sums.positives) + _variance(alarms[best], sums.negatives)
    edges = np.flatnonzero(index >= index[best] - np.sqrt(variance))
    edge = edges[np.argmin(np.abs(edges - BINS // 2))]
    return _probability_of(int(edge))


def choose_threshold_for_sensitivity(sums: ScoreSums, sensitivity: float) -> float:
    """The highest probability at which these sums hold so large a sensitivity; 0.5 without a positive record."""
    if not sums.positives:
        return HALF
    caught = roc_counts(sums)[:, 0]
    edge = int(np.flatnonzero(caught >= sensitivity * sums.positives - 1e-9).max())
    return _probability_of(edge)


def choose_threshold_for_specificity(sums: ScoreSums, specificity: float) -> float:
    """The lowest probability at which these sums hold so large a specificity; 0.5 without a negative record."""
    if not sums.negatives:
        return HALF
    alarms = roc_counts(sums)[:, 1]
    edge = int(np.flatnonzero(alarms <= (1 - specificity) * sums.negatives + 1e-9).min())
    return _probability_of(edge)


def _variance(share: float, n: int) -> float:
    """Of a share of n records."""
    smoothed = (share * n + 1) / (n + 2)
    return float(smoothed * (1 - smoothed) / n)


def choose_robust_threshold(sums: Sequence[ScoreSums]) -> float:
    """The probability from which a record is called positive, chosen to hold under every shift.

    sums: one per shift, each already added over all hospitals. For each bin edge the balanced accuracy is averaged over the
    shifts; the answer is the middle, in logits, of the widest run of edges within half a percentage point of the best average:
    where the curve is flat, its middle is furthest from both cliffs. Balanced accuracy, because the next hospital's share of
    sick patients is not ours. 0.5 when a class is missing, since nothing can be chosen then.
    """
    histograms = [np.asarray(each.histogram, np.float64) for each in sums]
    if not histograms or any(0.0 in histogram.sum(1) for histogram in histograms):
        return 0.5
    average = np.mean([_balanced_accuracy_by_edge(histogram) for histogram in histograms], axis=0)
    first, last = _widest_run(average >= average.max() - _NEARLY_BEST)
    logit = -LIMIT + 2 * LIMIT * (first + last) / 2 / BINS
    return float(1.0 / (1.0 + np.exp(-logit)))


def _balanced_accuracy_by_edge(histogram: Floats) -> Floats:
    """At edge e, 0..bins, records in bins below e are called negative, the others positive."""
    below = np.concatenate([np.zeros((2, 1)), histogram.cumsum(1)], axis=1) / histogram.sum(1, keepdims=True)
    result: Floats = (below[0] + 1.0 - below[1]) / 2
    return result


def _widest_run(good: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last position of the longest stretch of True; the earliest of equals."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2] - 1
    widest = int(np.argmax(ends - starts))
    return int(starts[widest]), int(ends[widest])
