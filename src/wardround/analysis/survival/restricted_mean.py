"""Mean time without the event within a horizon: the area under the curve (J. O. Irwin, 1949; P. Royston and M. Parmar, 2013).

A difference of restricted means is in days and needs no proportional hazards.
"""

import math
from dataclasses import dataclass

import numpy as np

from wardround.analysis.survival.confidence_band import Z
from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.kaplan_meier import kaplan_meier


@dataclass(frozen=True)
class RestrictedMean:
    """mean: in the unit of the times, up to `horizon`. variance: of the mean. NaN where nobody is followed as long."""

    horizon: float
    mean: float
    variance: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        half = Z * math.sqrt(self.variance)
        return self.mean - half, self.mean + half


def restricted_mean(counts: EventCounts, horizon: float) -> RestrictedMean:
    """Of the one group of `counts`; horizon: the end of a cell.

    Within a cell the curve falls evenly; where times are whole, day by day.
    """
    curve = kaplan_meier(counts)
    cells = counts.grid.cells_until(horizon)
    if cells == 0 or np.isnan(curve.survival[cells - 1]):
        return RestrictedMean(horizon, math.nan, math.nan)
    after, widths = curve.survival[:cells], counts.grid.widths[:cells]
    before = np.r_[1.0, after[:-1]]
    step = (widths + 1) / (2 * widths) if counts.grid.whole else 0.5
    areas = widths * (before + step * (after - before))
    last = after[-1] if counts.grid.whole else 0.0  # the day of the horizon begins where the mean ends
    beyond = areas[::-1].cumsum()[::-1]
    # The area that an event in the cell takes away: what comes after the cell, and of the cell itself what lies behind it.
    lost = np.r_[beyond[1:], 0.0] + widths * after * step - last
    events, exposed = counts.events()[0, :cells].astype(np.float64), counts.exposed[0, :cells]
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.where((events > 0) & (exposed > events), events / (exposed * (exposed - events)), 0.0)
    return RestrictedMean(horizon, float(areas.sum() - last), float((lost**2 * growth).sum()))
