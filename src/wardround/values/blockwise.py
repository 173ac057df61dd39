"""Arithmetic on arrays of a whole model, block by block: the float64 of a float32 array beside it would be twice as large again.

Each value is what the same operations on the whole array give, bit for bit.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 16
"""Values that are at work at a time: they stay in the cache."""


def add_weighted(total: NDArray[np.float64], array: NDArray[Any], weight: int) -> None:
    """`total += weight * array`, in float64. total: contiguous, of the array's shape."""
    for sums, values in _blocks(total, array):
        sums += np.multiply(values, weight, dtype=np.float64)


def divided(array: NDArray[np.float64], divisor: float) -> NDArray[np.float32]:
    """`array / divisor` in float64, rounded once to float32."""
    quotient = np.empty(array.shape, np.float32)
    for rounded, values in _blocks(quotient, array):
        rounded[:] = values / divisor
    return quotient


def distance_squared(array: NDArray[np.float64], divisor: float, start: NDArray[Any]) -> float:
    """The square of the Euclidean length of `array / divisor - start`."""
    pieces = (values / divisor - before for values, before in _blocks(array, start))
    return sum(float(np.dot(piece, piece)) for piece in pieces)


def _blocks(one: NDArray[Any], other: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The same piece of both, again and again; a piece of the first may be written to."""
    first, second = one.reshape(-1), other.reshape(-1)
    for start in range(0, first.size, BLOCK):
        yield first[start : start + BLOCK], second[start : start + BLOCK]
