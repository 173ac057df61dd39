"""Real numbers as integers that can be added modulo 2**bits without ever wrapping.

K sites each hold a vector x_k with |x_k| <= bound. A grid of L = floor((2**(bits-1) - 1) / K) levels on each side of zero has
the step s = bound / L. Each site sends q_k, its values rounded at random to one of the two neighbouring grid points so that
the expectation is exact (stochastic rounding), as a word modulo 2**bits.

No overflow: |q_k| <= L, so |sum q_k| <= K * L <= 2**(bits-1) - 1, the largest signed word. Therefore the sum of words modulo
2**bits, read as a signed word, *is* the sum of the integers.

Error: |q_k * s - x_k| < s per coordinate, so the decoded sum is within K * s of the sum of the x_k (`error_bound`), besides the
rounding of float64 itself. Values beyond the bound are clipped first; `encode` says how many were.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

WordBits = Literal[16, 32, 64]
_UNSIGNED: dict[int, Any] = {16: np.uint16, 32: np.uint32, 64: np.uint64}
_SIGNED: dict[int, Any] = {16: np.int16, 32: np.int32, 64: np.int64}
_BLOCK = 1 << 18  # values worked on at once: small enough for the processor's cache


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
        return self.sites * self.step * (1 + 1e-9)

    @property
    def word(self) -> Any:
        return _UNSIGNED[self.bits]

    def encode(self, values: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], int]:
        """Words of the same length, and how many values lay beyond the bound and were clipped. All values must be finite."""
        flat = np.asarray(values).reshape(-1)
        words = np.empty(flat.shape, self.word)
        clipped = 0
        for start in range(0, flat.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            words[block], count = self._encode_block(flat[block].astype(np.float64), rng)
            clipped += count
        return words, clipped

    def _encode_block(self, block: NDArray[np.float64], rng: np.random.Generator) -> tuple[NDArray[Any], int]:
        if not np.isfinite(block).all():
            raise ValueError("only finite values have a place on the grid")
        clipped = int(np.count_nonzero(np.abs(block) > self.bound))
        scaled = np.clip(block, -self.bound, self.bound) / self.step
        low = np.floor(scaled)
        levels = low + (rng.random(block.size) < scaled - low)
        # Dividing by the step can land a hair beyond the last level; the proof above needs |q| <= L.
        return np.clip(levels, -self.levels, self.levels).astype(_SIGNED[self.bits]).view(self.word), clipped

    def decode(self, total: NDArray[Any]) -> NDArray[np.float64]:
        """The real sum that a sum of words stands for."""
        signed = np.asarray(total, self.word).view(_SIGNED[self.bits])
        values: NDArray[np.float64] = signed.astype(np.float64) * self.step
        return values


def encode_counts(counts: NDArray[Any], limit: int) -> NDArray[np.uint64]:
    """Counts as 64-bit words, exact. Every count must be a whole number in [0, limit]; limit * sites < 2**63."""
    given = np.asarray(counts).reshape(-1)
    if given.dtype.kind not in "iu":
        raise ValueError(f"counts must be whole numbers, not {given.dtype}")
    exact = given.astype(np.int64)
    if exact.size and (exact.min() < 0 or exact.max() > limit):
        raise ValueError(f"counts must lie in [0, {limit}]")
    return exact.astype(np.uint64)
