"""Random choices that nobody may foresee or repeat: who is drawn into a private step, and how its pictures are turned.

Every instance starts from 32 bytes of the operating system's generator and reads AES-256 in counter mode from there. There is no
seed: a private run cannot be repeated bit by bit, and must not be.
"""

import os

import numpy as np
from numpy.typing import NDArray

from wardround.crypto.key_derivation import KEY_BYTES
from wardround.crypto.keystream import Keystream


class SecretDraws:
    """Draws from one secret stream, each of its words used once."""

    def __init__(self) -> None:
        self._stream = Keystream(os.urandom(KEY_BYTES))

    def words(self, size: int) -> NDArray[np.uint64]:
        """Independent, uniform words of 64 bits."""
        drawn = np.empty(size, np.uint64)
        self._stream.fill(drawn)
        return drawn

    def chosen(self, size: int, rate: float) -> NDArray[np.bool_]:
        """Each of `size` chosen on its own with probability floor(rate 2**64) / 2**64: never more than `rate`; 0 <= rate <= 1."""
        if rate >= 1.0:
            return np.ones(size, np.bool_)
        return self.words(size) < np.uint64(int(rate * 2.0**64))

    def generator(self) -> np.random.Generator:
        """For what is random and not secret in itself, such as augmentation: numpy's Philox from a secret key."""
        return np.random.Generator(np.random.Philox(key=self.words(2)))
