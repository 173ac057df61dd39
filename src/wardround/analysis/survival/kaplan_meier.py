"""The curve of those still without the event: E. L. Kaplan and P. Meier, JASA 53 (1958) 457, from counts on a grid.

Variance by M. Greenwood (1926); intervals of log(-log S) (`confidence_band.py`); the median's ends are where the band crosses one
half (R. Brookmeyer and J. Crowley, Biometrics 38 (1982) 29). On cells one day wide all of it is what the rows give.
"""

import math
from dataclasses import dataclass

import numpy as np

from wardround.analysis.survival.confidence_band import confidence_band
from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.time_grid import Counts, Floats


@dataclass(frozen=True)
class SurvivalCurve:
    """One group's curve. starts, times: (cells,), where each cell begins and ends; survival: after all events of the cell.

    variance: Greenwood's, of the survival. low, high: 95 %. at_risk: entering each cell. NaN where nobody is at risk any more.
    """

    starts: Floats
    times: Floats
    survival: Floats
    variance: Floats
    low: Floats
    high: Floats
    at_risk: Counts
    patients: int
    events: int

    def at(self, time: float) -> float:
        """The survival up to `time`, an end of a cell; 1 before the first."""
        return float(np.r_[1.0, self.survival][np.searchsorted(self.times, time, side="right")])

    @property
    def median(self) -> tuple[float, float, float]:
        """When the curve, and the band's lower and upper end, first come down to one half; infinite where they do not.

        The time is that of the cell in which it happens: its begin, which is the day itself where cells are days.
        """
        return self._reached(self.survival), self._reached(self.low), self._reached(self.high)

    def _reached(self, curve: Floats) -> float:
        down = np.flatnonzero(curve <= 0.5)
        return float(self.starts[down[0]]) if len(down) else math.inf


def kaplan_meier(counts: EventCounts) -> SurvivalCurve:
    """The curve of the one group of `counts`; any cause is the event.

    >>> from wardround.analysis.survival.time_grid import TimeGrid
    >>> table = np.array([[[0, 1], [1, 0], [0, 1], [1, 0]]])  # days 0 to 2: an event, one censored, an event; one beyond
    >>> kaplan_meier(EventCounts(TimeGrid.every(1, 2), table)).survival.tolist()
    [0.75, 0.75, 0.375]
    """
    events, exposed = counts.events()[0].astype(np.float64), counts.exposed[0]
    entering = counts.entering[0, :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.where(events > 0, 1 - events / exposed, 1.0).cumprod()
        survival = np.where(entering > 0, survival, np.nan)
        growth = np.where(events > 0, events / (exposed * (exposed - events)), 0.0).cumsum()
        variance = np.where(survival > 0, survival**2 * growth, 0.0)
    # Where nobody is left without the event, how far the curve could have been from 0 is not known.
    low, high = confidence_band(survival, np.where(survival == 0, np.nan, variance))
    grid = counts.grid
    return SurvivalCurve(
        grid.starts,
        np.array(grid.ends),
        survival,
        variance,
        low,
        high,
        entering,
        int(counts.patients[0]),
        int(events.sum()),
    )
