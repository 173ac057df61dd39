"""Whether those who have the event earlier had the higher score: F. E. Harrell et al., JAMA 247 (1982) 2543.

A pair counts where one had the event and the other was followed longer, or until the same time without it. Within hospitals
three counts of pairs are all that leaves. Pairs between hospitals need a table of score bins by time cells.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.survival.time_grid import Counts, Floats, TimeGrid

_AT_ONCE = 1 << 22
"""Comparisons held at a time."""


@dataclass(frozen=True)
class PairCounts:
    """Pairs whose order is known: the earlier one had the higher score, the lower, or the same. They add over hospitals."""

    concordant: int
    discordant: int
    tied: int

    @property
    def index(self) -> float:
        """The share of concordant pairs, tied ones half; NaN without any."""
        pairs = self.concordant + self.discordant + self.tied
        return (self.concordant + self.tied / 2) / pairs if pairs else float("nan")


def pairs_of_rows(scores: Floats, times: Floats, events: NDArray[np.bool_]) -> PairCounts:
    """Of one hospital's patients (n,)."""
    concordant = discordant = tied = 0
    chosen = np.flatnonzero(events)
    for start in range(0, len(chosen), rows := max(_AT_ONCE // max(len(times), 1), 1)):
        own = chosen[start : start + rows, None]
        later = (times > times[own]) | ((times == times[own]) & ~events)
        concordant += int((later & (scores < scores[own])).sum())
        discordant += int((later & (scores > scores[own])).sum())
        tied += int((later & (scores == scores[own])).sum())
    return PairCounts(concordant, discordant, tied)


def pairs_of_table(table: Counts, grid: TimeGrid) -> PairCounts:
    """Of counts (bins, cells + 1, 2) of scores by times of those censored and of those with the event; scores in one bin are
    tied.

    Two who leave in one cell are in no known order. Only in a cell one day wide who is censored was followed longer than who had
    the event: the events of a day come first.

    >>> table = np.array([[[0, 0], [1, 0], [0, 0]], [[0, 1], [0, 0], [0, 0]]])  # the higher score had the event on day 0
    >>> pairs_of_table(table, TimeGrid.every(1, 1))
    PairCounts(concordant=1, discordant=0, tied=0)
    """
    died = table[:, :-1, 1]
    leaving = table.sum(axis=2)
    later = leaving[:, ::-1].cumsum(axis=1)[:, -2::-1]
    if grid.whole:
        later = later + np.where(grid.widths == 1, table[:, :-1, 0], 0)
    below = later.cumsum(axis=0) - later
    above = later.sum(axis=0) - below - later
    concordant, discordant, tied = ((died * other).sum() for other in (below, above, later))
    return PairCounts(int(concordant), int(discordant), int(tied))
