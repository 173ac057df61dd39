"""Which learner is nearest to the contrasts of scores, and what a rule is worth that gives each patient the arm predicted best.

The value of a rule is the mean of the scores of the arms that it gives, over patients that the models did not see, so that it is
no better than it looks (S. Athey, S. Wager, Econometrica 89 (2021) 133).
"""

import math
from dataclasses import dataclass

import numpy as np

from wardround.analysis.effects.learners import LEARNERS, Learners, learner_order, predicted_effects
from wardround.analysis.effects.rows import EffectFrame, EffectRows, Floats, Integers, Order, Sums
from wardround.analysis.effects.scores import Nuisance, Scored, nuisance_order, scored
from wardround.privacy.bounded_arrays import Quantity


def judged_order(frame: EffectFrame) -> dict[str, tuple[int, ...]]:
    return {**nuisance_order(frame), **learner_order(frame)}


def judged_bounds(frame: EffectFrame) -> dict[str, Quantity]:
    n, arms, kinds = frame.largest_site, len(frame.arms), len(LEARNERS)
    score, width = frame.score_limit, frame.outcome_width
    return {
        "losses": Quantity((kinds, arms - 1), n * (2 * score + width) ** 2),
        "effects": Quantity((kinds, arms - 1), n * width),
        "effect_squares": Quantity((kinds, arms - 1), n * width**2),
        "contrasts": Quantity((arms - 1,), n * 2 * score),
        "contrast_effects": Quantity((kinds, arms - 1), n * 2 * score * width),
        "given": Quantity((kinds, arms)),
        "rule_scores": Quantity((kinds,), n * score),
        "rule_squares": Quantity((kinds,), n * score**2),
        "gain_squares": Quantity((kinds, arms), n * 4 * score**2),
    }


def judged_sums(rows: EffectRows, order: Order, frame: EffectFrame) -> Sums:
    """One hospital's share of what the learners are compared by. Only kept rows count."""
    every, effects = with_effects(rows, order, frame)
    kinds, arms = len(LEARNERS), len(frame.arms)
    arm_counts, values = np.zeros((kinds, arms), np.int64), np.zeros((kinds, int(every.kept.sum())))
    scores = every.scores[every.kept]
    for kind in range(kinds):
        chosen = best_arms(effects[kind], frame)[every.kept]
        arm_counts[kind] = np.bincount(chosen, minlength=arms)
        values[kind] = scores[np.arange(len(chosen)), chosen]
    kept = effects[:, every.kept]
    contrasts = every.contrasts[every.kept]
    return {
        "losses": np.sum((contrasts - kept) ** 2, axis=1),
        "effects": kept.sum(axis=1),
        "effect_squares": np.sum(kept**2, axis=1),
        "contrasts": contrasts.sum(axis=0),
        "contrast_effects": np.sum(contrasts * kept, axis=1),
        "given": arm_counts,
        "rule_scores": values.sum(axis=1),
        "rule_squares": np.sum(values**2, axis=1),
        "gain_squares": np.sum((values[:, :, None] - scores) ** 2, axis=1),
    }


def best_arms(effects: Floats, frame: EffectFrame) -> Integers:
    """The arm of each row (n,) with the best predicted outcome; the control where no other is better. effects (n, a - 1)."""
    sign = 1.0 if frame.better == "higher" else -1.0
    against = np.concatenate([np.zeros((len(effects), 1)), sign * effects], axis=1)
    return np.asarray(np.nan_to_num(against, nan=-np.inf).argmax(axis=1))


def with_effects(rows: EffectRows, order: Order, frame: EffectFrame) -> tuple[Scored, Floats]:
    """The rows with their scores, and the effects that each learner predicts (l, n, a - 1)."""
    nuisance = Nuisance.of(order)
    return scored(rows, nuisance, frame), predicted_effects(Learners.of(order), nuisance, rows.design, rows.folds, frame)


@dataclass(frozen=True)
class RuleValue:
    """name: the learner whose predictions it follows. value, error: mean outcome under the rule. gain, gain_error: against the
    arm `best`, given to everybody. given (a,): how many get each arm."""

    name: str
    value: float
    error: float
    best: int
    gain: float
    gain_error: float
    given: Integers


def rule_values(judged: Order, total: Order, frame: EffectFrame) -> tuple[RuleValue, ...]:
    """Of each learner but S, whose rule is one arm for all. total: of `score_sums`."""
    n = int(total["kept"].sum())
    means = total["scores"] / n
    best = int(np.argmax(means if frame.better == "higher" else -means))
    values = []
    for kind, name in enumerate(LEARNERS):
        if name == "S":
            continue
        value = float(judged["rule_scores"][kind]) / n
        gain = value - float(means[best])
        square = float(judged["rule_squares"][kind]) / n
        gain_square = float(judged["gain_squares"][kind, best]) / n
        error, gain_error = (math.sqrt(max(s - m**2, 0.0) / n) for s, m in ((square, value), (gain_square, gain)))
        values.append(RuleValue(name, value, error, best, gain, gain_error, judged["given"][kind]))
    return tuple(values)


def chosen_learners(judged: Order) -> Integers:
    """The learner with the smallest loss for each arm but the control (a - 1,); S is none, since it tells nobody apart."""
    return np.asarray(judged["losses"][1:].argmin(axis=0) + 1)
