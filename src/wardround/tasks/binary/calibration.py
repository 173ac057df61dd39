"""Whether probabilities can be taken at their word: offset and slope of a recalibration that the records themselves ask for.

    logit P(y = 1) = offset + slope x,   x the model's own logit

A model whose word can be taken has offset 0 and slope 1. A slope below 1 says that it is too sure of itself. The offset here is
calibration in the large: the slope is held at 1, so that it says how many more, or fewer, have the finding than the model says.

Source: D. R. Cox, Biometrika 45 (1958) 562; E. W. Steyerberg et al., Epidemiology 21 (2010) 128. Computed on the histogram of
logits, whose bins are 1/32 wide; intervals are Wald's, two-sided 95 %.
"""

import math
from dataclasses import dataclass

import numpy as np

from wardround.tasks.binary.score_sums import BINS, BINS_PER_UNIT, ScoreSums, probability
from wardround.tasks.intervals import UNDEFINED, Z
from wardround.tasks.protocol import Estimate, Floats

_STEPS = 60
_STEEPEST = 50.0
"""A larger slope is no estimate: yes and no hardly overlap, and any steep one would do."""
CENTRES: Floats = (np.arange(BINS) + 0.5 - BINS // 2) / BINS_PER_UNIT
UNKNOWN: Estimate = (math.nan, UNDEFINED)


@dataclass(frozen=True)
class Recalibration:
    """offset, slope: each with its interval; NaN where the records cannot give it."""

    offset: Estimate
    slope: Estimate


def recalibration(sums: ScoreSums) -> Recalibration:
    """What the records of `sums` ask for; NaN with one class only, and of the slope where the classes hardly overlap.

    >>> said_half_and_three_of_four_were = ScoreSums.from_scores(np.zeros(4), np.array([0, 1, 1, 1]))
    >>> round(recalibration(said_half_and_three_of_four_were).offset[0], 2)  # the logit of 3/4, less half a bin
    1.08
    """
    if not sums.positives or not sums.negatives:
        return Recalibration(UNKNOWN, UNKNOWN)
    total = sums.histogram.sum(axis=0).astype(np.float64)
    filled = total > 0
    count, positive, logit = total[filled], sums.histogram[1][filled].astype(np.float64), CENTRES[filled]
    offset = _fitted(np.ones((len(logit), 1)), logit, count, positive)
    both = _fitted(np.stack([np.ones_like(logit), logit], axis=1), np.zeros_like(logit), count, positive)
    slope = UNKNOWN if both is None or abs(both[0][1]) > _STEEPEST else _estimate(both, 1)
    return Recalibration(UNKNOWN if offset is None else _estimate(offset, 0), slope)


def _fitted(design: Floats, fixed: Floats, count: Floats, positive: Floats) -> tuple[Floats, Floats] | None:
    """Coefficients and their standard errors of a logistic regression, by Newton's method; None where there is no maximum."""
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = probability(fixed + design @ weights)
        information = design.T @ (design * (count * chance * (1 - chance))[:, None])
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, design.T @ (positive - count * chance))
        length = float(np.abs(step).max())
        weights = weights + step * min(1.0, 2.0 / length if length else 1.0)
        if length < 1e-10:
            return weights, np.sqrt(np.diag(np.linalg.inv(information)))
    return None


def _estimate(fit: tuple[Floats, Floats], k: int) -> Estimate:
    value, error = float(fit[0][k]), float(fit[1][k])
    return value, (value - Z * error, value + Z * error)
