"""The baseline hazard of each of a study's strata, over all hospitals, where the study says that it becomes public.

    counts by stratum and cell --rule of the smallest cell, all strata at once--> one grid --exposures by stratum--> hazards

A stratum is a group of patients that a column names. Where that column says whose patients they are, its baseline is one
hospital's figure: a study that asks for it says so to the hospital that approves it. A hospital's baseline leaves it in no other
way; it stands in that hospital's own report (docs/decisions/0025-baselines.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.result import Cell, Column, Line, Lines, Table
from wardround.analysis.survival.baseline_hazard import BaselineHazard, baseline_hazard, exposure
from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.parts import ResultParts, cells, small
from wardround.analysis.survival.time_grid import Counts, Floats, TimeGrid
from wardround.privacy.disclosure import kept_ends


@dataclass(frozen=True)
class StratumBaseline:
    """name: the stratum's code. patients, events: of the regression, events on the grid."""

    name: str
    patients: int
    events: int
    baseline: BaselineHazard


def strata_grid(grid: TimeGrid, leaving: Floats | Counts, smallest: int, horizon_ends: NDArray[np.bool_]) -> TimeGrid | None:
    """The grid on which in every stratum nobody or enough leave in each cell, from the totals (strata, cells + 1); None where no
    cell may be told from another."""
    kept = kept_ends(np.rint(np.asarray(leaving)).astype(np.int64), smallest, horizon_ends)
    return grid.merged(kept) if kept.any() else None


def strata_exposures(times: Floats, predictor: Floats, strata: NDArray[np.int64], count: int, grid: TimeGrid) -> Floats:
    """(cells, strata), one hospital's sums of exp(predictor) times the time followed."""
    return np.stack([exposure(times[strata == one], predictor[strata == one], grid) for one in range(count)], axis=1)


def strata_baselines(
    names: tuple[str, ...], whole: EventCounts, grid: TimeGrid, exposures: Floats
) -> tuple[StratumBaseline, ...]:
    """From the totals. whole: the counts by stratum on the public grid. exposures: (cells, strata) on the wider `grid`."""
    counts = whole.widened(np.isin(np.array(whole.grid.ends), grid.ends))
    events = counts.events()
    return tuple(
        StratumBaseline(
            name, int(counts.patients[at]), int(events[at].sum()), baseline_hazard(grid, events[at], exposures[:, at])
        )
        for at, name in enumerate(names)
    )


def strata_parts(
    column: str, baselines: tuple[StratumBaseline, ...] | None, horizons: tuple[float, ...], axis: str, smallest: int
) -> ResultParts:
    """Table, chart and figures; a note alone where the rule leaves no grid. axis: what the times are."""
    if baselines is None:
        return ResultParts(
            notes=(f"No baseline of the groups of {column} is shown: in no cell do enough of each leave, {smallest} or none",)
        )
    grid = baselines[0].baseline.grid
    shown = tuple(horizon for horizon in horizons if horizon in grid.ends) or grid.ends[-1:]
    hidden = small([one.events for one in baselines], smallest)
    rows: list[tuple[Cell, ...]] = []
    for one, events in zip(baselines, cells([one.events for one in baselines], smallest), strict=True):
        for time in shown:
            hazard = one.baseline.cumulative(time)
            rows.append((one.name, one.patients, events, time, hazard, float(np.exp(-hazard))))
    head = (
        Column(column, "text"),
        Column("patients", "count"),
        Column("events", "count"),
        Column("time", "count" if all(time.is_integer() for time in shown) else "number"),
        Column("cumulative hazard"),
        Column("no event", "percent"),
    )
    notes = (
        f"Of a patient whose predictor is the mean of all. On {grid.cells} cells, in which none or {smallest} leave of each",
    )
    table = Table("strata_baselines", f"Baseline hazard by {column}", head, tuple(rows), notes)
    lines = tuple(
        Line(one.name, (0.0, *grid.ends), (0.0, *(one.baseline.cumulative(end) for end in grid.ends))) for one in baselines
    )
    chart = Lines("strata_baselines", f"Baseline hazard by {column}", axis, "cumulative hazard", lines)
    figures = {
        "strata_baselines": [
            {
                "name": one.name,
                "patients": one.patients,
                "events": None if is_hidden else one.events,
                "ends": list(grid.ends),
                "cumulative_hazard": [one.baseline.cumulative(end) for end in grid.ends],
            }
            for one, is_hidden in zip(baselines, hidden, strict=True)
        ]
    }
    return ResultParts((table,), (chart,), figures)
