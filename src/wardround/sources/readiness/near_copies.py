"""Images that are one picture saved twice: as JPEG and as PNG, at two sizes, with another quality.

Copies that are equal are found by their digests; these differ by a little in every pixel. Of two pictures taken apart, the
coarse grids of 8 x 8 means differ by far more: of 5,216 chest X-rays no two were nearly alike that were not equal.
"""

import numpy as np
from numpy.typing import NDArray

from wardround.sources.read_result import ReadResult

_COARSE, _FINE = 3.0 / 255, 5.0 / 255
"""Largest difference of a part of the grid, and mean difference of pixels, of full scale, up to which two images are one."""
_LOOKED_AT = 16
"""Neighbours of an image along each direction."""


def near_copies(read_result: ReadResult, grid: NDArray[np.float64], flat: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pairs of records (n, 2) that are nearly one image and not the same. grid: (n, 64) the means of the parts of each image.

    flat: images that show nothing, which are all alike.
    """
    rows = np.flatnonzero(~flat)
    top = float(np.iinfo(read_result.inputs.dtype).max)
    parts = grid[rows] / top
    suspects = {(int(rows[a]), int(rows[b])) for a, b in _neighbours(parts)}
    return np.array(sorted(pair for pair in suspects if _are_one(read_result, pair, top)), np.int64).reshape(-1, 2)


def _neighbours(parts: NDArray[np.float64]) -> set[tuple[int, int]]:
    """Pairs whose grids are nearly equal, among those that lie near one another along three fixed directions."""
    directions = np.random.default_rng(0).choice(np.array([-1.0, 1.0]), (3, parts.shape[1])) / np.sqrt(parts.shape[1])
    pairs: set[tuple[int, int]] = set()
    for direction in directions:
        order = np.argsort(parts @ direction, kind="stable")
        for step in range(1, min(_LOOKED_AT, len(order) - 1) + 1):
            first, second = order[:-step], order[step:]
            alike = np.abs(parts[first] - parts[second]).max(axis=1) < _COARSE
            low, high = np.minimum(first[alike], second[alike]), np.maximum(first[alike], second[alike])
            pairs.update(zip(low.tolist(), high.tolist(), strict=True))
    return pairs


def _are_one(read_result: ReadResult, pair: tuple[int, int], top: float) -> bool:
    first, second = pair
    if read_result.digests[first] == read_result.digests[second]:
        return False
    difference = np.abs(read_result.inputs[first].astype(np.float64) - read_result.inputs[second])
    return bool(difference.mean() / top < _FINE)
