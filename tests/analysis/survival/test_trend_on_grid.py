"""Proportional hazards with one baseline for all hospitals: lifelines on pooled rows, and what the sums may not tell."""

import numpy as np
import pytest

from wardround.analysis.carrying import in_one_place
from wardround.analysis.protocol import Ask
from wardround.analysis.registry import analysis_of
from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.survival import Survival
from wardround.analysis.survival.time_grid import TimeGrid
from wardround.analysis.survival.trend_on_grid import clock_of_cells, counts_on
from wardround.study.declaration import Study
from wardround.values.rows import Rows

from ..drawn_rows import divided, drawn
from .declared_studies import study

COLUMNS = [
    {"name": "days", "unit": "days", "range": [0, 3000]},
    {"name": "age", "unit": "years", "range": [20, 100], "center": 60, "scale": 12},
    {"name": "arm", "kind": "binary"},
]
TERMS = [{"column": "age", "per": 10}, {"column": "arm"}]
COUNT = 150


def patients() -> Rows:
    """No two leave on one day; the arm helps early and not late."""
    random = np.random.default_rng(11)
    age, arm = random.uniform(25, 90, COUNT), random.integers(0, 2, COUNT).astype(float)
    free = random.exponential(1 / np.exp(0.04 * (age - 60))) * np.where(arm > 0, 0.5, 1.0) + 0.3 * arm
    days = 1.0 + 2 * np.argsort(np.argsort(free))
    return drawn(COUNT, {"days": days, "died": (random.random(COUNT) < 0.7).astype(float), "age": age, "arm": arm})


def asked(smallest_cell: int, **changed) -> Study:
    """On cells of a day: without the rule nothing of the times is lost."""
    section = {"time": "days", "event": "died", "until": 400, "cell": 1, "baseline": "common", "ties": "breslow", "terms": TERMS}
    return study(COLUMNS, {**section, **changed}, largest_hospital=500, smallest_cell=smallest_cell)


def test_without_the_rule_it_is_lifelines_test_to_the_ninth_digit() -> None:
    """Over four hospitals through bounded words, against all patients in one place with the same transform of time."""
    lifelines, pandas = pytest.importorskip("lifelines"), pytest.importorskip("pandas")
    statistics = pytest.importorskip("lifelines.statistics")
    rows = patients()
    result = in_one_place(analysis_of(asked(1)), divided(rows, 4))
    columns = {"age": (rows["age"] - 60) / 12, "arm": rows["arm"]}
    frame = pandas.DataFrame(columns).assign(days=rows["days"], died=rows["died"])
    model = lifelines.CoxPHFitter().fit(frame, "days", "died", fit_options={"precision": 1e-20, "r_precision": -1.0})
    grid = TimeGrid.every(1, 400)
    table = np.zeros((1, grid.cells + 1, 2), np.int64)
    np.add.at(table, (0, grid.cell_of(rows["days"]), rows["died"].astype(int)), 1)
    clock = np.append(clock_of_cells(EventCounts(grid, table), 1), 0.0)
    theirs = statistics.proportional_hazard_test(
        model, frame, time_transform=lambda times, *_: pandas.Series(clock[grid.cell_of(times.to_numpy())], times.index)
    )
    found = result.figures["proportional_hazards"]
    np.testing.assert_allclose(found["statistics"], theirs.test_statistic, atol=1e-8)
    np.testing.assert_allclose(found["p"], theirs.p_value, atol=1e-8)
    assert found["p"][1] < 0.05 and found["overall"] >= max(found["statistics"]) - 1e-9


def test_with_the_rule_the_test_is_there_and_with_a_penalty_it_is_not() -> None:
    """On the widened grid; residuals of a penalised fit do not add up to 0."""
    parts = divided(patients(), 4)
    figures = in_one_place(analysis_of(asked(5)), parts).figures
    assert len(figures["baseline"]["ends"]) < 200 and 0 < figures["proportional_hazards"]["p"][1] < 0.05
    assert "proportional_hazards" not in in_one_place(analysis_of(asked(5, ridge=1.0)), parts).figures


def test_neighbouring_cells_with_few_events_share_their_place_in_time() -> None:
    """Whole numbers under different weights are told apart: five events are one sum, whatever leaves beside them."""
    leaving, events = np.array([6, 9, 5, 8, 40, 0]), np.array([1, 3, 2, 5, 4])
    counts = counts_on(TimeGrid((10.0, 20.0, 30.0, 40.0, 50.0)), (10.0, 20.0, 30.0, 40.0, 50.0), leaving, events)
    clock = clock_of_cells(counts, 5)
    assert clock[0] == clock[1] == clock[2] < clock[3] == clock[4]
    assert not clock_of_cells(counts, 20).any()
    for place in np.unique(clock):
        assert events[clock == place].sum() >= 5


def test_totals_that_are_not_even_a_hospitals_own_give_nothing() -> None:
    """A hub that names a single event's cell would have that patient's row."""
    survival = analysis_of(asked(5))
    assert isinstance(survival, Survival)
    rows = patients()
    counts = survival.contribution(rows, Ask("counts"))["fitted"]
    order = {"coefficients": np.zeros(2), "centre": np.zeros(1), "leaving": counts.sum(axis=1).astype(float)}
    honest = survival.contribution(rows, Ask("checks", {**order, "events": counts[:-1, 1].astype(float)}))
    assert np.abs(honest["trend_events"]).min() > 0
    one = np.zeros(len(counts) - 1)
    one[np.flatnonzero(counts[:-1, 1])[3]] = 1.0
    for events in (one, one * 0, one + 2.0**19):
        crafted = survival.contribution(rows, Ask("checks", {**order, "events": events}))
        assert not crafted["trend_events"].any()
