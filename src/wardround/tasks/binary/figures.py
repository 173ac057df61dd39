"""Figures and their 95 % intervals from the sums of an evaluation. numpy only; a pure function of the sums.

Everything is computed on the binned scores: scores in one bin count as tied. A record is called positive where its bin lies at
or above the edge nearest to the threshold's logit; edges are 1/32 apart, so the effective threshold is within 1/64 of the one
asked for in logit (and exact at 0.5 and at whatever `threshold.choose_threshold` gives).

What a figure needs and the records do not hold (no record, one class only) is NaN, in values and in intervals alike.

Intervals, all two-sided 95 %:
  proportions (accuracy, sensitivity, specificity): E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209, the score interval.
  balanced accuracy: the two Wilson intervals combined, G. Y. Zou and A. Donner, Statist. Med. 27 (2008) 1693 (MOVER).
  AUC: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837: from the structural components V10 (of each
    positive) and V01 (of each negative), with sample variances S10 and S01, var(AUC) = S10 / m + S01 / n.
  the others: a seeded multinomial bootstrap of the histogram. Its replicates are shifted so that their mean is the estimate:
    resampling alone raises the calibration error, and the shift also removes what binning does to the Brier score.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.binary.score_sums import BINS, BINS_PER_UNIT, CALIBRATION_BINS, ONE, ScoreSums, bin_of, probability
from wardround.tasks.intervals import UNDEFINED, Z, wilson
from wardround.tasks.protocol import REPLICATES, Figures, Floats, Interval
from wardround.tasks.sums import Counts
from wardround.values.randomness import generator

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "auc",
    "auprc",
    "brier",
    "ece",
    "sensitivity",
    "specificity",
    "threshold",
    "accuracy_at_half",
    "sensitivity_at_95_specificity",
    "n",
    "positives",
)
_BOOTSTRAPPED = ("auprc", "brier", "ece", "sensitivity_at_95_specificity")
_CENTRES = probability((np.arange(BINS) + 0.5 - BINS // 2) / BINS_PER_UNIT)
_CALIBRATION_OF = np.minimum((_CENTRES * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


@dataclass(frozen=True)
class ConfusionCounts:
    """Counts at a threshold: a record is called positive at or above it."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int


def measure(sums: ScoreSums, threshold: float, *, replicates: int = REPLICATES) -> Figures:
    """Every figure of METRICS at `threshold`, a probability in [0, 1].

    replicates: bootstrap size; 0 saves the time and leaves the bootstrapped intervals NaN (for figures shown round by round).
    """
    at, half = confusion_at(sums, threshold), confusion_at(sums, 0.5)
    estimates = _bootstrapped(sums.histogram[None])
    values = {
        "accuracy": _ratio(at.true_positive + at.true_negative, sums.n),
        "auc": auc(sums),
        "auprc": float(estimates["auprc"][0]),
        "brier": _ratio(float(sums.brier) / ONE, sums.n),
        "ece": calibration_error(sums),
        "sensitivity": _ratio(at.true_positive, sums.positives),
        "specificity": _ratio(at.true_negative, sums.negatives),
        "threshold": float(threshold),
        "accuracy_at_half": _ratio(half.true_positive + half.true_negative, sums.n),
        "sensitivity_at_95_specificity": float(estimates["sensitivity_at_95_specificity"][0]),
        "n": float(sums.n),
        "positives": float(sums.positives),
    }
    values["balanced_accuracy"] = (values["sensitivity"] + values["specificity"]) / 2
    intervals = {
        "accuracy": wilson(at.true_positive + at.true_negative, sums.n),
        "sensitivity": wilson(at.true_positive, sums.positives),
        "specificity": wilson(at.true_negative, sums.negatives),
        "accuracy_at_half": wilson(half.true_positive + half.true_negative, sums.n),
        "auc": auc_interval(sums),
    }
    intervals["balanced_accuracy"] = _mean_interval(values, intervals)
    intervals |= _bootstrap(sums, {name: values[name] for name in _BOOTSTRAPPED}, replicates)
    return Figures({name: values[name] for name in METRICS}, {name: intervals[name] for name in METRICS if name in intervals})


def roc_counts(sums: ScoreSums) -> Counts:
    """(1025, 2): true and false positives when bins k and above are called positive, for k = 0 (all) to 1024 (none)."""
    above = np.zeros((BINS + 1, 2), np.int64)
    above[:-1] = sums.histogram[::-1, ::-1].cumsum(axis=1)[:, ::-1].T
    return above


def confusion_at(sums: ScoreSums, threshold: float) -> ConfusionCounts:
    """Counts at a probability in [0, 1]; 0 calls everything positive, 1 nothing."""
    caught, alarms = (int(count) for count in roc_counts(sums)[edge_of(threshold)])
    return ConfusionCounts(caught, alarms, sums.negatives - alarms, sums.positives - caught)


def auc(sums: ScoreSums) -> float:
    """The chance that a positive record scores above a negative one; ties count half (Mann-Whitney).

    The AUC of the scores themselves differs by at most `auc_binning_error`.
    """
    negative, positive = sums.histogram
    below = negative.cumsum() - negative
    return _ratio(float(positive @ (2 * below + negative)) / 2, sums.positives * sums.negatives)


def auc_binning_error(sums: ScoreSums) -> float:
    """Half the share of positive-negative pairs that fall into one bin: the most that binning can move the AUC."""
    return _ratio(float(sums.histogram[0] @ sums.histogram[1]) / 2, sums.positives * sums.negatives)


def auc_interval(sums: ScoreSums) -> Interval:
    """DeLong's interval, cut to [0, 1]; needs two records of each class.

    Where every pair is ordered alike the estimated variance is 0 and would claim certainty. Then m = min(positives, negatives)
    disjoint pairs are m independent trials with chance AUC, all won (or all lost), and their Wilson interval is given.
    """
    area = auc(sums)
    if math.isnan(area):
        return UNDEFINED
    if area in (0.0, 1.0):
        pairs = min(sums.positives, sums.negatives)
        return wilson(round(area * pairs), pairs)
    if min(sums.positives, sums.negatives) < 2:
        return UNDEFINED
    negative, positive = sums.histogram
    v10 = (negative.cumsum() - negative / 2) / sums.negatives
    v01 = (positive[::-1].cumsum()[::-1] - positive / 2) / sums.positives
    s10 = positive @ (v10 - area) ** 2 / (sums.positives - 1)
    s01 = negative @ (v01 - area) ** 2 / (sums.negatives - 1)
    half = Z * math.sqrt(s10 / sums.positives + s01 / sums.negatives)
    return max(area - half, 0.0), min(area + half, 1.0)


def calibration_error(sums: ScoreSums) -> float:
    """Expected calibration error over 15 equal-width bins of p: the mean of |mean p - share of positives|, by records.

    C. Guo et al., ICML 2017, equation 3, with the probability of the positive class as confidence.
    """
    _, total, positive = sums.calibration.T
    return _ratio(float(np.abs(total / ONE - positive).sum()), sums.n)


def is_positive(scores: Floats, threshold: float) -> NDArray[np.bool_]:
    """Whether each record (n,), by its logit, is called positive: the rule that every figure at the threshold counts by."""
    return np.asarray(bin_of(scores) >= edge_of(threshold))


def edge_of(threshold: float) -> int:
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"a threshold is a probability, not {threshold}")
    if threshold in (0.0, 1.0):
        return BINS if threshold else 0
    logit = math.log(threshold) - math.log1p(-threshold)
    return min(max(round(logit * BINS_PER_UNIT) + BINS // 2, 0), BINS)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _mean_interval(values: dict[str, float], intervals: dict[str, Interval]) -> Interval:
    """The interval of the mean of two independent proportions from theirs: the distances to the ends add as squares."""
    low, high = (
        math.hypot(*(values[name] - intervals[name][end] for name in ("sensitivity", "specificity"))) / 2 for end in (0, 1)
    )
    return values["balanced_accuracy"] - low, values["balanced_accuracy"] + high


def _bootstrap(sums: ScoreSums, estimates: dict[str, float], replicates: int) -> dict[str, Interval]:
    """Percentiles of resampled histograms, seeded by the histogram itself, shifted to the estimate and cut to [0, 1]."""
    if sums.n == 0 or replicates == 0:
        return dict.fromkeys(estimates, UNDEFINED)
    rng = generator("bootstrap", hashlib.sha256(np.ascontiguousarray(sums.histogram).astype("<i8").tobytes()).hexdigest())
    filled = np.flatnonzero(sums.histogram.reshape(-1))
    drawn = np.zeros((replicates, 2 * BINS), np.int64)
    drawn[:, filled] = rng.multinomial(sums.n, sums.histogram.reshape(-1)[filled] / sums.n, size=replicates)
    figures = _bootstrapped(drawn.reshape(replicates, 2, BINS))
    return {name: _percentiles(figures[name], estimate) for name, estimate in estimates.items()}


def _percentiles(replicates: Floats, estimate: float) -> Interval:
    """Replicates that drew one class only cannot say anything and are left out."""
    kept = replicates[np.isfinite(replicates)]
    if math.isnan(estimate) or not len(kept):
        return UNDEFINED
    low, high = np.clip(np.percentile(kept, (2.5, 97.5)) - kept.mean() + estimate, 0.0, 1.0)
    return float(min(low, estimate)), float(max(high, estimate))


def _bootstrapped(histograms: Counts) -> dict[str, Floats]:
    """The bootstrapped figures of each of r histograms (r, 2, 1024), each (r,), from the bins alone."""
    negative, positive = histograms[:, 0], histograms[:, 1]
    caught, alarms = positive[:, ::-1].cumsum(axis=1), negative[:, ::-1].cumsum(axis=1)
    positives, negatives = caught[:, -1], alarms[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = caught / np.maximum(caught + alarms, 1)
        precise = (positive[:, ::-1] * precision).sum(axis=1) / positives
        allowed = np.where(20 * alarms <= negatives[:, None], caught, 0).max(axis=1)
        squares = positive @ (1 - _CENTRES) ** 2 + negative @ _CENTRES**2
        gaps = np.add.reduceat(negative * _CENTRES - positive * (1 - _CENTRES), _CALIBRATION_STARTS, axis=1)
        return {
            "auprc": precise,
            "brier": squares / (positives + negatives),
            "ece": np.abs(gaps).sum(axis=1) / (positives + negatives),
            "sensitivity_at_95_specificity": np.where(negatives > 0, allowed / positives, np.nan),
        }


_CALIBRATION_STARTS = np.searchsorted(_CALIBRATION_OF, np.arange(CALIBRATION_BINS))
