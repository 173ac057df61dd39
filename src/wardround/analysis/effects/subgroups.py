"""For whom more and for whom less: the average effect in both halves of every column, by doubly robust scores.

The halves are public: yes and no, a category and the others, above and below the contract's center. A pattern found in many
columns is the largest of many draws, so that its p-value is adjusted (Holm) over all columns and arms.
"""

import math
from dataclasses import dataclass

from wardround.analysis.effects.interactions import holm
from wardround.analysis.effects.rows import EffectFrame, Order, unpack


@dataclass(frozen=True)
class Half:
    """patients, and the average effect among them with its standard error."""

    patients: int
    effect: float
    error: float


@dataclass(frozen=True)
class Subgroup:
    """arm, column: numbers. p_value: that both halves have the same effect. adjusted: after Holm."""

    arm: int
    column: int
    above: Half
    below: Half
    p_value: float
    adjusted: float


def subgroups(total: Order, frame: EffectFrame, fewest: int) -> tuple[Subgroup, ...]:
    """Of every arm and column, where both halves hold at least `fewest`. total: of `score_sums`."""
    n, products = int(total["kept"].sum()), unpack(total["products"], len(frame.arms))
    compared = []
    for arm in range(1, len(frame.arms)):
        sums = float(total["scores"][arm] - total["scores"][0])
        squares = float(products[arm, arm] + products[0, 0] - 2 * products[arm, 0])
        for column in range(1, frame.size):
            inside = int(total["above"][column])
            if min(inside, n - inside) < max(fewest, 2):
                continue
            own, own_squares = (float(total[name][arm - 1, column]) for name in ("above_contrasts", "above_squares"))
            above, below = _half(inside, own, own_squares), _half(n - inside, sums - own, squares - own_squares)
            error = math.hypot(above.error, below.error)
            p_value = math.erfc(abs(above.effect - below.effect) / error / math.sqrt(2)) if error > 0 else math.nan
            compared.append((arm, column, above, below, p_value))
    adjusted = holm([one[4] for one in compared])
    return tuple(Subgroup(*one, value) for one, value in zip(compared, adjusted, strict=True))


def _half(patients: int, effects: float, squares: float) -> Half:
    mean = effects / patients
    return Half(patients, mean, math.sqrt(max(squares - patients * mean**2, 0.0) / (patients - 1) / patients))
