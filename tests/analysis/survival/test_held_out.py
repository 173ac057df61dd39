"""What predictions are worth on held-out patients: counts by score and time give what scikit-survival gives from the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.analysis.carrying import in_one_place
from wardround.analysis.registry import analysis_of
from wardround.analysis.survival.baseline_hazard import BaselineHazard, baseline_hazard, exposure
from wardround.analysis.survival.concordance import pairs_of_rows, pairs_of_table
from wardround.analysis.survival.event_counts import EventCounts, event_counts
from wardround.analysis.survival.horizons import censoring, horizon_figures
from wardround.analysis.survival.partial_likelihood import FollowUp
from wardround.analysis.survival.score_table import bin_centres, score_table
from wardround.analysis.survival.time_grid import TimeGrid

from .breast_cancer import held_out, needs_data, patients, train
from .declared_studies import breast_cancer_study, rows_of
from .made_hospitals import hospitals, together

HORIZONS = [730.0, 1095.0, 1826.0]


@given(parts=hospitals(columns=1))
def test_pairs_by_day_are_the_pairs_of_the_rows(parts: list[FollowUp]) -> None:
    """And pairs are counted by their definition: the earlier had the event, the other was followed as long."""
    rows = together(parts)
    scores, days = rows.columns[:, 0], TimeGrid.every(1, 6)
    counted = pairs_of_rows(scores, rows.times, rows.events)
    assert pairs_of_table(score_table(scores, rows.times, rows.events, days), days) == counted
    wins = losses = ties = 0
    for early in range(len(scores)):
        for late in range(len(scores)):
            longer = rows.times[late] > rows.times[early] or (rows.times[late] == rows.times[early] and not rows.events[late])
            if rows.events[early] and longer:
                wins += scores[early] > scores[late]
                losses += scores[early] < scores[late]
                ties += scores[early] == scores[late]
    assert (counted.concordant, counted.discordant, counted.tied) == (wins, losses, ties)


@given(parts=hospitals(columns=1), split=st.integers(0, 4))
def test_tables_add_up(parts: list[FollowUp], split: int) -> None:
    """The order of hospitals does not matter either: integers."""
    days = TimeGrid.every(1, 6)
    tables = [score_table(part.columns[:, 0], part.times, part.events, days) for part in parts]
    rows = together(parts[split % len(parts) :] + parts[: split % len(parts)])
    np.testing.assert_array_equal(sum(tables), score_table(rows.columns[:, 0], rows.times, rows.events, days))


@given(parts=hospitals(columns=1))
def test_the_baseline_by_day_is_breslows(parts: list[FollowUp]) -> None:
    """Events by the sum of hazards at risk, day by day."""
    rows, days = together(parts), TimeGrid.every(1, 6)
    predictor = rows.columns[:, 0]
    counts = EventCounts(
        days, event_counts(rows.times, rows.events.astype(np.int64), np.zeros(len(predictor), int), days, (1, 1))
    )
    found = baseline_hazard(days, counts.events()[0], exposure(rows.times, predictor, days))
    for day in range(7):
        risk = np.exp(predictor[rows.times >= day]).sum()
        events = (rows.events & (rows.times == day)).sum()
        assert found.hazard[day] == pytest.approx(events / risk if risk else 0.0)


def test_nobody_and_certain_answers() -> None:
    """NaN where there is nothing to say; a model that knows has a Brier score near 0 and an area of 1."""
    days = TimeGrid.every(1, 9)
    sure = BaselineHazard(days, np.full(10, 0.1))
    empty = np.zeros((len(bin_centres(4096)), 11, 2), np.int64)
    everybody = EventCounts(days, np.array([[[0, 0]] * 9 + [[0, 5], [5, 0]]]))
    assert np.isnan(horizon_figures(empty, sure, censoring(everybody), 9).area)
    table = score_table(
        np.array([7.0] * 6 + [-7.0] * 6), np.array([2.0] * 6 + [20.0] * 6), np.array([True] * 6 + [False] * 6), days
    )
    known = horizon_figures(table, sure, censoring(everybody), 9, groups=2)
    assert known.area == 1.0 and known.brier < 0.01 < known.null_brier
    assert [group.patients for group in known.groups] == [6, 6] and known.observed[0] == 0.5


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("cell", [1, 91])
def test_figures_at_named_times_are_those_of_scikit_survival(cell: int) -> None:
    """Ridge 3, one baseline, FLamby's split: the model is fitted by scikit-survival, the figures come from counts."""
    linear, metrics = pytest.importorskip("sksurv.linear_model"), pytest.importorskip("sksurv.metrics")
    rows, others = train(), held_out()
    kinds = [("event", bool), ("time", float)]
    known, judged = (np.array(list(zip(part.events, part.times, strict=True)), dtype=kinds) for part in (rows, others))
    model = linear.CoxPHSurvivalAnalysis(alpha=3.0, n_iter=100, tol=1e-12).fit(rows.columns, known)
    predictor, scores = rows.columns @ model.coef_, others.columns @ model.coef_
    centre = predictor.mean()
    grid = TimeGrid.every(cell, 8605, tuple(HORIZONS))
    counts = EventCounts(grid, event_counts(rows.times, rows.events.astype(int), np.zeros(len(rows.times), int), grid, (1, 1)))
    baseline = baseline_hazard(grid, counts.events()[0], exposure(rows.times, predictor - centre, grid))
    table = score_table(scores - centre, others.times, others.events, grid)
    chances = np.array([[curve(time) for time in HORIZONS] for curve in model.predict_survival_function(others.columns)])
    _, briers = metrics.brier_score(known, judged, chances, HORIZONS)
    areas, _ = metrics.cumulative_dynamic_auc(known, judged, scores, HORIZONS)
    for time, brier, area in zip(HORIZONS, briers, areas, strict=True):
        figures = horizon_figures(table, baseline, censoring(counts), time, smallest=5)
        assert figures.brier == pytest.approx(brier, abs=1e-3) and figures.area == pytest.approx(area, abs=1e-3)
        assert all(group.patients >= 5 and (group.events == 0 or group.events >= 5) for group in figures.groups)
        assert sum(group.patients for group in figures.groups) == 222
    exact = metrics.concordance_index_censored(others.events, others.times, scores)[0]
    assert exact == pytest.approx(0.8498, abs=5e-5)
    assert pairs_of_table(table, grid).index == pytest.approx(exact, abs=1e-3)
    assert pairs_of_rows(scores, others.times, others.events).index == pytest.approx(exact, abs=1e-12)


@needs_data
@pytest.mark.parametrize("changed", [{}, {"baseline": "common", "ties": "breslow"}])
def test_the_whole_study_reaches_the_concordance_of_the_issue(changed: dict[str, str]) -> None:
    """39 columns, ridge 3 as chosen by folds of the training patients: at least 0.84 on FLamby's test patients."""
    study = breast_cancer_study(train().names, ridge=3.0, horizons=HORIZONS, **changed)
    figures = in_one_place(analysis_of(study), rows_of(patients())).figures
    assert figures["judged_patients"] == 222 and figures["concordance"] >= 0.84 and figures["exchanges"] <= 14
    assert [one["horizon"] for one in figures["horizons"]] == HORIZONS


@pytest.mark.slow
@needs_data
def test_a_study_by_days_has_the_area_of_scikit_survival() -> None:
    """Its table has 256 bins of the score for 8,606 days, in which cases and controls tie: areas were 0.005 off. They are counted
    apart, in 4,096 bins, at the horizons alone."""
    metrics = pytest.importorskip("sksurv.metrics")
    rows, others = train(), held_out()
    study = breast_cancer_study(
        rows.names, ridge=3.0, horizons=HORIZONS, baseline="common", ties="breslow", cell=1, until=8605, smallest_cell=1
    )
    figures = in_one_place(analysis_of(study), rows_of(patients())).figures
    kinds = [("event", bool), ("time", float)]
    known, judged = (np.array(list(zip(part.events, part.times, strict=True)), dtype=kinds) for part in (rows, others))
    areas, _ = metrics.cumulative_dynamic_auc(known, judged, others.columns @ np.array(figures["coefficients"]), HORIZONS)
    assert np.allclose([one["area"] for one in figures["horizons"]], areas, rtol=0, atol=1e-3)
    assert sum(sum(group[0] for group in one["groups"]) for one in figures["horizons"]) == 3 * 222
