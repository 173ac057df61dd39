"""Long runs of pseudo-random words from a short key, and masks made of them.

AES-256 in counter mode, chunk by chunk (docs/spec/masked-sum.md, 5.2), read as little-endian words of 16, 32 or 64 bits.
Modern processors make it faster than they read memory, so nothing here holds a whole stream: words are worked on in blocks that
stay in the cache, and every mask is applied to a block before the next block is touched.

Every chunk has a counter of its own, so ranges of one array may be worked on side by side; the cipher and numpy both release the
interpreter's lock. The result is the same for every number of threads.
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from wardround.crypto.key_derivation import KEY_BYTES

BLOCK = 1 << 17  # words worked on at once: a block and a mask's words fit a core's cache; smaller ones cost calls
CHUNK = 1 << 21  # bytes of a stream under one counter prefix; ranges for threads begin at chunks
_NONCE = 12
_RANGE = CHUNK // 2  # words: whole chunks of 16-bit words, and of longer ones
_ZEROS = bytes(BLOCK * 8)
_Result = TypeVar("_Result")


class Keystream:
    """The stream of one key, read once from front to back. Two instances with one key give the same words: a key masks one
    array once. start: bytes to skip, a multiple of CHUNK."""

    def __init__(self, key: bytes, start: int = 0) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        if start < 0 or start % CHUNK:
            raise ValueError(f"a stream starts at a multiple of {CHUNK} bytes, not at {start}")
        self._algorithm = algorithms.AES(key)
        self._next, self._left = start // CHUNK, 0

    def fill(self, words: NDArray[Any]) -> None:
        """Overwrites `words`, a contiguous vector, with the stream's next words."""
        if not words.size:
            return
        raw = words.data.cast("B")
        while raw:
            if not self._left:
                self._begin_chunk()
            size = min(len(raw), self._left, len(_ZEROS))
            self._cipher.update_into(_ZEROS if size == len(_ZEROS) else memoryview(_ZEROS)[:size], raw[:size])
            self._left -= size
            raw = raw[size:]
        if sys.byteorder == "big":
            words.byteswap(inplace=True)

    def _begin_chunk(self) -> None:
        # Counter mode from counter block (chunk, 2) is what GCM encrypts by under the nonce (chunk). OpenSSL has vector code for
        # GCM and not for plain counter mode: more than twice as fast although the tag that nobody reads is worked out on the way.
        nonce = self._next.to_bytes(_NONCE, "big")
        self._cipher = Cipher(self._algorithm, modes.GCM(nonce)).encryptor()
        self._next, self._left = self._next + 1, CHUNK

    def add_to(self, words: NDArray[Any]) -> None:
        """Adds the stream's next words, modulo the words' size."""
        self._apply(np.add, words)

    def subtract_from(self, words: NDArray[Any]) -> None:
        """Takes away what `add_to` adds."""
        self._apply(np.subtract, words)

    def _apply(self, operation: np.ufunc, words: NDArray[Any]) -> None:
        scratch = np.empty(min(BLOCK, words.size) or 1, words.dtype)
        for start in range(0, words.size, len(scratch)):
            piece = words[start : start + len(scratch)]
            self.fill(scratch[: piece.size])
            operation(piece, scratch[: piece.size], out=piece)


@dataclass(frozen=True)
class Mask:
    """One signed stream: sign 1 adds the key's words, -1 takes them away."""

    key: bytes
    sign: Literal[1, -1] = 1

    @property
    def inverse(self) -> "Mask":
        return Mask(self.key, -1 if self.sign == 1 else 1)


class Masking:
    """Masks applied to one array from front to back, piece by piece. first: the word that the first piece starts at."""

    def __init__(self, masks: Sequence[Mask], word: Any, first: int = 0) -> None:
        self._streams = [(Keystream(mask.key, first * np.dtype(word).itemsize), mask.sign) for mask in masks]

    def apply(self, words: NDArray[Any]) -> None:
        """The next words of the array, in place."""
        for stream, sign in self._streams:
            if sign == 1:
                stream.add_to(words)
            else:
                stream.subtract_from(words)


def apply_masks(words: NDArray[Any], masks: Sequence[Mask], *, threads: int = 1) -> None:
    """Adds and subtracts all masks, in place. `words`: a contiguous vector of uint16, uint32 or uint64."""

    def work(start: int, stop: int) -> None:
        masking = Masking(masks, words.dtype, start)
        for at in range(start, stop, BLOCK):
            masking.apply(words[at : min(at + BLOCK, stop)])

    if masks:
        in_ranges(words.size, threads, work)


def in_ranges(size: int, threads: int, work: Callable[[int, int], _Result]) -> list[_Result]:
    """work(start, stop) for ranges that cover 0..size, one a thread. Every range begins at a chunk, for words of any size."""
    each = -(-size // (max(1, threads) * _RANGE)) * _RANGE
    ranges = [(start, min(start + each, size)) for start in range(0, size, each)] if size else []
    if len(ranges) < 2:
        return [work(*bounds) for bounds in ranges]
    with ThreadPoolExecutor(len(ranges)) as pool:
        return list(pool.map(lambda bounds: work(*bounds), ranges))
