"""The chance of one kind of event by a time, where others may come first: O. Aalen and S. Johansen, Scand. J. Stat. 5 (1978) 141.

    F_j(t) = sum over cells of S(before) d_j / n

One minus the curve of one cause alone would count who died of another as if the event could still come.

Variance by the delta method (E. Marubini and M. G. Valsecchi, Analysing Survival Data, 1995); intervals of log(-log F).
"""

from dataclasses import dataclass

import numpy as np

from wardround.analysis.survival.confidence_band import confidence_band
from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.time_grid import Floats


@dataclass(frozen=True)
class IncidenceCurve:
    """times: (cells,), ends of cells. incidence: the chance up to there; low and high: 95 %."""

    times: Floats
    incidence: Floats
    variance: Floats
    low: Floats
    high: Floats
    events: int


def cumulative_incidence(counts: EventCounts, cause: int) -> IncidenceCurve:
    """Of one cause, from 1, in the one group of `counts`."""
    every, own = counts.events()[0].astype(np.float64), counts.events(cause)[0].astype(np.float64)
    exposed = counts.exposed[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.where(every > 0, 1 - every / exposed, 1.0).cumprod()
        before = np.r_[1.0, survival[:-1]]
        incidence = np.where(own > 0, before * own / exposed, 0.0).cumsum()
        lost = np.where(every > 0, every / (exposed * (exposed - every)), 0.0)
        lost = np.where(np.isfinite(lost), lost, 0.0)  # the last patient has the event: nothing comes after
        chosen = np.where(own > 0, before**2 * own * (exposed - own) / exposed**3, 0.0)
        both = np.where(own > 0, before * own / exposed**2, 0.0)
        # Var F(t) = sum (F(t) - F(u))^2 lost + sum chosen - 2 sum (F(t) - F(u)) both, expanded so that one pass gives all times
        variance = (
            incidence**2 * lost.cumsum()
            - 2 * incidence * (incidence * lost).cumsum()
            + (incidence**2 * lost).cumsum()
            + chosen.cumsum()
            - 2 * (incidence * both.cumsum() - (incidence * both).cumsum())
        )
        variance = np.where(counts.entering[0, :-1] > 0, np.maximum(variance, 0.0), np.nan)
    incidence = np.where(counts.entering[0, :-1] > 0, incidence, np.nan)
    low, high = confidence_band(incidence, np.where(incidence >= 1, 0.0, variance))
    return IncidenceCurve(np.array(counts.grid.ends), incidence, variance, low, high, int(own.sum()))
