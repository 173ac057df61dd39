"""Repeatable random numbers for training, splitting and rounding where no privacy is claimed.

Nothing here may serve privacy: keys, masks and privacy noise come from the operating system's generator.
"""

import hashlib

import numpy as np

from wardround.values.canonical import canonical_json


def seed_of(*labels: str | int) -> int:
    """A 63-bit seed that depends on every label and on their order.

    >>> seed_of("train", 1, "north", 3) == seed_of("train", 1, "north", 3) != seed_of("train", 1, "north", 4)
    True
    """
    return int.from_bytes(hashlib.sha256(canonical_json(list(labels))).digest()[:8], "big") >> 1


def generator(*labels: str | int) -> np.random.Generator:
    """Philox keyed by the labels: its stream is the same on every platform and numpy release."""
    key = hashlib.sha256(b"wardround philox" + canonical_json(list(labels))).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))


def rounding_key(*labels: str | int) -> bytes:
    """32 bytes that key the random bits of stochastic rounding (docs/spec/wire.md, section 5).

    >>> rounding_key(1, "north", "round", 3, "model") != rounding_key(1, "north", "round", 3, "control")
    True
    """
    return hashlib.sha256(b"wardround rounding" + canonical_json(list(labels))).digest()
