"""Curved effects of numbers: restricted cubic splines whose knots follow from the contract, so that the basis is public.

The knots lie 1.5 and 0.5 scales below and above the contract's center; the curve is a line beyond the outer two (C. J. Stone,
C.-Y. Koo, Proc. ASA Stat. Comp. Sect. (1985) 45; F. E. Harrell, Regression Modeling Strategies, 2015, 2.4.5). Four knots add two
columns.
"""

from dataclasses import dataclass

import numpy as np

from wardround.analysis.effects.rows import Floats

KNOTS = (-1.5, -0.5, 0.5, 1.5)
"""In units of the contract's scale, from its center: of the scaled column."""


@dataclass(frozen=True)
class Curve:
    """One further column: at: of the design's column that it bends. name: as tables show it. number: which of the two, from 0.
    range: smallest and largest value of that column."""

    at: int
    name: str
    number: int
    range: tuple[float, float]

    @property
    def bound(self) -> float:
        """Its largest magnitude: it never falls, and begins at 0."""
        return float(np.abs(self.values(np.array(self.range))).max())

    def values(self, column: Floats) -> Floats:
        """(n,), of the scaled column (n,)."""
        first, before, last = KNOTS[self.number], KNOTS[-2], KNOTS[-1]
        bent = _cube(column - first)
        bent = bent - _cube(column - before) * (last - first) / (last - before)
        bent = bent + _cube(column - last) * (before - first) / (last - before)
        return np.asarray(bent / (last - KNOTS[0]) ** 2)


def _cube(values: Floats) -> Floats:
    """Of what is above 0."""
    return np.asarray(np.maximum(values, 0.0) ** 3)


def with_curves(design: Floats, curves: tuple[Curve, ...]) -> Floats:
    """The design with the further columns behind it."""
    return np.concatenate([design, *(curve.values(design[:, curve.at])[:, None] for curve in curves)], axis=1)
