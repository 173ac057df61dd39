"""How probable each arm was for each patient: known, where the treatment was drawn by lot, or a multinomial regression.

The regression has its own coefficients for every fold that is left out, and a small penalty, without which an arm that one group
never had would send them to infinity. K. Imai, D. A. van Dyk, JASA 99 (2004) 854.
"""

from dataclasses import dataclass

import numpy as np

from wardround.analysis.effects.moments import Moments
from wardround.analysis.effects.newton import Descent
from wardround.analysis.effects.outcome_models import penalty
from wardround.analysis.effects.reach import of_predictors
from wardround.analysis.effects.rows import EffectFrame, EffectRows, Floats, Integers, Order, Sums, pack, unpack
from wardround.analysis.protocol import Total
from wardround.privacy.bounded_arrays import Quantity

RIDGE = 1.0
"""Penalty on the coefficients, of columns with variance 1."""
LARGEST = 40.0
"""b' z beyond it counts as it."""


def _shape(frame: EffectFrame) -> tuple[int, int, int]:
    """Training sets, arms but the control, columns."""
    return frame.sets, len(frame.arms) - 1, frame.size


def propensity_order(frame: EffectFrame) -> dict[str, tuple[int, ...]]:
    return {"coefficients": _shape(frame)}


def propensity_bounds(frame: EffectFrame) -> dict[str, Quantity]:
    n, limit = frame.largest_site, frame.design_limit
    sets, others, size = _shape(frame)
    width = others * size
    return {
        "losses": Quantity((sets,), n * (2 * LARGEST + np.log(len(frame.arms)))),
        "scores": Quantity((sets, width), n * limit),
        "information": Quantity((sets, width * (width + 1) // 2), n * limit**2 / 4),
    }


def arm_probabilities(coefficients: Floats, design: Floats, sets: Integers) -> Floats:
    """The probability of each arm (n, a) by the model of each row's training set. coefficients (s, a - 1, p)."""
    linear = np.zeros((len(design), coefficients.shape[1] + 1))
    for number in range(len(coefficients)):
        chosen = sets == number
        linear[chosen, 1:] = np.clip(design[chosen] @ coefficients[number].T, -LARGEST, LARGEST)
    weights = np.exp(linear - linear.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def propensity_sums(rows: EffectRows, order: Order, frame: EffectFrame) -> Sums:
    """One hospital's share of minus the log likelihood, its score and information, of every training set."""
    sets, others, size = _shape(frame)
    losses, scores = np.zeros(sets), np.zeros((sets, others * size))
    information = np.zeros((sets, others * size * (others * size + 1) // 2))
    for number in range(sets):
        trained = ~np.isin(rows.folds, list(frame.left_out[number]))
        design, arms = rows.design[trained], rows.arms[trained]
        probabilities = arm_probabilities(order["coefficients"], design, np.full(len(arms), number))
        own = probabilities[np.arange(len(arms)), arms]
        losses[number] = -np.sum(np.log(np.maximum(own, np.exp(-2 * LARGEST))))
        chosen = (arms[:, None] == np.arange(1, others + 1)).astype(np.float64)
        scores[number] = ((chosen - probabilities[:, 1:]).T @ design).reshape(-1)
        information[number] = pack(_information(design, probabilities[:, 1:]))
    return {"losses": losses, "scores": scores, "information": information}


def _information(design: Floats, probabilities: Floats) -> Floats:
    """Of the multinomial likelihood: (others * p, others * p)."""
    others, size = probabilities.shape[1], design.shape[1]
    blocks = np.empty((others, size, others, size))
    for first in range(others):
        for second in range(others):
            same = float(first == second)
            weights = probabilities[:, first] * (same - probabilities[:, second])
            blocks[first, :, second] = design.T @ (design * weights[:, None])
    return blocks.reshape(others * size, others * size)


@dataclass(frozen=True)
class PropensityFits:
    """The regressions of all training sets as one descent."""

    descent: Descent

    @classmethod
    def begin(cls, moments: Moments, frame: EffectFrame) -> "PropensityFits":
        """From the arms' shares, which need no column."""
        sets, others, size = _shape(frame)
        start = np.zeros((sets, others, size))
        for number in range(sets):
            counts = np.maximum(moments.training(number).counts, 0.5)
            start[number, :, 0] = np.log(counts[1:] / counts[0])
        penalties = np.tile(RIDGE * penalty(moments), others)
        return cls(Descent.begin(start.reshape(sets, others * size), np.tile(penalties, (sets, 1)), of_predictors(frame)))

    def order(self, frame: EffectFrame) -> dict[str, Floats]:
        return {"coefficients": self.descent.trial.reshape(_shape(frame))}

    def advance(self, total: Total, frame: EffectFrame) -> "PropensityFits":
        width = (len(frame.arms) - 1) * frame.size
        information = unpack(total["information"], width)
        error = total.error.get("losses", 0.0)
        return PropensityFits(self.descent.advance(total["losses"], total["scores"], information, error))

    def coefficients(self, frame: EffectFrame) -> Floats:
        return self.descent.accepted.reshape(_shape(frame))
