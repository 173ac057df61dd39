"""Tables and charts of curves: groups, survival at the horizons, the whole curve, and the tests between groups."""

import math

import numpy as np

from wardround.analysis.result import Cell, Column, Line, Lines, Table
from wardround.analysis.survival.curves import Curves, GroupCurves
from wardround.analysis.survival.declared import DeclaredSurvival
from wardround.analysis.survival.log_rank import LogRank
from wardround.analysis.survival.parts import ResultParts, cells, shown_or_none, small, told
from wardround.privacy.disclosure import shown_count

_TICKS = 6
_INTERVAL = (Column("low", digits=3), Column("high", digits=3))


def curve_parts(declared: DeclaredSurvival, curves: Curves, smallest: int) -> ResultParts:
    """Everything of a result that needs counts alone."""
    parts = ResultParts(
        (_groups(declared, curves, smallest), _risk_table(declared, curves)),
        (_chart(declared, curves),),
        {
            "groups": [
                _group_figures(group, hidden) for group, hidden in zip(curves.groups, _hidden(curves, smallest), strict=True)
            ],
            "grid": list(curves.counts.grid.ends),
            "left_out": shown_or_none(curves.left_out, smallest),
        },
        _notes(declared, curves, smallest),
        curves.error,
    )
    if curves.horizons:
        parts += _at_horizons(declared, curves)
    if len(declared.cause_names) > 1:
        parts += _incidence(declared, curves)
    if curves.on_grid is not None:
        parts += _tests(curves.on_grid, curves.by_hospital)
    return parts + ResultParts((_whole_curves(declared, curves),))


def _hidden(curves: Curves, smallest: int) -> list[bool]:
    return small([group.survival.events for group in curves.groups], smallest)


def _group_figures(group: GroupCurves, hidden: bool) -> dict[str, object]:
    curve = group.survival
    return {
        "name": group.name,
        "patients": curve.patients,
        "events": None if hidden else curve.events,
        "median": [told(end) for end in curve.median],
        "survival": [told(value) for value in curve.survival],
        "low": [told(value) for value in curve.low],
        "high": [told(value) for value in curve.high],
        "at_risk": [int(count) for count in curve.at_risk],
        "restricted_means": [[mean.horizon, told(mean.mean), told(mean.variance)] for mean in group.means],
    }


def _groups(declared: DeclaredSurvival, curves: Curves, smallest: int) -> Table:
    events = cells([group.survival.events for group in curves.groups], smallest)
    rows = tuple(
        (group.name, group.survival.patients, count, *(told(time) for time in group.survival.median))
        for group, count in zip(curves.groups, events, strict=True)
    )
    times = (_time(curves, "median"), _time(curves, "low"), _time(curves, "high"))
    head = (_group(declared), Column("patients", "count"), Column("events", "count"), *times)
    notes = (
        f"median: the time ({declared.time_unit}) by which half have had the event; none where the curve stays above one half",
    )
    return Table("groups", "Patients and events", head, rows, notes)


def _group(declared: DeclaredSurvival) -> Column:
    return Column(declared.section.groups or "group", "text")


def _time(curves: Curves, name: str = "time") -> Column:
    return Column(name, "count" if curves.counts.grid.whole else "number")


def _at_horizons(declared: DeclaredSurvival, curves: Curves) -> ResultParts:
    survival: list[tuple[Cell, ...]] = []
    means: list[tuple[Cell, ...]] = []
    for group in curves.groups:
        for mean in group.means:
            cell = group.counts.grid.cells_until(mean.horizon) - 1
            curve, followed = group.survival, int(group.counts.followed_beyond(mean.horizon)[0])
            ends = (told(float(line[cell])) for line in (curve.survival, curve.low, curve.high))
            survival.append((group.name, mean.horizon, followed, *ends))
            means.append((group.name, mean.horizon, told(mean.mean), *(told(end) for end in mean.interval)))
    head = (_group(declared), _time(curves), Column("followed on", "count"), Column("survival", digits=3), *_INTERVAL)
    table = Table("horizons", "Survival at the named times", head, tuple(survival))
    notes = ("mean: of the time without the event, up to the time named; the area under the curve",)
    of_means = (_group(declared), _time(curves), Column("mean"), Column("low"), Column("high"))
    areas = Table("restricted_means", "Mean time without the event", of_means, tuple(means), notes)
    return ResultParts((table, areas))


def _whole_curves(declared: DeclaredSurvival, curves: Curves) -> Table:
    rows = []
    for group in curves.groups:
        curve = group.survival
        for cell, end in enumerate(curve.times):
            values = (curve.survival[cell], curve.low[cell], curve.high[cell])
            rows.append((group.name, float(end), int(curve.at_risk[cell]), *(told(float(value)) for value in values)))
    head = (_group(declared), _time(curves), Column("at risk", "count"), Column("survival"), *_INTERVAL)
    notes = ("at risk: at the beginning of the cell of times that ends at `time`; survival: at its end",)
    return Table("curves", "The whole curves", head, tuple(rows), notes, detail=True)


def _risk_table(declared: DeclaredSurvival, curves: Curves) -> Table:
    ticks = _ticks(curves)
    rows: list[tuple[Cell, ...]] = [
        (group.name, *(int(group.counts.followed_beyond(tick)[0]) for tick in ticks)) for group in curves.groups
    ]
    head = (_group(declared), *(Column(f"{tick:g}", "count") for tick in ticks))
    return Table("at_risk", f"Still followed after so many {declared.time_unit}", head, tuple(rows))


def _ticks(curves: Curves) -> tuple[float, ...]:
    """0, and ends of cells that lie about as far from one another."""
    ends = curves.counts.grid.ends
    chosen = sorted({ends[round(position)] for position in np.linspace(0, len(ends) - 1, _TICKS)})
    return (0.0, *(end for end in chosen if end > ends[-1] / (2 * _TICKS)))


def _incidence(declared: DeclaredSurvival, curves: Curves) -> ResultParts:
    rows, lines = [], []
    for group in curves.groups:
        for cause, curve in zip(declared.cause_names, group.incidence, strict=True):
            values = list(zip(curve.times, curve.incidence, curve.low, curve.high, strict=True))
            rows += [(group.name, cause, *(told(float(value)) for value in point)) for point in values]
            label = cause if len(curves.groups) == 1 else f"{declared.label_of(group.name)}, {cause}"
            lines.append(_line(label, curve.times, curve.incidence, curve.low, curve.high, 0.0, steps=_daily(curves)))
    head = (_group(declared), Column("cause", "text"), _time(curves), Column("incidence"), *_INTERVAL)
    table = Table("incidence", "Cumulative incidence of each cause", head, tuple(rows), detail=True)
    chart = Lines("incidence", "Cumulative incidence", declared.time_label, "share with the event", tuple(lines))
    return ResultParts((table,), (chart,))


def _tests(on_grid: LogRank, by_hospital: LogRank | None) -> ResultParts:
    """by_hospital: None of a private study, whose counts are of all hospitals together."""
    tests = (
        ("all together, on the grid", "log_rank", on_grid),
        ("within hospitals, by time", "log_rank_by_hospital", by_hospital),
    )
    made = [(name, key, test) for name, key, test in tests if test is not None]
    rows = tuple((name, test.statistic, test.freedom, test.p) for name, _, test in made)
    head = (Column("log-rank test", "text"), Column("chi-square"), Column("df", "count"), Column("p", "p"))
    figures = {key: {"statistic": test.statistic, "freedom": test.freedom, "p": test.p} for _, key, test in made}
    return ResultParts((Table("tests", "Whether groups differ", head, rows),), (), figures)


def _daily(curves: Curves) -> bool:
    return curves.counts.grid.whole and bool((curves.counts.grid.widths == 1).all())


def _line(
    label: str, times: np.ndarray, values: np.ndarray, low: np.ndarray, high: np.ndarray, start: float, *, steps: bool
) -> Line:
    """Up to where somebody is at risk. Points without an interval have the curve itself."""
    there = np.isfinite(values)

    def points(line: np.ndarray) -> tuple[float, ...]:
        filled = np.where(np.isfinite(line), line, values)[there]
        return (start, *(float(value) for value in filled))

    return Line(label, (0.0, *(float(time) for time in times[there])), points(values), points(low), points(high), steps)


def _chart(declared: DeclaredSurvival, curves: Curves) -> Lines:
    lines, below = [], {}
    ticks = _ticks(curves)
    for group in curves.groups:
        curve = group.survival
        lines.append(
            _line(declared.label_of(group.name), curve.times, curve.survival, curve.low, curve.high, 1.0, steps=_daily(curves))
        )
        below[group.name] = tuple(str(int(group.counts.followed_beyond(tick)[0])) for tick in ticks)
    title = f"Without {declared.section.event}" if not declared.section.causes else "Without any of the events"
    return Lines(
        "survival", title, declared.time_label, "share without the event", tuple(lines), ticks, below, y_range=(0.0, 1.0)
    )


def _notes(declared: DeclaredSurvival, curves: Curves, smallest: int) -> tuple[str, ...]:
    notes = []
    grid = curves.counts.grid
    if grid.cells < curves.asked_cells:
        notes.append(
            f"The grid of times has {grid.cells} cells in place of {curves.asked_cells}, up to {grid.ends[-1]:g}: in the others "
            f"fewer than {smallest} patients of a group would have left"
        )
    if lost := [f"{horizon:g}" for horizon in declared.section.horizons if horizon not in curves.horizons]:
        notes.append(f"Not told, since a cell of the grid no longer ends there: {', '.join(lost)}")
    if not _daily(curves):
        notes.append(
            "Within a cell of the grid patients are taken to leave evenly; on cells one day wide curves are what the rows give"
        )
    if curves.left_out:
        notes.append(f"{shown_count(curves.left_out, smallest)} rows without a time, event or group were left out")
    if any(math.isinf(group.survival.median[2]) for group in curves.groups):
        notes.append("An interval of a median without an upper end is open: the band does not come down to one half")
    return tuple(notes)
