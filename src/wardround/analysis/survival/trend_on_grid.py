"""Whether a hazard ratio is the same early and late, with one baseline for all: P. M. Grambsch and T. M. Therneau, 1994.

    U = sum over cells of (g - mean g) (x of the cell's events - events x mean of the risk set)     g: the share with the event

Biometrika 81, 515, in their approximation: the variance of x is taken as the same in every risk set, as lifelines does and R did
until 2019. The exact test needs second moments of the risk sets times g, and those of a few cells tell rows. So p numbers more
leave a hospital.

They are sums of x over events, weighted by g. Whole numbers under weights that differ can be told apart again, so that g is one
number for neighbouring cells until these hold no event or as many as the disclosure rule says. A hospital works g out itself,
from the totals of those leaving and of events.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.kaplan_meier import kaplan_meier
from wardround.analysis.survival.partial_likelihood import Floats, FollowUp
from wardround.analysis.survival.proportional_hazards import ProportionalHazards
from wardround.analysis.survival.risk_set_sums import CellRiskSets
from wardround.analysis.survival.time_grid import Counts, TimeGrid
from wardround.privacy.disclosure import joined_bins


def counts_on(grid: TimeGrid, ends: tuple[float, ...], leaving: Counts, events: Counts) -> EventCounts:
    """One group's counts on a wider grid. ends: (cells,) of the finer one. leaving: (cells + 1,); events: (cells,)."""
    table = np.stack([leaving - np.append(events, 0), np.append(events, 0)], axis=1)
    return EventCounts(TimeGrid(ends, grid.whole), table[None]).widened(np.isin(np.array(ends), grid.ends))


def clock_of_cells(counts: EventCounts, smallest: int) -> Floats:
    """g (cells,), within 0 and 1: the share with the event in the middle of the cells that are joined; 0 in all cells where
    fewer than two of them would differ."""
    events = counts.events()[0]
    gone = np.r_[0.0, np.nan_to_num(1 - kaplan_meier(counts).survival, nan=1.0)]
    clock = np.zeros(len(events))
    for first, behind in joined_bins(events, smallest):
        clock[first:behind] = (gone[first] + gone[behind]) / 2
    return clock if len(set(clock[events > 0])) > 1 else np.zeros(len(events))


def event_trend(rows: FollowUp, grid: TimeGrid, clock: Floats) -> Floats:
    """(p,), one hospital's sum of g x over its events on the grid."""
    cells = grid.cell_of(rows.times)
    inside = rows.events & (cells < grid.cells)
    return clock[cells[inside]] @ rows.columns[inside]


def trend_of_cells(
    information: Floats, sets: CellRiskSets, clock: Floats, event_columns: Floats, event_trends: Floats
) -> ProportionalHazards | None:
    """The tests; None where all events have one g. event_columns, event_trends: (p,), sums of x and of g x over all events."""
    events: NDArray[np.int64] = sets.events
    count = int(events.sum())
    mean = float(clock @ events) / max(count, 1)
    spread = float((clock - mean) ** 2 @ events)
    if spread <= 0:
        return None
    score = event_trends - (clock * events) @ sets.means - mean * (event_columns - events @ sets.means)
    inverse = np.linalg.inv(information)
    singles = count / spread * (inverse @ score) ** 2 / np.diag(inverse)
    overall = count / spread * float(score @ inverse @ score)
    return ProportionalHazards(
        tuple(map(float, singles)), tuple(map(float, chi2.sf(singles, 1))), overall, float(chi2.sf(overall, len(score)))
    )
