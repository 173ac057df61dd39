"""Cox regressions from sums: equal to what one place with all rows would have computed."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.analysis.carrying import in_one_place
from wardround.analysis.registry import analysis_of
from wardround.analysis.survival.cox_fit import CoxFit, ascent
from wardround.analysis.survival.partial_likelihood import FollowUp, LikelihoodSums, likelihood_sums, risk_sets, symmetric, upper
from wardround.analysis.survival.proportional_hazards import TrendSums, proportional_hazards, trend_sums
from wardround.values.errors import DataError

from .breast_cancer import TEN, needs_data, patients, train
from .declared_studies import breast_cancer_study, rows_of
from .made_hospitals import hospitals, together


def summed(parts: list[FollowUp], point: np.ndarray, ties: str = "efron") -> LikelihoodSums:
    total = LikelihoodSums.none(len(point))
    for part in parts:
        total += likelihood_sums(part, point, ties)
    return total


def fit(parts: list[FollowUp], names: tuple[str, ...], ridge: float = 0.0, ties: str = "efron", limit: int = 25) -> CoxFit:
    steps = ascent(names, np.full(len(names), ridge), limit)
    point = next(steps)
    while True:
        try:
            point = steps.send(summed(parts, point, ties))
        except StopIteration as ended:
            return ended.value


@given(parts=hospitals(), ties=st.sampled_from(("efron", "breslow")), slope=st.floats(-2, 2), order=st.randoms())
def test_hospitals_add_up_to_one_place_with_strata_in_any_order(parts: list[FollowUp], ties: str, slope: float, order) -> None:
    """The claim of the stratified model: its likelihood is a sum over hospitals."""
    point = np.array([slope, -slope / 2])
    one, other = summed(order.sample(parts, len(parts)), point, ties), likelihood_sums(together(parts, apart=True), point, ties)
    for name in ("log_likelihood", "score", "information"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-9)


@given(parts=hospitals(), ties=st.sampled_from(("efron", "breslow")), slope=st.floats(-1, 1))
def test_score_and_information_are_the_derivatives(parts: list[FollowUp], ties: str, slope: float) -> None:
    """The shortcut that forms no risk set's second moment is right, with ties, one patient and nobody."""
    point, step = np.array([slope, 0.3]), 1e-5
    here = summed(parts, point, ties)
    for column in range(2):
        move = np.eye(2)[column] * step
        up, down = summed(parts, point + move, ties), summed(parts, point - move, ties)
        assert (up.log_likelihood - down.log_likelihood) / (2 * step) == pytest.approx(here.score[column], abs=1e-6)
        np.testing.assert_allclose((down.score - up.score) / (2 * step), here.information[column], atol=1e-6)


@given(parts=hospitals(), slope=st.floats(-1, 1))
def test_likelihood_is_its_definition(parts: list[FollowUp], slope: float) -> None:
    """Efron's by hand, event by event."""
    point = np.array([slope, -0.4])
    total = 0.0
    for part in parts:
        for time in np.unique(part.times[part.events]):
            tied = part.events & (part.times == time)
            weights = np.exp(part.columns @ point)
            for turn in range(int(tied.sum())):
                share = turn / tied.sum()
                total -= np.log(weights[part.times >= time].sum() - share * weights[tied].sum())
            total += float((part.columns[tied] @ point).sum())
    assert summed(parts, point).log_likelihood == pytest.approx(total, abs=1e-9)


@given(parts=hospitals(columns=1), slope=st.floats(-1, 1))
def test_trend_sums_are_the_score_of_a_ratio_that_changes(parts: list[FollowUp], slope: float) -> None:
    """The likelihood with b + c g(t), differentiated at c = 0."""

    def clock(times: np.ndarray) -> np.ndarray:
        return times / 6

    def changed(change: float) -> float:
        total = 0.0
        for part in parts:
            for time in np.unique(part.times[part.events]):
                effect = slope + change * float(clock(time))
                rows = part.times >= time
                only = FollowUp(part.columns[rows], part.times[rows], part.events[rows] & (part.times[rows] == time))
                total += risk_sets(only, np.array([effect])).gain
        return total

    step = 1e-4
    sums = [trend_sums(part, np.array([slope]), clock) for part in parts]
    up, here, down = changed(step), changed(0), changed(-step)
    assert sum(float(one.score[0]) for one in sums) == pytest.approx((up - down) / (2 * step), abs=1e-6)
    assert sum(float(one.twice[0, 0]) for one in sums) == pytest.approx(-(up - 2 * here + down) / step**2, abs=1e-4)


@given(size=st.integers(0, 5), seed=st.integers(0, 9))
def test_a_triangle_is_the_matrix_again(size: int, seed: int) -> None:
    """Half of a symmetric matrix is sent."""
    half = np.random.default_rng(seed).normal(size=(size, size))
    np.testing.assert_array_equal(symmetric(upper(half + half.T), size), half + half.T)


def made(seed: int = 3, size: int = 60) -> list[FollowUp]:
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(3):
        columns = np.stack([random.uniform(-1, 1, size), random.integers(0, 2, size)], 1).astype(float)
        times = np.ceil(random.exponential(30 / np.exp(columns @ np.array([0.8, -0.5]))))
        parts.append(FollowUp(columns, times, random.random(size) < 0.7))
    return parts


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_tied_times_give_what_statsmodels_gives(ties: str) -> None:
    """Whole days with many events each, three strata."""
    duration = pytest.importorskip("statsmodels.duration.api")
    parts, both = made(), together(made(), apart=True)
    theirs = duration.PHReg(both.times, both.columns, status=both.events, ties=ties, strata=both.strata).fit(tol=1e-14)
    ours = fit(parts, ("x", "z"), ties=ties)
    np.testing.assert_allclose(ours.coefficients, theirs.params, atol=1e-8)
    np.testing.assert_allclose(ours.standard_errors, theirs.bse, atol=1e-8)
    assert ours.log_likelihood == pytest.approx(theirs.llf, abs=1e-8)


def test_a_penalty_is_what_lifelines_calls_so() -> None:
    """Their penalizer times n, on columns that are standardised already."""
    lifelines, pandas = pytest.importorskip("lifelines"), pytest.importorskip("pandas")
    every = together(made())
    columns = (every.columns - every.columns.mean(axis=0)) / every.columns.std(axis=0, ddof=1)
    frame = pandas.DataFrame(columns, columns=["x", "z"]).assign(days=every.times, died=every.events)
    theirs = lifelines.CoxPHFitter(penalizer=5 / len(frame)).fit(
        frame, "days", "died", fit_options={"precision": 1e-20, "r_precision": -1.0}
    )
    ours = fit([FollowUp(columns, every.times, every.events)], ("x", "z"), ridge=5.0)
    np.testing.assert_allclose(ours.coefficients, theirs.params_.to_numpy(), atol=1e-7)
    np.testing.assert_allclose(ours.standard_errors, theirs.standard_errors_.to_numpy(), atol=1e-7)


@needs_data
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_ten_columns_of_866_patients_in_at_most_seven_exchanges(ties: str) -> None:
    """The figures of the issue, through bounded words of 64 bits."""
    duration = pytest.importorskip("statsmodels.duration.api")
    rows = train()
    theirs = duration.PHReg(rows.times, rows.chosen(TEN), status=rows.events, ties=ties, strata=rows.regions).fit(tol=1e-14)
    result = in_one_place(analysis_of(breast_cancer_study(ties=ties)), rows_of(patients()))
    np.testing.assert_allclose(result.figures["coefficients"], theirs.params, atol=1e-8)
    np.testing.assert_allclose(result.figures["standard_errors"], theirs.bse, atol=1e-8)
    np.testing.assert_allclose(result.figures["p"], theirs.pvalues, atol=1e-8)
    assert result.figures["log_likelihood"] == pytest.approx(theirs.llf, abs=1e-8)
    assert (result.figures["fitted_patients"], result.figures["fitted_events"]) == (866, 119)
    for name, said in (("coefficients", (0.225862, -1.290571)), ("standard_errors", (0.099959, 0.226380))):
        np.testing.assert_allclose(result.figures[name][:2], said, atol=6e-7)
    assert result.figures["exchanges"] <= 7 and result.error < 1e-9


def test_proportional_hazards_is_the_score_test_of_a_ratio_that_changes() -> None:
    """Against the likelihood with x g(t) added, differentiated by numbers."""
    parts, column, step = made(), 1, 1e-4
    ours = fit(parts, ("x", "z"))

    def clock(times: np.ndarray) -> np.ndarray:
        return np.minimum(times / 100, 1.0)

    def likelihood(point: np.ndarray) -> float:
        total = 0.0
        for part in parts:
            for time in np.unique(part.times[part.events]):
                rows = part.times >= time
                changing = np.c_[part.columns[rows], part.columns[rows, column] * clock(time)]
                only = FollowUp(changing, part.times[rows], part.events[rows] & (part.times[rows] == time))
                total += risk_sets(only, point).gain
        return total

    here, moves = np.append(ours.coefficients, 0.0), np.eye(3) * step
    score = np.array([likelihood(here + move) - likelihood(here - move) for move in moves]) / (2 * step)

    def mixed(one: np.ndarray, other: np.ndarray) -> float:
        corners = ((1, 1, 1), (-1, 1, -1), (-1, -1, 1), (1, -1, -1))
        return sum(sign * likelihood(here + first * one + second * other) for sign, first, second in corners)

    curve = np.array([[mixed(one, other) for one in moves] for other in moves]) / (4 * step**2)
    sums = [trend_sums(part, ours.coefficients, clock) for part in parts]
    total = TrendSums(*(sum(getattr(one, name) for one in sums) for name in ("score", "once", "twice")))
    test = proportional_hazards(ours.information, total)
    assert test.statistics[column] == pytest.approx(float(score @ np.linalg.solve(-curve, score)), rel=1e-4)
    assert test.overall >= max(test.statistics) - 1e-9 and 0 <= test.overall_p <= 1


def refused(parts: list[FollowUp], names: tuple[str, ...] = ("x", "z"), limit: int = 25) -> str:
    with pytest.raises(DataError) as caught:
        fit(parts, names, limit=limit)
    return str(caught.value)


def test_what_cannot_be_fitted_is_refused_by_the_column() -> None:
    """A pseudo-inverse would answer with numbers that mean nothing."""
    parts = made()
    nobody = [FollowUp(part.columns, part.times, np.zeros(len(part.times), bool)) for part in parts]
    assert "nothing to compare" in refused(nobody)
    still = [FollowUp(np.c_[part.columns[:, 0], np.ones(len(part.times))], part.times, part.events) for part in parts]
    assert "z is the same for all" in refused(still)
    double = [FollowUp(np.c_[part.columns[:, 0], 1 - 2 * part.columns[:, 0]], part.times, part.events) for part in parts]
    assert "z = -2 x" in refused(double)
    apart = [FollowUp(np.c_[part.columns[:, 0], part.events], part.times, part.events) for part in parts]
    assert "rises for ever with the coefficient of z" in refused(apart, limit=60)
    assert "has not come to its end" in refused(parts, limit=2)


def test_a_step_too_far_is_halved() -> None:
    """Newton's method overshoots where columns are skewed; a likelihood that is not finite is as low as any."""
    parts = made()
    names = ("x", "z")
    steps = ascent(names, np.zeros(2), 60)
    point, best, misled = next(steps), -np.inf, 0
    while True:
        sums = summed(parts, point)
        if misled < 3 and np.abs(point).max() > 0:  # three times the hospitals say that it went downhill
            misled += 1
            sums = LikelihoodSums(float("nan"), sums.score, sums.information)
        else:
            assert sums.log_likelihood >= best - 1e-9
            best = sums.log_likelihood
        try:
            point = steps.send(sums)
        except StopIteration as ended:
            np.testing.assert_allclose(ended.value.coefficients, fit(parts, names).coefficients, atol=1e-12)
            return


@needs_data
def test_figures_of_a_study_are_json() -> None:
    """With groups, horizons and a penalty."""
    study = breast_cancer_study(horizons=[730, 1826], groups="treatment_or_therapy_yes", ridge=3.0)
    result = in_one_place(analysis_of(study), rows_of(patients()))
    json.dumps(dict(result.figures), allow_nan=False)
    assert {table.name for table in result.tables} >= {"groups", "curves", "horizons", "tests", "hazard_ratios", "accuracy"}
