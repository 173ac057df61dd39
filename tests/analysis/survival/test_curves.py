"""Curves, tests and means from counts on a grid: what the rows themselves give, where cells are days."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.analysis.survival.cumulative_incidence import cumulative_incidence
from wardround.analysis.survival.event_counts import EventCounts, event_counts
from wardround.analysis.survival.kaplan_meier import kaplan_meier
from wardround.analysis.survival.log_rank import LogRankSums, log_rank, of_counts, of_rows
from wardround.analysis.survival.partial_likelihood import FollowUp
from wardround.analysis.survival.restricted_mean import restricted_mean
from wardround.analysis.survival.time_grid import TimeGrid

from .breast_cancer import needs_data, patients
from .made_hospitals import hospitals, together

DAYS = TimeGrid.every(1, 6)


def counted(rows: FollowUp, grid: TimeGrid = DAYS, groups: np.ndarray | None = None, group_count: int = 1) -> np.ndarray:
    places = np.zeros(len(rows.times), np.int64) if groups is None else groups
    return event_counts(rows.times, rows.events.astype(np.int64), places, grid, (group_count, 1))


@given(parts=hospitals(), order=st.randoms())
def test_counts_of_hospitals_add_up_to_those_of_one_place_in_any_order(parts: list[FollowUp], order) -> None:
    """Everything else follows from the total."""
    total = sum(counted(part) for part in order.sample(parts, len(parts)))
    np.testing.assert_array_equal(total, counted(together(parts)))


@given(parts=hospitals())
def test_the_curve_of_daily_counts_is_the_product_over_the_rows(parts: list[FollowUp]) -> None:
    """By the definition, patient by patient."""
    rows = together(parts)
    curve = kaplan_meier(EventCounts(DAYS, counted(rows)))
    survival, growth = 1.0, 0.0
    for day in range(7):
        risk, events = int((rows.times >= day).sum()), int((rows.events & (rows.times == day)).sum())
        if risk == 0:
            assert math.isnan(curve.survival[day])
            continue
        survival *= 1 - events / risk
        growth += events / (risk * (risk - events)) if events < risk else 0.0
        assert curve.survival[day] == pytest.approx(survival, abs=1e-14)
        if survival > 0:
            assert curve.variance[day] == pytest.approx(survival**2 * growth, abs=1e-14)
            assert 0 <= curve.low[day] <= curve.survival[day] <= curve.high[day] <= 1


@given(parts=hospitals(), ends=st.sets(st.integers(0, 6), min_size=1))
def test_counts_that_are_widened_are_those_of_the_wider_grid(parts: list[FollowUp], ends: set[int]) -> None:
    """A grid may be widened after the sum as before it."""
    kept = np.isin(np.arange(7), sorted(ends))
    wider = EventCounts(DAYS, counted(together(parts))).widened(kept)
    np.testing.assert_array_equal(wider.table, counted(together(parts), TimeGrid(tuple(map(float, sorted(ends))))))


@given(parts=hospitals(), seed=st.integers(0, 99))
def test_log_rank_of_daily_counts_is_that_of_the_rows(parts: list[FollowUp], seed: int) -> None:
    """Both ways are offered: over the total, and hospital by hospital."""
    rows = together(parts)
    groups = np.random.default_rng(seed).integers(0, 3, len(rows.times))
    by_counts = of_counts(EventCounts(DAYS, counted(rows, groups=groups, group_count=3)))
    by_rows = of_rows(rows.times, rows.events, groups, 3)
    for one, other in zip(vars(by_counts).values(), vars(by_rows).values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    test = log_rank(by_rows)
    assert test.statistic >= 0 and 0 <= test.p <= 1 and sum(test.observed) == pytest.approx(sum(test.expected))


def test_nobody_and_one_patient_are_answered() -> None:
    """A group may be empty, and a hospital small."""
    nobody = EventCounts(DAYS, np.zeros((1, 8, 2), np.int64))
    assert np.isnan(kaplan_meier(nobody).survival).all() and math.isnan(restricted_mean(nobody, 3).mean)
    one = EventCounts(DAYS, counted(FollowUp(np.zeros((1, 1)), np.array([0.0]), np.array([True]))))
    assert kaplan_meier(one).survival[0] == 0 and kaplan_meier(one).median[0] == 0
    assert log_rank(LogRankSums(np.zeros(2), np.zeros(2), np.zeros((2, 2)))).p == 1.0
    assert cumulative_incidence(one, 1).incidence[0] == 1.0


@given(parts=hospitals(), seed=st.integers(0, 99))
def test_causes_and_the_curve_share_out_all_patients(parts: list[FollowUp], seed: int) -> None:
    """S + F1 + F2 = 1 is what competing risks mean."""
    rows = together(parts)
    causes = np.where(rows.events, np.random.default_rng(seed).integers(1, 3, len(rows.times)), 0)
    counts = EventCounts(DAYS, event_counts(rows.times, causes, np.zeros_like(causes), DAYS, (1, 2)))
    whole = kaplan_meier(counts).survival + sum(cumulative_incidence(counts, cause).incidence for cause in (1, 2))
    np.testing.assert_allclose(whole[~np.isnan(whole)], 1.0, atol=1e-12)


@given(parts=hospitals())
def test_the_restricted_mean_of_days_is_the_area_under_the_steps(parts: list[FollowUp]) -> None:
    """With its variance by the textbook: sum of (area behind the event)^2 d / (n (n - d))."""
    rows = together(parts)
    found = restricted_mean(EventCounts(DAYS, counted(rows)), 5)
    if math.isnan(found.mean):
        assert not (rows.times >= 5).any()
        return
    curve = kaplan_meier(EventCounts(DAYS, counted(rows))).survival
    variance = 0.0
    for day in range(5):
        risk, events = int((rows.times >= day).sum()), int((rows.events & (rows.times == day)).sum())
        variance += curve[day:5].sum() ** 2 * events / (risk * (risk - events)) if 0 < events < risk else 0.0
    assert found.mean == pytest.approx(curve[:5].sum(), abs=1e-12) and found.variance == pytest.approx(variance, abs=1e-12)


@needs_data
def test_daily_counts_of_1088_patients_give_what_lifelines_gives() -> None:
    """Curve, band, median, log-rank of the regions."""
    lifelines = pytest.importorskip("lifelines")
    every, days = patients(), TimeGrid.every(1, 8605)
    table = event_counts(every.times, every.events.astype(np.int64), every.regions, days, (6, 1))
    counts = EventCounts(days, table)
    curve, theirs = kaplan_meier(counts.pooled()), lifelines.KaplanMeierFitter().fit(every.times, every.events)
    at = theirs.survival_function_.index.to_numpy().astype(int)
    np.testing.assert_allclose(curve.survival[at], theirs.survival_function_.to_numpy()[:, 0], atol=1e-13)
    band = theirs.confidence_interval_survival_function_.to_numpy()
    np.testing.assert_allclose(np.stack([curve.low, curve.high], 1)[at[1:-1]], band[1:-1], atol=1e-13)
    assert curve.median[0] == theirs.median_survival_time_ == 3941
    test = log_rank(of_counts(counts))
    assert (test.statistic, test.p) == (pytest.approx(11.105072691346857, abs=1e-10), pytest.approx(0.049336044720251, abs=1e-12))


@needs_data
def test_quarters_of_ten_years_are_within_a_thousandth_of_the_pooled_curve() -> None:
    """The figure of the issue; and by days nothing is lost."""
    every = patients()
    days = kaplan_meier(
        EventCounts(TimeGrid.every(1, 3650), counted(FollowUp(every.columns, every.times, every.events), TimeGrid.every(1, 3650)))
    )
    for width, error in ((30, 7e-4), (91, 1e-3), (182, 2.1e-3)):
        grid = TimeGrid.every(width, 3650)
        curve = kaplan_meier(EventCounts(grid, counted(FollowUp(every.columns, every.times, every.events), grid)))
        assert np.abs(curve.survival - days.survival[np.array(grid.ends, int)]).max() < error


@needs_data
def test_competing_risks_agree_with_scikit_survival() -> None:
    """Causes are drawn; the variance is Dinse and Larson's approximation, as the delta method has it."""
    nonparametric = pytest.importorskip("sksurv.nonparametric")
    every, days = patients(), TimeGrid.every(1, 8605)
    causes = np.where(every.events, np.random.default_rng(7).integers(1, 3, len(every.times)), 0)
    counts = EventCounts(days, event_counts(every.times, causes, np.zeros_like(causes), days, (1, 2)))
    times, theirs, bands = nonparametric.cumulative_incidence_competing_risks(
        causes, every.times, conf_type="log-log", var_type="Dinse_Approx"
    )
    for cause in (1, 2):
        curve, at = cumulative_incidence(counts, cause), times.astype(int)
        np.testing.assert_allclose(curve.incidence[at], theirs[cause], atol=1e-14)
        there = theirs[cause] > 0
        np.testing.assert_allclose(np.stack([curve.low, curve.high])[:, at][:, there], bands[cause][:, there], atol=1e-13)
