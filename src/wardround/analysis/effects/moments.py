"""The first sum: second moments by fold and arm. From it alone follow the unadjusted effects, Lin's regression, every ridge
regression that leaves a fold out, and its loss on that fold.

    rows --by fold and arm: n, sum z z', sum z y, sum y^2--> Moments --less one fold--> the moments of a training set

Training sets have the numbers of `EffectFrame.left_out`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wardround.analysis.effects.rows import EffectFrame, EffectRows, Floats, Integers, Order, Sums, pack, unpack
from wardround.privacy.bounded_arrays import Quantity


def moment_bounds(frame: EffectFrame) -> dict[str, Quantity]:
    cells, n = (frame.folds, len(frame.arms)), frame.largest_site
    return {
        "counts": Quantity(cells),
        "hospitals_without": Quantity((len(frame.arms),)),
        "products": Quantity((*cells, frame.packed), n * frame.design_limit**2),
        "cross": Quantity((*cells, frame.size), n * frame.design_limit * frame.outcome_limit),
        "squares": Quantity(cells, n * frame.outcome_limit**2),
    }


def moment_sums(rows: EffectRows, frame: EffectFrame) -> Sums:
    """One hospital's share. `hospitals_without` is 1 for an arm that nobody has here."""
    folds, arms = frame.folds, len(frame.arms)
    products, cross = np.zeros((folds, arms, frame.packed)), np.zeros((folds, arms, frame.size))
    squares, counts = np.zeros((folds, arms)), np.zeros((folds, arms), np.int64)
    for fold in range(folds):
        for arm in range(arms):
            chosen = (rows.folds == fold) & (rows.arms == arm)
            design, outcome = rows.design[chosen], rows.outcome[chosen]
            counts[fold, arm] = len(outcome)
            products[fold, arm] = pack(design.T @ design)
            cross[fold, arm] = design.T @ outcome
            squares[fold, arm] = outcome @ outcome
    without = (counts.sum(axis=0) == 0).astype(np.int64)
    return {"counts": counts, "hospitals_without": without, "products": products, "cross": cross, "squares": squares}


@dataclass(frozen=True)
class Moments:
    """The total. counts (k, a), products (k, a, p, p), cross (k, a, p), squares (k, a): by fold and arm."""

    counts: Integers
    products: Floats
    cross: Floats
    squares: Floats
    hospitals_without: Integers
    left_out: tuple[frozenset[int], ...]

    @classmethod
    def of(cls, total: Order, frame: EffectFrame) -> "Moments":
        products = unpack(total["products"], frame.size)
        return cls(total["counts"], products, total["cross"], total["squares"], total["hospitals_without"], frame.left_out)

    @property
    def folds(self) -> int:
        return len(self.counts)

    @cached_property
    def everybody(self) -> "ArmMoments":
        return ArmMoments(*(part.sum(axis=0) for part in (self.counts, self.products, self.cross, self.squares)))

    def training(self, training_set: int) -> "ArmMoments":
        """Of a training set, by its number."""
        part = self.everybody
        for fold in sorted(self.left_out[training_set]):
            part = part.less(self.held_out(fold))
        return part

    def held_out(self, fold: int) -> "ArmMoments":
        return ArmMoments(self.counts[fold], self.products[fold], self.cross[fold], self.squares[fold])

    @cached_property
    def means(self) -> Floats:
        """Of the design's columns over everybody: (p,)."""
        return np.asarray(self.everybody.products[:, 0].sum(axis=0) / self.everybody.counts.sum())

    @cached_property
    def variances(self) -> Floats:
        """Of the design's columns over everybody: (p,); 0 for the constant, and for a column that never varies."""
        products, n = self.everybody.products.sum(axis=0), int(self.everybody.counts.sum())
        spread = np.diag(products) / n - self.means**2
        return np.where(spread > 1e-9 * np.maximum(np.diag(products) / n, 1e-300), spread, 0.0)


@dataclass(frozen=True)
class ArmMoments:
    """Moments of one set of patients by arm. counts (a,), products (a, p, p), cross (a, p), squares (a,)."""

    counts: Integers
    products: Floats
    cross: Floats
    squares: Floats

    def less(self, other: "ArmMoments") -> "ArmMoments":
        return ArmMoments(
            self.counts - other.counts, self.products - other.products, self.cross - other.cross, self.squares - other.squares
        )

    @property
    def outcome_means(self) -> Floats:
        """(a,); NaN where nobody has the arm."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.cross[:, 0] / self.counts)

    @property
    def outcome_variances(self) -> Floats:
        """(a,), with n - 1; NaN below two patients."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((self.squares - self.counts * self.outcome_means**2) / (self.counts - 1))
