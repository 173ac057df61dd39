"""Figures and their 95 % intervals of several findings. No torch."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from wardround.tasks.binary.figures import auc, calibration_error, confusion_at, measure
from wardround.tasks.binary.score_sums import ONE, ScoreSums
from wardround.tasks.intervals import UNDEFINED
from wardround.tasks.protocol import Estimate, Figures
from wardround.tasks.shared.score_stack import mean_auc


def figures_of(
    each: Sequence[ScoreSums], cuts: Mapping[str, float], records: int, keys: tuple[str, ...], replicates: int
) -> Figures:
    """each: of the findings. cuts: their thresholds, by key. keys: of the counts."""
    together = sum(each, ScoreSums.zero())
    known_answers, (area, ends) = together.n, mean_auc(each)
    precision, precision_ends = _mean_precision(each, replicates)
    at = confusion_at(together, 0.5)
    values = {
        "macro_auc": area,
        "judged": float(sum(bool(one.positives and one.negatives) for one in each)),
        "macro_auprc": precision,
        "micro_auc": auc(together),
        **_at_thresholds(each, tuple(cuts.values())),
        "accuracy_at_half": (at.true_positive + at.true_negative) / known_answers if known_answers else math.nan,
        "log_loss": together.mean_loss,
        "brier": float(together.brier) / ONE / known_answers if known_answers else math.nan,
        "ece": calibration_error(together),
        **cuts,
        "n": float(records),
        **{key: float(one.positives) for key, one in zip(keys, each, strict=True)},
    }
    return Figures(values, {"macro_auc": ends, "macro_auprc": precision_ends})


def _at_thresholds(each: Sequence[ScoreSums], cuts: Sequence[float]) -> dict[str, float]:
    """Means over the findings that have such records, each at its own threshold."""
    counts = [confusion_at(one, cut) for one, cut in zip(each, cuts, strict=True)]
    there = {
        "macro_sensitivity": [at.true_positive / one.positives for at, one in zip(counts, each, strict=True) if one.positives],
        "macro_specificity": [at.true_negative / one.negatives for at, one in zip(counts, each, strict=True) if one.negatives],
        "macro_balanced_accuracy": [
            (at.true_positive / one.positives + at.true_negative / one.negatives) / 2
            for at, one in zip(counts, each, strict=True)
            if one.positives and one.negatives
        ],
    }
    return {name: float(np.mean(shares)) if shares else math.nan for name, shares in there.items()}


def _mean_precision(each: Sequence[ScoreSums], replicates: int) -> Estimate:
    """The mean average precision of findings with both sides; its interval as `mean_auc` makes one."""
    there = [measure(one, 0.5, replicates=replicates) for one in each if one.positives and one.negatives]
    if not there:
        return math.nan, UNDEFINED
    values = np.array([one.values["auprc"] for one in there])
    ends = np.array([one.intervals["auprc"] for one in there])
    mean = float(values.mean())
    if not np.isfinite(ends).all():
        return mean, UNDEFINED
    return mean, (mean - float((values - ends[:, 0]).mean()), mean + float((ends[:, 1] - values).mean()))
