"""How many leave in each cell of the time grid, by group and by what happened: all that curves and their tests need.

rows --event_counts--> (groups, cells + 1, causes + 1) --sum over hospitals--> EventCounts --> curves, tests, means
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.survival.time_grid import Counts, Floats, TimeGrid


def event_counts(times: Floats, causes: Counts, groups: Counts, grid: TimeGrid, shape: tuple[int, int]) -> Counts:
    """(groups, cells + 1, causes + 1) of one hospital; cause 0: censored.

    causes: (n,), 0 where nothing was seen. groups: (n,). shape: how many groups and causes there are. The last cell holds all
    that are followed beyond the grid, as censored: what happens to them there is not counted.
    """
    group_count, cause_count = shape
    cells = grid.cell_of(times)
    seen = np.where(cells < grid.cells, causes, 0)
    counts = np.zeros((group_count, grid.cells + 1, cause_count + 1), np.int64)
    np.add.at(counts, (groups, cells, seen), 1)
    return counts


@dataclass(frozen=True)
class EventCounts:
    """Counts over all hospitals. table: (groups, cells + 1, causes + 1), as `event_counts` makes it."""

    grid: TimeGrid
    table: Counts

    @property
    def leaving(self) -> Counts:
        """(groups, cells)."""
        leaving: Counts = self.table[:, :-1].sum(axis=2)
        return leaving

    @property
    def censored(self) -> Counts:
        """(groups, cells)."""
        return self.table[:, :-1, 0]

    def events(self, cause: int | None = None) -> Counts:
        """(groups, cells), of one cause from 1, or of any."""
        return self.table[:, :-1, 1:].sum(axis=2) if cause is None else self.table[:, :-1, cause]

    @property
    def patients(self) -> Counts:
        """(groups,)."""
        patients: Counts = self.table.sum(axis=(1, 2))
        return patients

    @property
    def entering(self) -> Counts:
        """(groups, cells + 1), at risk when a cell begins; the last one are those beyond."""
        left = np.zeros((len(self.table), self.grid.cells + 1), np.int64)
        left[:, 1:] = self.leaving.cumsum(axis=1)
        return self.patients[:, None] - left

    @property
    def exposed(self) -> Floats:
        """(groups, cells), at risk when events of the cell happen: those who are censored before them are not.

        In a cell one day wide this is who is at risk on that day; in a wider one, the actuary's half of the censored.
        """
        return self.entering[:, :-1] - self.censored * self.grid.before

    def followed_beyond(self, time: float) -> Counts:
        """(groups,), still followed after `time`, an end of a cell or 0."""
        return self.entering[:, self.grid.cells_until(time)] if time > 0 else self.patients

    def pooled(self) -> "EventCounts":
        """All groups as one."""
        return EventCounts(self.grid, self.table.sum(axis=0, keepdims=True))

    def group(self, number: int) -> "EventCounts":
        return EventCounts(self.grid, self.table[number : number + 1])

    def cause_specific(self, cause: int) -> "EventCounts":
        """The counts where every other cause ends the time of following, as being censored does."""
        censored = self.table.sum(axis=2) - self.table[:, :, cause]
        return EventCounts(self.grid, np.stack([censored, self.table[:, :, cause]], axis=2))

    def widened(self, kept: NDArray[np.bool_]) -> "EventCounts":
        """The counts on the grid of the ends (cells,) that are kept; those who leave after the last one lie beyond."""
        grid = self.grid.merged(kept)
        cells = grid.cell_of(np.array(self.grid.ends))
        table = np.zeros((len(self.table), grid.cells + 1, self.table.shape[2]), np.int64)
        for cell, target in enumerate([*cells, grid.cells]):
            table[:, target] += self.table[:, cell]
        table[:, -1, 0] = table[:, -1].sum(axis=1)
        table[:, -1, 1:] = 0
        return EventCounts(grid, table)
