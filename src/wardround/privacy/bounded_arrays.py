"""Arrays of stated shapes and bounds as words that can be added: whole numbers exactly, real ones on a grid of 64 bits.

arrays --encode--> words of one site --any sum--> words of the total --decode--> int64 or float64 arrays, with an error bound
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.privacy.fixed_point import Grid
from wardround.values.errors import DataError
from wardround.values.tree import Tree

Arrays = Mapping[str, NDArray[Any]]
_PART = "sum"


@dataclass(frozen=True)
class Quantity:
    """One array of a sum. bound: None for whole numbers, summed exactly; else the largest absolute value of a real number."""

    shape: tuple[int, ...]
    bound: float | None = None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class ArrayWords:
    """How the arrays of a sum over `sites` sites become words.

    quantities: name -> shape and bound of an array. fine: a real number becomes two words, on a grid of the bound and on one of
    that grid's step, so that a generous bound costs no digit: the sum is off by its own last digit and no more.
    """

    quantities: Mapping[str, Quantity]
    sites: int
    fine: bool = False

    @property
    def layout(self) -> dict[str, tuple[str, int]]:
        sizes = {name: quantity.size * (2 if self._is_fine(quantity) else 1) for name, quantity in self.quantities.items()}
        return {f"{_PART}/{name}": ("uint64", size) for name, size in sorted(sizes.items())}

    def _is_fine(self, quantity: Quantity) -> bool:
        return self.fine and quantity.bound is not None

    @property
    def largest_whole(self) -> int:
        """Of one site's whole numbers, either way: so many of them add up without wrapping."""
        return (2**63 - 1) // self.sites

    def encode(self, values: Arrays, key: Callable[[str], bytes] = lambda _name: os.urandom(32)) -> Tree:
        """One site's words. DataError where names, shapes or numbers are not as planned. key: of an array's random rounding."""
        if values.keys() != self.quantities.keys():
            raise DataError(
                "The arrays to sum are not those planned",
                expected=", ".join(sorted(self.quantities)),
                found=", ".join(sorted(values)) or "none",
            )
        return {f"{_PART}/{name}": self._encoded(name, np.asarray(values[name]), key) for name in sorted(values)}

    def _encoded(self, name: str, array: NDArray[Any], key: Callable[[str], bytes]) -> NDArray[Any]:
        quantity = self.quantities[name]
        if array.shape != quantity.shape:
            raise DataError(
                f"The array {name} has another shape than planned", expected=f"{quantity.shape}", found=f"{array.shape}"
            )
        if quantity.bound is None:
            return self._whole(name, array)
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise DataError(f"The array {name} holds something else than finite numbers")
        words, _ = self._grid(quantity.bound).encode(array, key(name))
        if not self.fine:
            return words
        rest = np.clip(array.reshape(-1), -quantity.bound, quantity.bound) - self._grid(quantity.bound).decode(words)
        fine_words, _ = self._fine_grid(quantity.bound).encode(rest, key(f"{name}~"))
        return np.concatenate([words, fine_words])

    def _whole(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        limit = self.largest_whole
        if array.dtype.kind not in "iub":
            raise DataError(f"The array {name} holds real numbers and has no bound", hint="give it a bound, or whole numbers")
        if array.size and (int(array.max()) > limit or int(array.min()) < -limit):
            raise DataError(f"The array {name} holds numbers whose sum could overflow", expected=f"-{limit} to {limit}")
        return array.astype(np.int64).reshape(-1).view(np.uint64).copy()

    def _grid(self, bound: float) -> Grid:
        return Grid(bound, self.sites, 64)

    def _fine_grid(self, bound: float) -> Grid:
        """Of what one site's rounding to the first grid leaves: a step, and the rounding of its own arithmetic."""
        return Grid(2.0 * self._grid(bound).step + 2.0**-50 * bound, self.sites, 64)

    def decode(self, total: Tree) -> dict[str, NDArray[Any]]:
        """The sums, in the planned shapes: int64 for whole numbers, float64 for real ones."""
        return {name: self._decoded(name, total[f"{_PART}/{name}"]) for name in self.quantities}

    def _decoded(self, name: str, words: NDArray[Any]) -> NDArray[Any]:
        quantity = self.quantities[name]
        if quantity.bound is None:
            return words.view(np.int64).reshape(quantity.shape)
        values = self._grid(quantity.bound).decode(words[: quantity.size])
        if self.fine:
            values = values + self._fine_grid(quantity.bound).decode(words[quantity.size :])
        return values.reshape(quantity.shape)

    def error(self, name: str, largest: float = 0.0) -> float:
        """Largest error of one value of the sum, besides clipping: 0 for whole numbers. largest: absolute value of the sum, whose
        own last digit counts where the grid is fine."""
        bound = self.quantities[name].bound
        if bound is None:
            return 0.0
        return self._fine_grid(bound).error_bound + 2.0**-50 * largest if self.fine else self._grid(bound).error_bound
