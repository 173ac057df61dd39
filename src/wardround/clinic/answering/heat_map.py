"""Where a film speaks for the finding: a part is taken away, and the fall of the score is drawn where it was.

    maps --each place in turn becomes the mean of all places--> scores --fall--> grid --straight lines between--> (height, width)

The parts are places of the last maps that the network pools: only the few steps behind them are computed again, so that the
whole map costs little more than one answer. Where places are averaged and weighed once, a fall is the class activation of the
place less the mean one (B. Zhou et al., CVPR 2016); it needs no gradient and holds for any steps behind the maps.

A network that does not pool its maps once is shown films with parts covered, in one batch (M. Zeiler and R. Fergus, ECCV 2014).
What is covered becomes the film's own blurred brightness there, since a black square is something the model never saw.

The map is a hint: it shows what the score hangs on, not what is ill.
"""

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.answering.network import Ending, Network
from wardround.tasks.protocol import Floats

GRID = 6
"""Covers along each side; each reaches half a cover into its neighbours."""


def heat_map(network: Network, film: NDArray[np.float32]) -> NDArray[np.float32]:
    """(height, width) in [0, 1] of a network input (channels, height, width); 1 where most hangs on, zeros where no part raises
    the score."""
    from scipy.ndimage import zoom  # 25 MB and 0.3 s that a service without a doctor does not need

    height, width = film.shape[1:]
    maps = network.maps(film)
    places = maps and min(min(one.shape[2:]) for one in maps) > 1 and network.ending
    falls = np.maximum(_falls_of_places(places, maps) if places else _falls_of_covers(network, film), 0.0)
    if not falls.max() > 1e-6:
        return np.zeros((height, width), np.float32)
    wide = np.maximum(
        zoom(falls, (height / falls.shape[0], width / falls.shape[1]), order=1, mode="nearest", grid_mode=True), 0.0
    )
    return np.asarray(wide / wide.max(), np.float32)


def _falls_of_places(ending: Ending, maps: list[NDArray[np.float32]]) -> Floats:
    """(h, w): by how much the score falls without a place. Of a mirror image the mirrored place is taken."""
    height, width = maps[0].shape[2:]
    without = []
    for one, mirrored in zip(maps, ending.mirrored, strict=True):
        changed = np.repeat(one, height * width + 1, axis=0)
        rows, columns = np.divmod(np.arange(height * width), width)
        columns = width - 1 - columns if mirrored else columns
        changed[np.arange(1, height * width + 1), :, rows, columns] = one.mean(axis=(2, 3))
        without.append(changed)
    scores = ending.scores(without)
    return np.asarray((scores[0] - scores[1:]).reshape(height, width))


def _falls_of_covers(network: Network, film: NDArray[np.float32]) -> Floats:
    """(GRID, GRID): by how much the score falls where a part of the film is covered."""
    from scipy.ndimage import gaussian_filter

    height, width = film.shape[1:]
    blurred = gaussian_filter(film, (0, height / GRID, width / GRID), mode="nearest")
    covers = np.stack([_cover(height, width, row, column) for row in range(GRID) for column in range(GRID)])
    covered = film * (1 - covers[:, None]) + blurred * covers[:, None]
    scores = network.scores(np.concatenate([film[None], covered]).astype(np.float32))
    return np.asarray((scores[0] - scores[1:]).reshape(GRID, GRID))


def _cover(height: int, width: int, row: int, column: int) -> Floats:
    """(height, width): 1 over the cell, falling to 0 over half a cell around it."""
    return np.outer(_edge(height, row), _edge(width, column))


def _edge(length: int, cell: int) -> Floats:
    distance = np.abs(np.arange(length) + 0.5 - (cell + 0.5) * length / GRID) / (length / GRID)
    return np.asarray(np.clip(1.5 - distance, 0, 0.5) * 2)
