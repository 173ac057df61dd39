"""The effect for one patient: four learners, made of regressions from sums.

    S   one regression with treatment as a column: the same effect for everybody
    T   the difference of the arms' models
    X   regressions of the imputed effects, weighed by the probability of the arm (S. R. Kuenzel et al., PNAS 116 (2019) 4156)
    DR  a regression of the contrast of doubly robust scores (E. H. Kennedy, Electron. J. Stat. 17 (2023) 3008)

Penalties are chosen on folds that a regression did not see. The learners are compared by the same loss, the squared distance to
the contrast of scores, since no patient's effect is ever observed.
"""

from dataclasses import dataclass

import numpy as np

from wardround.analysis.effects.moments import Moments
from wardround.analysis.effects.outcome_models import penalty, predicted, ridge, squared_error
from wardround.analysis.effects.propensity import arm_probabilities
from wardround.analysis.effects.rows import EffectFrame, EffectRows, Floats, Integers, Order, Sums, pack, unpack
from wardround.analysis.effects.scores import Chosen, Nuisance, Scored, scored
from wardround.privacy.bounded_arrays import Quantity

LEARNERS = ("S", "T", "X", "DR")


@dataclass(frozen=True)
class Learners:
    """constants (a - 1, s): S. sides (a - 1, s, 2, p): X, from the control and from the arm. contrasts (a - 1, s, p): DR.

    T needs nothing but the models of the outcome."""

    constants: Floats
    sides: Floats
    contrasts: Floats

    def order(self) -> dict[str, Floats]:
        return {"constants": self.constants, "sides": self.sides, "contrasts": self.contrasts}

    @classmethod
    def of(cls, order: Order) -> "Learners":
        return cls(order["constants"], order["sides"], order["contrasts"])


def learner_order(frame: EffectFrame) -> dict[str, tuple[int, ...]]:
    others, sets = len(frame.arms) - 1, frame.folds + 1
    return {
        "constants": (others, sets),
        "sides": (others, sets, 2, frame.size),
        "contrasts": (others, sets, frame.size),
    }


def second_stage_bounds(frame: EffectFrame) -> dict[str, Quantity]:
    """Sums over each training set, and over each fold for itself (`held_`). X: from the control and from the arm."""
    n, others, score = frame.largest_site, len(frame.arms) - 1, 2 * frame.score_limit
    limit, width, size = frame.design_limit, frame.outcome_width, frame.size
    bounds = {}
    for prefix, sets in (("", frame.folds + 1), ("held_", frame.folds)):
        bounds[f"{prefix}kept_products"] = Quantity((sets, frame.packed), n * limit**2)
        bounds[f"{prefix}contrasts"] = Quantity((sets, others, size), n * limit * score)
        bounds[f"{prefix}imputed"] = Quantity((sets, others, 2, size), n * limit * width)
    bounds["contrast_squares"] = Quantity((frame.folds, others), n * score**2)
    bounds["imputed_squares"] = Quantity((frame.folds, others, 2), n * width**2)
    return bounds


def second_stage_sums(rows: EffectRows, order: Order, frame: EffectFrame) -> Sums:
    """One hospital's share of the regressions of contrasts (DR) and imputed effects (X), for every set that they are fitted to.

    A set's models of the outcome have seen neither the row nor the fold that the regression is judged on."""
    nuisance = Nuisance.of(order)
    sums = {name: np.zeros(quantity.shape) for name, quantity in second_stage_bounds(frame).items()}
    for number in range(frame.folds + 1):
        every = scored(rows, nuisance, frame, frame.sets_for(rows.folds, number))
        _add(sums, "", number, every, rows.folds != number, frame)
    every = scored(rows, nuisance, frame)
    for fold in range(frame.folds):
        _add(sums, "held_", fold, every, rows.folds == fold, frame)
        sums["contrast_squares"][fold] = np.sum(every.contrasts[rows.folds == fold] ** 2, axis=0)
    return sums


def _add(sums: Sums, prefix: str, number: int, every: Scored, here: Chosen, frame: EffectFrame) -> None:
    """The sums of one set over the rows that are `here`."""
    design = every.rows.design
    kept = design[here & every.kept]
    sums[f"{prefix}kept_products"][number] = pack(kept.T @ kept)
    sums[f"{prefix}contrasts"][number] = every.contrasts[here].T @ design[here]
    for other in range(len(frame.arms) - 1):
        for side, (arm, effects) in enumerate(imputed_effects(every, other + 1)):
            chosen = here & (every.rows.arms == arm)
            sums[f"{prefix}imputed"][number, other, side] = effects[chosen] @ design[chosen]
            if prefix:
                sums["imputed_squares"][number, other, side] = np.sum(effects[chosen] ** 2)


def imputed_effects(every: Scored, arm: int) -> tuple[tuple[int, Floats], tuple[int, Floats]]:
    """What the X-learner regresses: in the control arm m_a - y, in arm a y - m_0; each with the arm that it holds for."""
    outcome = every.rows.outcome
    return (0, every.predictions[:, arm] - outcome), (arm, outcome - every.predictions[:, 0])


def fitted_learners(moments: Moments, total: Order, frame: EffectFrame) -> Learners:
    """total: of `second_stage_sums`."""
    others, weights = len(frame.arms) - 1, penalty(moments)
    by_arm = np.array([moments.training(number).products for number in range(frame.folds + 1)]).transpose(1, 0, 2, 3)
    held_by_arm = moments.products.transpose(1, 0, 2, 3)
    kept, held_kept = unpack(total["kept_products"], frame.size), unpack(total["held_kept_products"], frame.size)
    sides, contrasts = np.zeros((others, frame.folds + 1, 2, frame.size)), np.zeros((others, frame.folds + 1, frame.size))
    for other in range(others):
        for side, arm in enumerate((0, other + 1)):
            judge = _Judge(held_by_arm[arm], total["held_imputed"][:, other, side], total["imputed_squares"][:, other, side])
            sides[other, :, side] = _chosen_ridge(by_arm[arm], total["imputed"][:, other, side], judge, weights, frame)
        judge = _Judge(held_kept, total["held_contrasts"][:, other], total["contrast_squares"][:, other])
        contrasts[other] = _chosen_ridge(kept, total["contrasts"][:, other], judge, weights, frame)
    return Learners(_constants(moments, frame), sides, contrasts)


@dataclass(frozen=True)
class _Judge:
    """Moments of each fold, to judge the regression that did not see it. products (k, p, p), cross (k, p), squares (k,)."""

    products: Floats
    cross: Floats
    squares: Floats

    def error(self, path: Floats) -> float:
        folds = zip(path[:-1], self.products, self.cross, self.squares, strict=True)
        return sum(squared_error(line, products, cross, float(squares)) for line, products, cross, squares in folds)


def _chosen_ridge(products: Floats, cross: Floats, judge: _Judge, weights: Floats, frame: EffectFrame) -> Floats:
    """Regressions (s, p) of every training set, with the penalty of the smallest held-out error."""
    paths = [
        np.array([ridge(own, own_cross, strength * weights) for own, own_cross in zip(products, cross, strict=True)])
        for strength in frame.ridges
    ]
    return min(paths, key=judge.error)


def _constants(moments: Moments, frame: EffectFrame) -> Floats:
    """The treatment's coefficients in one ridge regression on the columns and the arms (a - 1, s)."""
    others, size = len(frame.arms) - 1, frame.size
    constants = np.zeros((others, frame.folds + 1))
    weights = np.concatenate([frame.ridges[0] * penalty(moments), np.zeros(others)])
    for number in range(frame.folds + 1):
        part = moments.training(number)
        products, cross = np.zeros((size + others, size + others)), np.zeros(size + others)
        products[:size, :size], cross[:size] = part.products.sum(axis=0), part.cross.sum(axis=0)
        for other in range(others):
            at = size + other
            products[:size, at] = products[at, :size] = part.products[other + 1, 0]
            products[at, at], cross[at] = part.counts[other + 1], part.cross[other + 1, 0]
        constants[:, number] = ridge(products, cross, weights)[size:]
    return constants


def predicted_effects(learners: Learners, nuisance: Nuisance, design: Floats, sets: Integers, frame: EffectFrame) -> Floats:
    """The effect of each arm but the control for each row, by each of LEARNERS (l, n, a - 1); within the outcome's width."""
    others = len(frame.arms) - 1
    outcomes = predicted(nuisance.outcome, design, sets, frame)
    if frame.probabilities is None:
        probabilities = arm_probabilities(nuisance.propensity, design, sets)
    else:
        probabilities = np.tile(frame.probabilities, (len(design), 1))
    effects = np.empty((len(LEARNERS), len(design), others))
    effects[0] = learners.constants[:, sets].T
    effects[1] = outcomes[:, 1:] - outcomes[:, :1]
    for other in range(others):
        from_control, from_arm = (np.einsum("np,np->n", design, learners.sides[other, sets, side]) for side in range(2))
        share = probabilities[:, other + 1] / (probabilities[:, other + 1] + probabilities[:, 0])
        effects[2, :, other] = share * from_control + (1 - share) * from_arm
        effects[3, :, other] = np.einsum("np,np->n", design, learners.contrasts[other, sets])
    return np.clip(effects, -frame.outcome_width, frame.outcome_width)
