"""Models of the outcome in each arm, for every training set: ridge regressions, on the outcome or on its logarithm.

Link and penalty of an arm are those with the smallest squared error on the folds that a model did not see; both ends clip what a
model says to the outcome's range. A penalty is that of columns with variance 1, so that units do not matter; the constant has
none.
"""

from dataclasses import dataclass

import numpy as np

from wardround.analysis.effects.moments import ArmMoments, Moments
from wardround.analysis.effects.rows import EffectFrame, Floats, Integers

LINKS = ("identity", "log")


@dataclass(frozen=True)
class OutcomeModels:
    """coefficients (a, s, p): of arm a in training set s. links (a,): numbers in LINKS. ridges, losses (a,): the chosen penalty
    and its mean squared error on patients that the model did not see."""

    coefficients: Floats
    links: Integers
    ridges: Floats
    losses: Floats


def penalty(moments: Moments) -> Floats:
    """What a penalty of 1 adds to the diagonal: the columns' variances (p,); the square of a column that never varies."""
    level = np.diag(moments.everybody.products.sum(axis=0)) / max(int(moments.everybody.counts.sum()), 1)
    weights = np.where(moments.variances > 0, moments.variances, np.maximum(level, 1.0))
    weights[0] = 0.0
    return weights


def ridge(products: Floats, cross: Floats, weights: Floats) -> Floats:
    """Solves (products + diag(weights)) b = cross."""
    return np.asarray(np.linalg.solve(products + np.diag(weights), cross))


def squared_error(coefficients: Floats, products: Floats, cross: Floats, squares: float) -> float:
    """Sum of squared errors of a linear model over the patients of these moments."""
    return float(squares - 2 * coefficients @ cross + coefficients @ products @ coefficients)


def linear_models(moments: Moments, frame: EffectFrame) -> OutcomeModels:
    """The ridge regressions of each arm, with the penalty that its held-out folds ask for."""
    weights = penalty(moments)
    arms, sets = len(frame.arms), frame.sets
    coefficients, ridges, losses = np.zeros((arms, sets, frame.size)), np.zeros(arms), np.zeros(arms)
    for arm in range(arms):
        paths = [_path(moments, arm, strength * weights) for strength in frame.ridges]
        path_losses = [_held_out_error(moments, arm, path) for path in paths]
        best = int(np.argmin(path_losses))
        coefficients[arm], ridges[arm] = paths[best], frame.ridges[best]
        losses[arm] = path_losses[best] / moments.everybody.counts[arm]
    return OutcomeModels(coefficients, np.zeros(arms, np.int64), ridges, losses)


def _path(moments: Moments, arm: int, weights: Floats) -> Floats:
    """One regression for each training set (s, p)."""
    sets: list[ArmMoments] = [moments.training(number) for number in range(len(moments.left_out))]
    return np.array([ridge(part.products[arm], part.cross[arm], weights) for part in sets])


def _held_out_error(moments: Moments, arm: int, path: Floats) -> float:
    parts = [moments.held_out(fold) for fold in range(moments.folds)]
    return sum(
        squared_error(path[fold], part.products[arm], part.cross[arm], part.squares[arm]) for fold, part in enumerate(parts)
    )


def predicted(models: OutcomeModels, design: Floats, sets: Integers, frame: EffectFrame) -> Floats:
    """What each row's outcome would be in each arm (n, a), by the model of the row's training set; within the outcome's range."""
    low, high = frame.outcome_range
    answers = np.empty((len(design), len(frame.arms)))
    for arm, link in enumerate(models.links):
        linear = np.einsum("np,np->n", design, models.coefficients[arm, sets])
        answers[:, arm] = np.exp(np.minimum(linear, 700.0)) if LINKS[link] == "log" else linear
    return np.clip(answers, low, high)
