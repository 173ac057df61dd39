"""Arrays of an analysis as one noised vector: each on a public scale of its own, so that one patient moves all by one clip norm.

    arrays of each patient --times their weights--> one vector, at most 1 long --summed (`bounded_rows`)--> words of `NoiseGrid`
    words of the total --decode--> float64 arrays in their own unit, each number with noise of `deviation(name)`

Guarantee: that of the Gaussian mechanism with the grid's multiplier, for one patient more or less, all arrays together.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.privacy.bounded_rows import ROOM
from wardround.privacy.discrete_gaussian import DEVIATION
from wardround.privacy.noise_grid import NoiseGrid
from wardround.values.tree import Tree

_WORDS = "noised/words"


@dataclass(frozen=True)
class NoisedArrayWords:
    """quantities: name -> the shape of an array. weights: name -> what its numbers are multiplied by in the vector. grid: of the
    vector, in clip norms."""

    quantities: Mapping[str, Quantity]
    weights: Mapping[str, float]
    grid: NoiseGrid

    def __post_init__(self) -> None:
        if self.weights.keys() != self.quantities.keys() or min(self.weights.values()) <= 0:
            raise ValueError("every array of a noised sum has a weight above 0")
        if self.grid.size != self.size or self.grid.clip_norm != 1.0:
            raise ValueError(f"a grid for {self.grid.size} values does not hold {self.size} in clip norms")

    @property
    def size(self) -> int:
        """Numbers of all arrays."""
        return sum(quantity.size for quantity in self.quantities.values())

    @property
    def layout(self) -> dict[str, tuple[str, int]]:
        return {_WORDS: (f"uint{self.grid.bits}", self.size)}

    def vectors(self, arrays: Arrays) -> NDArray[np.float64]:
        """(n, size) of arrays (n, *shape), a row for each patient; names in order."""
        rows = len(next(iter(arrays.values())))
        parts = []
        for name in self._names:
            array = np.asarray(arrays[name], np.float64)
            if array.shape != (rows, *self.quantities[name].shape) or arrays.keys() != self.quantities.keys():
                raise ValueError(f"the arrays of the patients are not those planned ({name})")
            parts.append(array.reshape(rows, -1) * self._scale(name))
        return np.concatenate(parts, axis=1)

    def encode(self, vector: NDArray[np.float64]) -> Tree:
        """One site's words of its sum (size,): rounded, one share of noise added. Fresh noise at every call."""
        return {_WORDS: self.grid.encode(vector)}

    def decode(self, total: Tree) -> dict[str, NDArray[np.float64]]:
        """The sums, in the planned shapes, and the noise of all shares in them."""
        values, decoded = self.grid.decode(total[_WORDS]), dict[str, NDArray[np.float64]]()
        for name, start in self._starts.items():
            quantity = self.quantities[name]
            decoded[name] = (values[start : start + quantity.size] / self._scale(name)).reshape(quantity.shape)
        return decoded

    def deviation(self, name: str, shares: int) -> float:
        """Standard deviation of one number's noise in the total of so many shares, the rounding of each share included."""
        if self.grid.multiplier == 0:
            return 0.0
        return self.grid.step * math.sqrt(shares * (DEVIATION**2 + 1 / 12)) / self._scale(name)

    def _scale(self, name: str) -> float:
        """A patient whose part is 1 long is not shortened by the room that `bounded_rows` keeps for roundings."""
        return self.weights[name] * (1.0 - ROOM)

    @property
    def _names(self) -> list[str]:
        return sorted(self.quantities)

    @cached_property
    def _starts(self) -> dict[str, int]:
        starts = accumulate((self.quantities[name].size for name in self._names), initial=0)
        return dict(zip(self._names, starts, strict=False))
