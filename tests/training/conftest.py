"""Small made-up records for the training room."""

import numpy as np
import pytest

from wardround.values.records import Records


def make_images(n: int = 40, size: int = 32, channels: int = 1, bits: int = 8) -> Records:
    """Noise with a bright square on the left (class 0) or below (class 1); patient = record."""
    rng = np.random.default_rng(7)
    full_range = 2**bits - 1
    shape = (n, size, size) if channels == 1 else (n, size, size, channels)
    inputs = rng.integers(0, full_range // 3, shape)
    labels = (np.arange(n) % 3 == 0).astype(np.int8)
    for i, label in enumerate(labels):
        place = np.s_[size // 2 :, :] if label else np.s_[:, : size // 2]
        inputs[i][place] += full_range // 3
    patients = np.array([f"p{i}" for i in range(n)])
    return Records(inputs.astype(np.uint8 if bits == 8 else np.uint16), labels, patients, np.full(n, "train"))


def make_table(n: int = 50, features: int = 5) -> Records:
    rng = np.random.default_rng(3)
    inputs = rng.standard_normal((n, features)).astype(np.float32)
    labels = (inputs[:, 0] + 0.3 * rng.standard_normal(n) > 0).astype(np.int8)
    return Records(inputs, labels, np.array([f"p{i}" for i in range(n)]), np.full(n, "train"))


@pytest.fixture
def images() -> Records:
    return make_images()


@pytest.fixture
def table() -> Records:
    return make_table()
