"""How many patients have which score and leave when: one table of counts, from which the figures on held-out patients follow.

predictor --SCORE_BINS public bins around the mean--> (bins, cells + 1, 2): censored, had the event
"""

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.survival.time_grid import Counts, Floats, TimeGrid

SCORE_BINS = 4096
BINS_PER_UNIT = 256
"""Of the predictor, a log hazard ratio: bins end 8 below and above the centre, hazards 3,000 times as small and as large."""


def bin_of(predictor: Floats) -> Counts:
    """The bin of each predictor (n,), which is taken less its public centre."""
    bins = np.floor(np.nan_to_num(predictor) * BINS_PER_UNIT) + SCORE_BINS // 2
    chosen: Counts = np.clip(bins, 0, SCORE_BINS - 1).astype(np.int64)
    return chosen


def bin_centres() -> Floats:
    """(bins,)."""
    centres: Floats = (np.arange(SCORE_BINS) + 0.5 - SCORE_BINS // 2) / BINS_PER_UNIT
    return centres


def score_table(predictor: Floats, times: Floats, events: NDArray[np.bool_], grid: TimeGrid) -> Counts:
    """(bins, cells + 1, 2) of one hospital's patients; those beyond the grid count as censored there."""
    cells = grid.cell_of(times)
    table = np.zeros((SCORE_BINS, grid.cells + 1, 2), np.int64)
    np.add.at(table, (bin_of(predictor), cells, (events & (cells < grid.cells)).astype(np.int64)), 1)
    return table
