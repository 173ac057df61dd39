"""How far a point may lie at which hospitals are asked for sums: at a far one few rows weigh anything, or one outweighs all.

A coordinator that chooses points at will would read single rows (docs/security.md, "An analysis without noise"). So a study has a
reach, hospitals add nothing beyond it, and honest steps are held within.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-5
"""A fit's last step is so small, relatively, and is not held within reach."""
_SHORTEST = 2.0**-10

Point = NDArray[np.float64]


@dataclass(frozen=True)
class Reach:
    """bounds: (p,), largest absolute value of each column. largest: of the sum of absolute coefficients times these."""

    bounds: Point
    largest: float

    def of(self, points: Point) -> float:
        """The largest of such sums of points (..., p); 0 of none."""
        sums: Point = np.abs(points) @ self.bounds
        return float(sums.max(initial=0.0))

    def holds(self, points: Point) -> bool:
        """Whether all points (..., p) may be asked for; not where a number is none."""
        return self.of(points) <= self.largest * (1.0 + ROUNDING)

    def within(self, begin: Point, step: Point) -> Point:
        """The end of a step from `begin`, or of so much of it as may be asked for; both (..., p)."""
        length = 1.0
        while length > _SHORTEST and self.of(begin + length * step) > self.largest:
            length /= 2
        end = begin + length * step
        return end if self.of(end) <= self.largest else end * (self.largest / self.of(end))
