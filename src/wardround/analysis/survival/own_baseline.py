"""A hospital's own baseline hazard, for its own report: what the coefficients of all hospitals leave to its patients alone.

    hazard of the hospital in a cell = its events / sum over its patients of exp(predictor) x time followed        (N. Breslow)

The coefficients come with the order of `checks`. Nothing of the table leaves the hospital, so that nothing is withheld in it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from wardround.analysis.survival.baseline_hazard import baseline_hazard, exposure
from wardround.analysis.survival.declared import DeclaredSurvival
from wardround.analysis.survival.event_counts import EventCounts, event_counts
from wardround.analysis.survival.parts import told
from wardround.analysis.survival.risk_set_sums import FARTHEST
from wardround.values.rows import Rows
from wardround.values.tree import Tree

MOST_TIMES = 60
"""Rows of a group: of a finer grid every so many-th end is told."""
NAME = "baseline_hazard"
_COLUMNS = ("group", "time", "followed on", "events by then", "cumulative hazard", "no event by then, of the mean patient")


def own_baseline(declared: DeclaredSurvival, rows: Rows, order: Tree) -> Mapping[str, Any]:
    """The table under its name, as JSON holds it. order: of `checks`."""
    model, grid = declared.modelled(rows), declared.grid
    predictor = np.clip(model.columns @ order["coefficients"] - order["centre"][0], -FARTHEST, FARTHEST)
    names = declared.strata_names or ("all",)
    groups = np.zeros(len(model.times), np.int64) if model.strata is None else model.strata
    every = EventCounts(grid, event_counts(model.times, model.events.astype(np.int64), groups, grid, (len(names), 1)))
    step = -(-grid.cells // MOST_TIMES)
    ends = [end for at, end in enumerate(grid.ends, 1) if at % step == 0 or at == grid.cells or end in declared.section.horizons]
    table = []
    for number, name in enumerate(names):
        own, events = groups == number, every.events()[number]
        baseline = baseline_hazard(grid, events, exposure(model.times[own], predictor[own], grid))
        for end in ends:
            hazard, by_then = baseline.cumulative(end), int(events[: grid.cells_until(end)].sum())
            followed_on = int(every.followed_beyond(end)[number])
            table.append([name, end, followed_on, by_then, told(hazard), told(float(np.exp(-hazard)))])
    return {NAME: {"columns": list(_COLUMNS), "rows": table}}
