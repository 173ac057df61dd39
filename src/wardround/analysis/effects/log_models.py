"""Outcome models with a logarithmic link, fitted through sums: the expected outcome is exp(b' z), so that effects multiply.

The loss is the Poisson quasi-likelihood, sum of mu - y b' z. It is convex whatever the outcomes are, and asks of them only that
their expectation is exp(b' z) (R. W. M. Wedderburn, Biometrika 61 (1974) 439). Every arm, training set and penalty is a problem
of its own; all of them take one Newton step an exchange.
"""

from dataclasses import dataclass

import numpy as np

from wardround.analysis.effects.moments import Moments
from wardround.analysis.effects.newton import Descent
from wardround.analysis.effects.outcome_models import LINKS, OutcomeModels, penalty
from wardround.analysis.effects.reach import of_predictors
from wardround.analysis.effects.rows import EffectFrame, EffectRows, Floats, Order, Sums, pack, unpack
from wardround.analysis.protocol import Total
from wardround.privacy.bounded_arrays import Quantity

LOWEST = -30.0
"""b' z below it counts as it: exp(-30) is no outcome that anybody measured."""


def _highest(frame: EffectFrame) -> float:
    """b' z above it counts as it: four times the largest outcome."""
    return float(np.log(4.0 * frame.outcome_range[1]))


def _shape(frame: EffectFrame) -> tuple[int, int, int]:
    return len(frame.arms), frame.sets, len(frame.ridges)


def log_order(frame: EffectFrame) -> dict[str, tuple[int, ...]]:
    """Shapes of the order: the trial of every problem."""
    return {"coefficients": (*_shape(frame), frame.size)}


def log_bounds(frame: EffectFrame) -> dict[str, Quantity]:
    n, limit, outcome = frame.largest_site, frame.design_limit, frame.outcome_limit
    top = 4.0 * frame.outcome_range[1]
    arms, sets, ridges = _shape(frame)
    return {
        "losses": Quantity((arms, sets, ridges), n * (top + outcome * max(-LOWEST, abs(_highest(frame))))),
        "scores": Quantity((arms, sets, ridges, frame.size), n * limit * (top + outcome)),
        "information": Quantity((arms, sets, ridges, frame.packed), n * limit**2 * top),
        "held_out": Quantity((arms, frame.folds, ridges), n * frame.outcome_width**2),
    }


def log_sums(rows: EffectRows, order: Order, frame: EffectFrame) -> Sums:
    """One hospital's share of the loss, score and information of every problem, and the squared errors on its left-out fold."""
    arms, sets, ridges = _shape(frame)
    losses, held_out = np.zeros((arms, sets, ridges)), np.zeros((arms, frame.folds, ridges))
    scores, information = np.zeros((arms, sets, ridges, frame.size)), np.zeros((arms, sets, ridges, frame.packed))
    low, high = frame.outcome_range
    for arm in range(arms):
        chosen = rows.arms == arm
        design, outcome, folds = rows.design[chosen], rows.outcome[chosen], rows.folds[chosen]
        for number in range(sets):
            trained = ~np.isin(folds, list(frame.left_out[number]))
            for strength in range(ridges):
                linear = np.clip(design @ order["coefficients"][arm, number, strength], LOWEST, _highest(frame))
                expected = np.exp(linear)
                at = (arm, number, strength)
                losses[at] = np.sum((expected - outcome * linear)[trained])
                scores[at] = design[trained].T @ (outcome - expected)[trained]
                information[at] = pack(design[trained].T @ (design[trained] * expected[trained, None]))
                if number < frame.folds:
                    held_out[at] = np.sum((outcome - np.clip(expected, low, high))[~trained] ** 2)
    return {"losses": losses, "scores": scores, "information": information, "held_out": held_out}


@dataclass(frozen=True)
class LogFits:
    """All problems as one descent. offered (a,): arms whose mean outcome is above 0 in every training set; others have no such
    model. held_out (a, k, l): squared errors at the trial before."""

    descent: Descent
    offered: np.ndarray[tuple[int], np.dtype[np.bool_]]
    held_out: Floats

    @classmethod
    def begin(cls, moments: Moments, frame: EffectFrame) -> "LogFits":
        arms, sets, ridges = _shape(frame)
        means = np.array([moments.training(number).outcome_means for number in range(sets)]).T
        offered = (np.nan_to_num(means) > 0).all(axis=1)
        start, penalties = np.zeros((arms, sets, ridges, frame.size)), np.zeros((arms, sets, ridges, frame.size))
        start[..., 0] = np.log(np.where(offered[:, None], means, 1.0))[:, :, None]
        # Times the mean, so that the penalty weighs the same in whatever unit the outcome is.
        scale = np.where(offered, means[:, -1], 1.0)
        penalties[:] = scale[:, None, None, None] * np.array(frame.ridges)[:, None] * penalty(moments)
        flat = (arms * sets * ridges, frame.size)
        return cls(
            Descent.begin(start.reshape(flat), penalties.reshape(flat), of_predictors(frame)),
            offered,
            np.zeros((arms, frame.folds, ridges)),
        )

    def order(self, frame: EffectFrame) -> dict[str, Floats]:
        return {"coefficients": self.descent.trial.reshape(*_shape(frame), frame.size)}

    def advance(self, total: Total, frame: EffectFrame) -> "LogFits":
        losses, scores = total["losses"].reshape(-1), total["scores"].reshape(-1, frame.size)
        information = unpack(total["information"].reshape(-1, frame.packed), frame.size)
        return LogFits(
            self.descent.advance(losses, scores, information, total.error.get("losses", 0.0)), self.offered, total["held_out"]
        )

    @property
    def finished(self) -> bool:
        return self.descent.finished or not self.offered.any()


def better_models(linear: OutcomeModels, fits: LogFits, moments: Moments, frame: EffectFrame) -> OutcomeModels:
    """For each arm the model with the smaller error on patients that it did not see. Where no log model is offered, a line."""
    coefficients, links = linear.coefficients.copy(), linear.links.copy()
    ridges, losses = linear.ridges.copy(), linear.losses.copy()
    fitted = fits.descent.accepted.reshape(*_shape(frame), frame.size)
    errors = fits.held_out.sum(axis=1) / np.maximum(moments.everybody.counts, 1)[:, None]
    for arm in np.flatnonzero(fits.offered):
        best = int(np.argmin(errors[arm]))
        if "identity" not in frame.links or errors[arm, best] < losses[arm]:
            coefficients[arm], links[arm] = fitted[arm, :, best], LINKS.index("log")
            ridges[arm], losses[arm] = frame.ridges[best], errors[arm, best]
    return OutcomeModels(coefficients, links, ridges, losses)
