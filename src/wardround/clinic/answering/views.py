"""What a record looks like, as vectors: views in which records of another kind stand apart."""

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.protocol import Floats

_THUMBNAIL = 16


def views(inputs: NDArray[np.float32], embedding: NDArray[np.float32]) -> dict[str, Floats]:
    """Of network inputs (n, features) or (n, channels, height, width) and their embeddings (n, d): vectors (n, ...) by view."""
    parts: dict[str, Floats] = {}
    if embedding.shape[1]:
        parts["embedding"] = np.asarray(embedding, np.float64)
    if inputs.ndim == 2:
        parts["columns"] = np.asarray(inputs, np.float64)
    else:
        parts["thumbnail"] = thumbnail(np.asarray(inputs, np.float64).mean(axis=1), _THUMBNAIL).reshape(len(inputs), -1)
    return parts


def thumbnail(films: Floats, side: int) -> Floats:
    """(n, side, side): means over areas of films (n, height, width), each at least `side` wide and high."""
    rows = np.linspace(0, films.shape[1], side + 1).astype(int)[:-1]
    columns = np.linspace(0, films.shape[2], side + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(films, rows, axis=1), columns, axis=2)
    area = np.outer(np.diff([*rows, films.shape[1]]), np.diff([*columns, films.shape[2]]))
    return np.asarray(sums / area)
