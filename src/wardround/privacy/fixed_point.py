"""Real numbers as integers that can be added modulo 2**bits without ever wrapping.

K sites each hold a vector x_k with |x_k| <= bound. A grid of L = floor((2**(bits-1) - 1) / K) levels on each side of zero has
the step s = bound / L. Each site sends q_k, its values rounded at random to one of the two neighbouring grid points so that
the expectation is kept (stochastic rounding), as a word modulo 2**bits.

Rounding takes f random bits r a value (f = 16, 32, 10 for words of 16, 32, 64 bits):

    k = rint(x * g)     g: the float just at or below L * 2**f / bound
    q = (k + r) >> f

No overflow: x * g <= L * 2**f in exact arithmetic and L * 2**f is a float, so |k| <= L * 2**f; hence |q| <= L, for every r, and
k + r <= L * 2**f + 2**f - 1 stays within an integer of twice the word's size (for 16 bits: 32767 * 65536 + 65535 = 2**31 - 1).
Then |sum q_k| <= K * L <= 2**(bits-1) - 1, the largest signed word. Therefore the sum of words modulo 2**bits, read as a signed
word, *is* the sum of the integers.

Error: |q_k - k / 2**f| <= 1 - 2**-f, rint adds 2**-(f+1), the product and g at most 2**-22 |x| in float32 and 2**-51 |x| in
float64. So the decoded sum is within K * (s + 2**-22 * bound) (16 bits; 2**-50 for longer words, float64's own decoding included)
of the sum of the x_k: `error_bound`. Bias: at most 2**-(f+1) of a step, and the same share of |x|. Values beyond the bound are
clipped first; `encode` says how many were.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wardround.crypto.keystream import BLOCK, Keystream, Mask, Masking, in_ranges

WordBits = Literal[16, 32, 64]
Read = Callable[[int, int], NDArray[Any]]
"""read(start, stop): the values in that range of a vector, as a contiguous float32 or float64 vector that is not written to."""
_UNSIGNED: dict[int, Any] = {16: np.uint16, 32: np.uint32, 64: np.uint64}
_SIGNED: dict[int, Any] = {16: np.int16, 32: np.int32, 64: np.int64}


@dataclass(frozen=True)
class _Rounding:
    """fraction: f, the random bits a value. random: the words that hold them, in the low bits. whole: what k + r fits in."""

    fraction: int
    random: Any
    whole: Any


_ROUNDING = {
    16: _Rounding(16, np.uint16, np.int32),
    32: _Rounding(32, np.uint32, np.int64),
    # 52 bits of levels and 10 of fraction fill 63; float64 has no more to give.
    64: _Rounding(10, np.uint16, np.int64),
}


class NotFiniteError(ValueError):
    """A value is NaN or infinite: it has no place on the grid."""


@dataclass(frozen=True)
class Grid:
    """The fixed-point grid that `sites` sites share. bound > 0, in the unit of the values; 1 <= sites <= 10,000."""

    bound: float
    sites: int
    bits: WordBits = 32

    def __post_init__(self) -> None:
        if not (np.isfinite(self.bound) and self.bound > 0):
            raise ValueError(f"a grid needs a positive, finite bound, not {self.bound}")
        if not 1 <= self.sites <= 10_000 or self.levels < 1:
            raise ValueError(f"{self.sites} sites do not fit words of {self.bits} bits")
        if self.step < np.finfo(np.float64).tiny:
            raise ValueError(f"the bound {self.bound} is too small for steps that float64 can tell apart")

    @property
    def levels(self) -> int:
        """Grid points on each side of zero that one site may use. For 64 bits it stays below 2**52, exact in float64."""
        return int(min((2 ** (self.bits - 1) - 1) // self.sites, 2**52))

    @property
    def step(self) -> float:
        return self.bound / self.levels

    @property
    def error_bound(self) -> float:
        """Largest distance, per coordinate, between the decoded sum of `sites` encodings and the sum of the clipped values."""
        arithmetic = 2.0**-22 if self.bits == 16 else 2.0**-50
        return self.sites * (self.step + arithmetic * self.bound) * (1 + 2.0**-50)

    @property
    def word(self) -> Any:
        return _UNSIGNED[self.bits]

    def encode(
        self, values: NDArray[Any], key: bytes, masks: Sequence[Mask] = (), *, threads: int = 1
    ) -> tuple[NDArray[Any], int]:
        """Words of the same length, and how many values lay beyond the bound and were clipped. All values must be finite.

        key: 32 bytes that random rounding draws from. masks: applied to every block of words while it is in the cache. The words
        are the same for every number of threads. float32 values take float32 arithmetic in words of 16 bits.
        """
        flat = np.asarray(values).reshape(-1)
        flat = flat if flat.dtype in (np.float32, np.float64) else flat.astype(np.float64)
        words = np.empty(flat.shape, self.word)
        return words, self.encode_into(words, lambda start, stop: flat[start:stop], key, masks, threads=threads)

    def encode_into(self, words: NDArray[Any], read: Read, key: bytes, masks: Sequence[Mask] = (), *, threads: int = 1) -> int:
        """`encode` for values that are made block by block, into words that are at hand. Returns how many were clipped."""

        def work(start: int, stop: int) -> int:
            encoder = _Encoder(self, key, start, min(BLOCK, stop - start))
            masking = Masking(masks, words.dtype, start)
            for at in range(start, stop, BLOCK):
                block = words[at : min(at + BLOCK, stop)]
                encoder.encode(read(at, at + block.size), block)
                masking.apply(block)
            return encoder.clipped

        return sum(in_ranges(words.size, threads, work))

    def decode(self, total: NDArray[Any]) -> NDArray[np.float64]:
        """The real sum that a sum of words stands for."""
        signed = np.asarray(total, self.word).view(_SIGNED[self.bits])
        values: NDArray[np.float64] = signed.astype(np.float64)
        values *= self.step
        return values


class _Encoder:
    """One range of a vector, block by block, in buffers that are used again. first: the number of the range's first value. size:
    of the largest block."""

    def __init__(self, grid: Grid, key: bytes, first: int, size: int) -> None:
        self._grid, self._how = grid, _ROUNDING[grid.bits]
        self._limit = grid.levels * 2.0**self._how.fraction
        self._random = Keystream(key, first * np.dtype(self._how.random).itemsize)
        self._bits = np.empty(size, self._how.random)
        self._whole = np.empty(size, self._how.whole)
        self._scaled = np.empty(size, np.float64)
        self._factors: dict[Any, Any] = {np.dtype(np.float64): factor_below(self._limit, grid.bound, np.float64)}
        if grid.bits == 16 and 1e-20 < grid.bound < 1e20:  # beyond these float32 has no such factor
            self._factors[np.dtype(np.float32)] = factor_below(self._limit, grid.bound, np.float32)
        self.clipped = 0

    def encode(self, block: NDArray[Any], words: NDArray[Any]) -> None:
        size, fraction = block.size, self._how.fraction
        scaled = self._scale(block)
        bits, whole = self._bits[:size], self._whole[:size]
        np.copyto(whole, np.rint(scaled, out=scaled), casting="unsafe")
        self._random.fill(bits)
        if fraction < bits.itemsize * 8:
            np.bitwise_and(bits, (1 << fraction) - 1, out=bits)
        np.add(whole, bits, out=whole)
        np.right_shift(whole, fraction, out=whole)
        np.copyto(words.view(_SIGNED[self._grid.bits]), whole, casting="unsafe")

    def _scale(self, block: NDArray[Any]) -> NDArray[Any]:
        """values * g, within the limit. The extremes tell at once whether any value is beyond the bound, or NaN."""
        bound = self._grid.bound
        if not (float(block.max()) <= bound and float(block.min()) >= -bound):
            block = self._clip(block.astype(np.float64))
        kind = block.dtype if block.dtype in self._factors else np.dtype(np.float64)
        scaled: NDArray[Any] = self._scaled.view(kind)[: block.size]
        np.multiply(block, self._factors[kind], out=scaled)
        return scaled

    def _clip(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        if not np.isfinite(block).all():
            raise NotFiniteError("only finite values have a place on the grid")
        bound = self._grid.bound
        self.clipped += int(np.count_nonzero(np.abs(block) > bound))
        return np.clip(block, -bound, bound)


def factor_below(limit: float, bound: float, kind: Any) -> Any:
    """The float g next to limit / bound with g * bound <= limit exactly: no value within the bound scales beyond the limit."""
    factor = kind(limit / bound)
    while Fraction(float(factor)) * Fraction(bound) > Fraction(limit):
        factor = np.nextafter(factor, kind(0))
    return factor


def encode_counts(counts: NDArray[Any], limit: int) -> NDArray[np.uint64]:
    """Counts as 64-bit words, exact. Every count must be a whole number in [0, limit]; limit * sites < 2**63."""
    flat = np.asarray(counts).reshape(-1)
    if flat.dtype.kind not in "iu":
        raise ValueError(f"counts must be whole numbers, not {flat.dtype}")
    exact = flat.astype(np.int64)
    if exact.size and (exact.min() < 0 or exact.max() > limit):
        raise ValueError(f"counts must lie in [0, {limit}]")
    return exact.astype(np.uint64)
