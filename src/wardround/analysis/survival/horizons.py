"""What a predicted chance is worth at a named time, on patients that did not make it: from a table of scores by times.

Brier score with inverse censoring weights (E. Graf et al., Statist. Med. 18 (1999) 2529), the area under the ROC curve of those
with the event by then against those still without (H. Uno et al., JASA 102 (2007) 527), and groups of like chance with what
became of them.
"""

from dataclasses import dataclass

import numpy as np

from wardround.analysis.survival.baseline_hazard import BaselineHazard
from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.kaplan_meier import SurvivalCurve, kaplan_meier
from wardround.analysis.survival.score_table import bin_centres
from wardround.analysis.survival.time_grid import Counts, Floats, TimeGrid


@dataclass(frozen=True)
class Censoring:
    """The chance of still being followed, where nobody had the event. grid; remaining: (cells + 1,), at the beginning and after
    each cell."""

    grid: TimeGrid
    remaining: Floats

    def at_events(self) -> Floats:
        """(cells,), before an event of the cell: whole times see who is censored on earlier days."""
        share = self.grid.before
        chance: Floats = self.remaining[:-1] ** (1 - share) * self.remaining[1:] ** share
        return chance

    def at(self, time: float) -> float:
        """After `time`, the end of a cell."""
        return float(self.remaining[self.grid.cells_until(time)])


def censoring(counts: EventCounts) -> Censoring:
    """From the counts of one group: events of a cell come before those censored, as far as days tell."""
    entering, events, censored = counts.entering[0, :-1], counts.events()[0], counts.censored[0]
    exposed = entering - events * (1 - counts.grid.before)
    with np.errstate(divide="ignore", invalid="ignore"):
        staying = np.where(censored > 0, 1 - censored / exposed, 1.0).cumprod()
    return Censoring(counts.grid, np.r_[1.0, staying])


@dataclass(frozen=True)
class RiskGroup:
    """Patients of like chance. events: by the horizon. predicted: its mean. observed: by their own curve, with 95 % ends."""

    patients: int
    events: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class HorizonFigures:
    """brier: 0 is best. null_brier: of the same chance for all. area: of the ROC curve. predicted, observed: means over all
    patients, the observed one by the curve with its 95 % ends. NaN where the counts do not say."""

    horizon: float
    patients: int
    events: int
    brier: float
    null_brier: float
    area: float
    predicted: float
    observed: tuple[float, float, float]
    groups: tuple[RiskGroup, ...]


@dataclass(frozen=True)
class Scores:
    """Patients by bin of their predictor, finer than in a table. cases: (bins,), weighted, with the event by a horizon. controls:
    (bins,), followed beyond it. every: (bins,), all of them."""

    cases: Floats
    controls: Counts
    every: Counts


def horizon_figures(
    table: Counts,
    baseline: BaselineHazard,
    censored: Censoring,
    horizon: float,
    *,
    groups: int = 5,
    smallest: int = 1,
    scores: Scores | None = None,
) -> HorizonFigures:
    """Of a table (bins, cells + 1, 2) on the grid of `baseline`; horizon: the end of a cell.

    groups: of about as many patients each, at least `smallest`, with no event or at least as many. scores: finer ones; None:
    those of the table.
    """
    grid = baseline.grid
    until = grid.cells_until(horizon)
    if scores is None:
        weights = 1 / np.maximum(censored.at_events()[:until], 1e-300)
        scores = Scores(table[:, :until, 1] @ weights, table[:, until:].sum(axis=(1, 2)), table.sum(axis=(1, 2)))
    risk = baseline.risk(bin_centres(len(scores.every)), horizon)
    cases = scores.cases  # as if nobody had been censored
    controls = scores.controls / max(censored.at(horizon), 1e-300)
    every = scores.every
    in_table, risk_in_table = table.sum(axis=(1, 2)), baseline.risk(bin_centres(len(table)), horizon)
    patients = int(every.sum())
    curve = kaplan_meier(EventCounts(grid, table.sum(axis=0)[None]))
    observed = _observed(curve, until)
    brier = float((cases @ (1 - risk) ** 2 + controls @ risk**2) / patients) if patients else np.nan
    null = float((cases.sum() * (1 - observed[0]) ** 2 + controls.sum() * observed[0] ** 2) / patients) if patients else np.nan
    return HorizonFigures(
        horizon,
        patients,
        int(table[:, :until, 1].sum()),
        brier,
        null,
        _area(cases, controls),
        float(every @ risk / patients) if patients else np.nan,
        observed,
        tuple(
            _group(table[low:high], risk_in_table[low:high], grid, until)
            for low, high in _cuts(in_table, table[:, :until, 1].sum(axis=1), groups, smallest)
        ),
    )


def _observed(curve: SurvivalCurve, until: int) -> tuple[float, float, float]:
    """1 - survival with its ends; where nobody had the event the curve gives no interval."""
    share, low, high = (float(1 - line[until - 1]) for line in (curve.survival, curve.high, curve.low))
    return (share, low, high) if share > 0 else (share, np.nan, np.nan)


def _area(cases: Floats, controls: Floats) -> float:
    pairs = cases.sum() * controls.sum()
    below = controls.cumsum() - controls / 2
    return float(cases @ below / pairs) if pairs else np.nan


def _group(table: Counts, risk: Floats, grid: TimeGrid, until: int) -> RiskGroup:
    every = table.sum(axis=(1, 2))
    observed = _observed(kaplan_meier(EventCounts(grid, table.sum(axis=0)[None])), until)
    events = int(table[:, :until, 1].sum())
    return RiskGroup(int(every.sum()), events, float(every @ risk / every.sum()), *observed)


def _cuts(every: Counts, events: Counts, groups: int, smallest: int) -> list[tuple[int, int]]:
    """Ranges of bins with about as many patients each; none has fewer than `smallest`, or fewer events but none."""
    filled, total = every.cumsum(), int(every.sum())
    size = max(total / groups, smallest, 1)
    cuts, begun = [0], 0

    def may_stand(count: int) -> bool:
        return count == 0 or count >= smallest

    for last in range(len(every)):
        enough = filled[last] - begun >= size - 1e-9 and total - filled[last] >= max(smallest, size / 2)
        if enough and may_stand(int(events[cuts[-1] : last + 1].sum())) and may_stand(int(events[last + 1 :].sum())):
            cuts.append(last + 1)
            begun = int(filled[last])
    return [(low, high) for low, high in zip(cuts, [*cuts[1:], len(every)], strict=True) if every[low:high].sum() > 0]
