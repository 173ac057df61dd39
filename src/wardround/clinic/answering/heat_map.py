"""Where a film speaks for the finding: parts of it are covered in turn, and the fall of the score is drawn where they were.

    film --a grid of soft covers, in batches--> scores --fall--> grid --straight lines between--> (height, width) in [0, 1]

What is covered becomes the film's own blurred brightness there, since a black or grey square is something the model never saw.
The map is a hint: it shows what the score hangs on, not what is ill.

Source: M. Zeiler and R. Fergus, ECCV 2014.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from wardround.clinic.answering.network import Network

GRID = 8
"""Covers along each side; each reaches half a cover into its neighbours."""


def heat_map(network: Network, film: NDArray[np.float32]) -> NDArray[np.float32]:
    """(height, width) in [0, 1] of a network input (channels, height, width); zeros where no part raises the score."""
    height, width = film.shape[1:]
    blurred = gaussian_filter(film, (0, height / GRID, width / GRID), mode="nearest")
    covers = np.stack([_cover(height, width, row, column) for row in range(GRID) for column in range(GRID)])
    covered = film * (1 - covers[:, None]) + blurred * covers[:, None]
    scores = network.scores(np.concatenate([film[None], covered]).astype(np.float32))
    falls = np.maximum(scores[0] - scores[1:], 0.0).reshape(GRID, GRID)
    top = falls.max()
    if not top > 0:
        return np.zeros((height, width), np.float32)
    wide = zoom(falls / top, (height / GRID, width / GRID), order=1, mode="nearest", grid_mode=True)
    return np.asarray(np.clip(wide, 0, 1), np.float32)


def _cover(height: int, width: int, row: int, column: int) -> NDArray[np.float64]:
    """(height, width): 1 over the cell, falling to 0 over half a cell around it."""
    return np.outer(_edge(height, row), _edge(width, column))


def _edge(length: int, cell: int) -> NDArray[np.float64]:
    distance = np.abs(np.arange(length) + 0.5 - (cell + 0.5) * length / GRID) / (length / GRID)
    return np.asarray(np.clip(1.5 - distance, 0, 0.5) * 2)
