"""Are the arms alike? Differences of their columns before and after patients are weighed by the inverse of their probability.

A standardised difference is one of means over the deviation of both arms together, without weights (P. C. Austin, Multivariate
Behav. Res. 46 (2011) 399). Above 0.1 the arms differ; after weighing they should not.
"""

import math
from dataclasses import dataclass

import numpy as np

from wardround.analysis.effects.moments import Moments
from wardround.analysis.effects.rows import EffectFrame, Order, Sums
from wardround.analysis.effects.scores import Scored
from wardround.privacy.bounded_arrays import Quantity


def balance_bounds(frame: EffectFrame) -> dict[str, Quantity]:
    arms, heaviest = len(frame.arms), frame.largest_site / frame.least_probability
    return {
        "weights": Quantity((arms,), heaviest),
        "weight_squares": Quantity((arms,), heaviest / frame.least_probability),
        "weighted": Quantity((arms, frame.size), heaviest * frame.design_limit),
    }


def balance_sums(every: Scored, frame: EffectFrame) -> Sums:
    """One hospital's share: by arm the weights of its kept patients, their squares, and the weighed columns."""
    had = (every.rows.arms[:, None] == np.arange(len(frame.arms))) & every.kept[:, None]
    weights = np.where(had, 1 / np.maximum(every.probabilities, frame.least_probability), 0.0)
    return {
        "weights": weights.sum(axis=0),
        "weight_squares": np.sum(weights**2, axis=0),
        "weighted": weights.T @ every.rows.design,
    }


@dataclass(frozen=True)
class Balance:
    """arm, column: numbers. before, after: standardised differences from the control."""

    arm: int
    column: int
    before: float
    after: float


def balances(moments: Moments, total: Order, frame: EffectFrame) -> tuple[Balance, ...]:
    """Of every arm but the control and every column that varies. total: of `score_sums`."""
    whole = moments.everybody
    means = whole.products[:, 0] / whole.counts[:, None]
    spreads = np.diagonal(whole.products, axis1=1, axis2=2) / whole.counts[:, None] - means**2
    weighed = total["weighted"] / total["weights"][:, None]
    compared = []
    for arm in range(1, len(frame.arms)):
        for column in np.flatnonzero(moments.variances):
            deviation = math.sqrt(max(float(spreads[arm, column] + spreads[0, column]) / 2, 0.0))
            differences = [float(one[arm, column] - one[0, column]) for one in (means, weighed)]
            before, after = (one / deviation if deviation > 0 else math.nan for one in differences)
            compared.append(Balance(arm, int(column), before, after))
    return tuple(compared)


def effective_patients(total: Order, arm: int) -> float:
    """How many patients of equal weight would tell as much (L. Kish, Survey Sampling, 1965)."""
    squares = float(total["weight_squares"][arm])
    return float(total["weights"][arm]) ** 2 / squares if squares > 0 else 0.0
