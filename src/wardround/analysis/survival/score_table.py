"""How many patients have which score and leave when: one table of counts, from which the figures on held-out patients follow.

    predictor --public bins around the mean--> (bins, cells + 1, 2): censored, had the event

A predictor is a log hazard ratio. Bins end 8 below and above the centre, at hazards 3,000 times as small and as large.
"""

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.survival.time_grid import Counts, Floats, TimeGrid

MOST_BINS, FEWEST_BINS = 4096, 256
_REACH = 8.0
_CELLS_OF_TABLE = 1 << 22
"""Bins times cells, about: the table of one hospital stays below 70 MB."""


def bins_for(grid: TimeGrid) -> int:
    """How many bins a table on this grid has, a power of two: the finer the times, the fewer.

    >>> bins_for(TimeGrid.every(91, 3650)), bins_for(TimeGrid.every(1, 3650))
    (4096, 1024)
    """
    fitting = 1 << ((_CELLS_OF_TABLE // (grid.cells + 1)).bit_length() - 1)
    return min(max(fitting, FEWEST_BINS), MOST_BINS)


def bin_of(predictor: Floats, bins: int) -> Counts:
    """The bin of each predictor (n,), which is taken less its public centre."""
    position = np.floor(np.nan_to_num(predictor) * (bins / (2 * _REACH))) + bins // 2
    chosen: Counts = np.clip(position, 0, bins - 1).astype(np.int64)
    return chosen


def bin_centres(bins: int) -> Floats:
    """(bins,)."""
    return np.asarray((np.arange(bins) + 0.5 - bins // 2) * (2 * _REACH / bins), np.float64)


def score_table(predictor: Floats, times: Floats, events: NDArray[np.bool_], grid: TimeGrid, bins: int = MOST_BINS) -> Counts:
    """(bins, cells + 1, 2) of one hospital's patients; those beyond the grid count as censored there."""
    cells = grid.cell_of(times)
    table = np.zeros((bins, grid.cells + 1, 2), np.int64)
    np.add.at(table, (bin_of(predictor, bins), cells, (events & (cells < grid.cells)).astype(np.int64)), 1)
    return table
