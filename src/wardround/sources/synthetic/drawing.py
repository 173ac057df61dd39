"""How a synthetic patient is drawn: repeatable random rows, and shapes with soft edges on a grid of pixels.

Everything works on a batch: quantities of one image are float32 arrays (n, 1, 1), pictures float32 arrays (n, size, size).
The picture spans -1..1 in both directions; x grows to the right, y downwards; one unit is half the picture.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.floating[Any]]  # float32 throughout; numpy's stubs widen the results of mixed arithmetic


class Draws:
    """Uniform numbers, one row per image, handed out column by column: an image's numbers depend on its own row only.

    rows: float32 (n, columns) in [0, 1). Every method returns float32 (n, 1, 1). IndexError when the columns are used up.
    """

    def __init__(self, rows: Pixels) -> None:
        self._rows = rows
        self._next = 0

    def unit(self) -> Pixels:
        column = self._rows[:, self._next, None, None]
        self._next += 1
        return column

    def between(self, low: float, high: float) -> Pixels:
        return np.float32(low) + np.float32(high - low) * self.unit()

    def near(self, mean: float, spread: float) -> Pixels:
        """Bell-shaped around `mean`, standard deviation `spread`, never further than 3 spreads: a sum of three uniforms."""
        total = self.unit() + self.unit() + self.unit()
        return np.float32(mean) + np.float32(2.0 * spread) * (total - np.float32(1.5))

    def chance(self, probability: float) -> Pixels:
        """1 with this probability, else 0."""
        return (self.unit() < probability).astype(np.float32)

    def side(self) -> Pixels:
        """-1 or 1, equally likely."""
        return np.where(self.unit() < 0.5, np.float32(-1), np.float32(1))


def ramp(value: Pixels) -> Pixels:
    """0 below 0, 1 above 1, smooth between: every soft edge of a picture."""
    t = np.clip(value, np.float32(0), np.float32(1))
    return np.asarray(t * t * (np.float32(3) - np.float32(2) * t), dtype=np.float32)


def band(distance: Pixels, half_width: Pixels | float, edge: Pixels | float) -> Pixels:
    """1 within half_width of a line, falling to 0 over `edge`."""
    return ramp((half_width + edge - np.abs(distance)) / edge)


def disc(x: Pixels, y: Pixels, radius_x: Pixels | float, radius_y: Pixels | float, edge: Pixels | float) -> Pixels:
    """1 inside an ellipse around the origin, 0 outside, over an edge that is a share of the radius."""
    a, b = x / radius_x, y / radius_y
    return ramp((np.float32(1) - np.sqrt(a * a + b * b)) / edge + np.float32(0.5))


def turned(x: Pixels, y: Pixels, angle: Pixels) -> tuple[Pixels, Pixels]:
    """Coordinates in axes turned by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    return c * x + s * y, c * y - s * x


def pixel_centres(size: int) -> Pixels:
    """The centres of `size` pixels over -1..1: float32 (size,)."""
    return ((np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2.0 / size) - np.float32(1)).astype(np.float32)


@lru_cache(maxsize=32)
def _spline(size: int, knots: int) -> Pixels:
    """(size, knots): cubic B-spline weights of `knots` evenly spaced knots at the pixel centres."""
    position = (pixel_centres(size) + 1.0) / 2.0 * (knots - 3) + 1.0
    distance = np.abs(position[:, None] - np.arange(knots, dtype=np.float32)[None, :])
    near = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    far = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
    return np.asarray(np.where(distance < 1.0, near, far), dtype=np.float32)


def smooth_field(knots: Pixels, size: int) -> Pixels:
    """Smooth random pictures (n, size, size) from values at k x k knots (n, k, k); the same at every size but for sampling."""
    weights = _spline(size, knots.shape[-1])
    return np.asarray(weights @ knots @ weights.T, dtype=np.float32)
