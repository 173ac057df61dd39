"""What a record looks like, as vectors: views in which records of another kind stand apart.

    embedding   what the network's last layer reads
    picture     16 x 16 means of the film, its own mean and spread taken out: place and shape, upside down, negative, cut
    edges       directions of edges in 4 x 4 parts, by strength: ribs and lungs lie as they lie in a chest
    waves       power by wavelength and direction: noise, letters, enlarged films, another machine's sharpness
    columns     of a table: the features

Four views of a film, of seven tried on other films than those that the figures in docs/benchmarks.md are of.
"""

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.protocol import Floats

_SIDE, _PICTURE, _CELLS, _DIRECTIONS, _WAVES = 64, 16, 4, 8, 9
_PIECE = 64  # films at once, so that a year of large ones does not fill the memory
_FLAT = 0.02
"""Contrast below which a film counts as flat; films are from 0 to 1."""


def views(inputs: NDArray[np.float32], embedding: NDArray[np.float32]) -> dict[str, Floats]:
    """Of network inputs (n, features) or (n, channels, height, width) and their embeddings (n, d): vectors (n, ...) by view."""
    parts: dict[str, Floats] = {}
    if embedding.shape[1]:
        parts["embedding"] = np.asarray(embedding, np.float64)
    if inputs.ndim == 2:
        return parts | {"columns": np.asarray(inputs, np.float64)}
    pieces = [_of_films(inputs[start : start + _PIECE]) for start in range(0, max(len(inputs), 1), _PIECE)]
    return parts | {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _of_films(inputs: NDArray[np.float32]) -> dict[str, Floats]:
    films = np.asarray(inputs, np.float64).mean(axis=1)
    small = thumbnail(films, _SIDE)
    return {"picture": picture(films), "edges": edges(thumbnail(small, _SIDE // 2)), "waves": waves(small)}


def thumbnail(films: Floats, side: int) -> Floats:
    """(n, h, w): means over areas of films (n, height, width), at most `side` wide and high."""
    rows, columns = (np.linspace(0, length, min(side, length) + 1).astype(int)[:-1] for length in films.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(films, rows, axis=1), columns, axis=2)
    area = np.outer(np.diff([*rows, films.shape[1]]), np.diff([*columns, films.shape[2]]))
    return np.asarray(sums / area)


def picture(films: Floats) -> Floats:
    """(n, 256) at most: brightness by place, against the film's own mean and spread."""
    flat = thumbnail(films, _PICTURE).reshape(len(films), -1)
    return np.asarray((flat - flat.mean(axis=1, keepdims=True)) / (flat.std(axis=1, keepdims=True) + _FLAT))


def edges(films: Floats) -> Floats:
    """(n, 128): the root of each direction's share of all edges, in 4 x 4 parts."""
    down, right = np.gradient(films, axis=(1, 2))
    strength = np.hypot(down, right)
    direction = np.floor(np.arctan2(down, right) / (2 * np.pi) % 1 * _DIRECTIONS).astype(int) % _DIRECTIONS
    row = np.arange(films.shape[1]) * _CELLS // films.shape[1]
    column = np.arange(films.shape[2]) * _CELLS // films.shape[2]
    cell = (row[:, None] * _CELLS + column)[None] * _DIRECTIONS + direction
    size = _CELLS * _CELLS * _DIRECTIONS
    bins = np.arange(len(films))[:, None, None] * size + cell
    sums = np.bincount(bins.ravel(), strength.ravel(), len(films) * size).reshape(len(films), size)
    return np.asarray(np.sqrt(sums / (sums.sum(axis=1, keepdims=True) + 1e-6)))


def waves(films: Floats) -> Floats:
    """(n, at most 36): the logarithm of the power by wavelength, in rising steps, and by four directions."""
    height, width = films.shape[1:]
    window = np.outer(np.hanning(height), np.hanning(width))
    spectrum = np.abs(np.fft.fft2((films - films.mean(axis=(1, 2), keepdims=True)) * window)) ** 2
    down, right = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    ring = np.digitize(np.hypot(down, right), np.geomspace(1 / min(height, width), 0.5, _WAVES))
    side = (np.arctan2(down, right) % np.pi / np.pi * 4).astype(int) % 4
    masks = (mask for k in range(1, _WAVES + 1) for way in range(4) if (mask := (ring == k) & (side == way)).any())
    return np.stack([np.log(spectrum[:, mask].mean(axis=1) + 1e-8) for mask in masks], axis=1)
