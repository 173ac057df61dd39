"""Regressions: the laws, statsmodels on pooled rows, and what is refused by name."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.outliers_influence import variance_inflation_factor

from wardround.analysis.carrying import bounded, carried, exchange_of, in_one_place, total_of, words_of
from wardround.analysis.protocol import Ask, Total
from wardround.analysis.registry import analysis_of
from wardround.analysis.result import Result
from wardround.sources.datasets.named import load_dataset_rows
from wardround.study.declaration import Study
from wardround.study.reading import load_study, parse_study
from wardround.values.errors import DataError, StudyError
from wardround.values.rows import Rows

from .analysis_conformance import AnalysisConformance
from .drawn_rows import divided, drawn

ROOT = Path(__file__).parents[2]
real = pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA is not set: no public data sets here")

DATA = """
format = 1
[question]
title = "A drawn cohort"
[data]
kind = "table"
[[data.columns]]
name = "age"
range = [18, 100]
[[data.columns]]
name = "bmi"
range = [10, 60]
max_missing = 0.5
[[data.columns]]
name = "ward"
kind = "category"
categories = ["a", "b", "c"]
[[data.columns]]
name = "smoker"
kind = "binary"
[[data.columns]]
name = "ill"
kind = "binary"
[[data.columns]]
name = "visits"
range = [0, 60]
[[data.columns]]
name = "years"
range = [0.1, 12]
[[data.columns]]
name = "cost"
range = [0.01, 5000]
[[data.columns]]
name = "weight"
range = [0, 4]
[sites]
names = ["a", "b", "c"]
minimum = 2
[summation]
mode = "plain"
[analysis]
largest_hospital = 5000
[analysis.regression]
"""
TERMS = """
[[analysis.regression.terms]]
column = "age"
per = 10
[[analysis.regression.terms]]
column = "ward"
reference = "b"
[[analysis.regression.terms]]
column = "smoker"
"""


def study_of(settings: str, terms: str = TERMS) -> Study:
    return parse_study(DATA + settings + terms)


def cohort(count: int = 600, seed: int = 4) -> Rows:
    """Rows with a known law; every fourth patient has two of them."""
    random = np.random.default_rng(seed)
    age = random.uniform(18, 100, count)
    ward, smoker = random.integers(0, 3, count).astype(float), random.integers(0, 2, count).astype(float)
    years = random.uniform(0.2, 10, count)
    eta = -1.0 + 0.02 * (age - 50) + 0.4 * (ward == 0) - 0.3 * (ward == 2) + 0.5 * smoker
    columns = {
        "age": age,
        "bmi": np.where(random.random(count) < 0.1, np.nan, random.uniform(15, 50, count)),
        "ward": ward,
        "smoker": smoker,
        "ill": (random.random(count) < 1 / (1 + np.exp(-eta))).astype(float),
        "visits": np.minimum(random.poisson(np.exp(eta) * years), 60).astype(float),
        "years": years,
        "cost": np.clip(random.gamma(2.0, np.exp(eta + 3) / 2.0), 0.01, 5000),
        "weight": random.choice([0.0, 0.5, 1.0, 2.0], count),
    }
    rows = drawn(count, columns)
    shared = np.where(np.arange(count) % 4 == 0, np.arange(count) + 1, np.arange(count)) % count
    return replace(rows, patients=np.array([f"p{row:05d}" for row in shared]))


def design(rows: Rows) -> NDArray[np.float64]:
    """As statsmodels gets it: the reported columns."""
    ward = rows["ward"]
    return np.column_stack([np.ones(len(rows)), rows["age"] / 10, ward == 0, ward == 2, rows["smoker"]]).astype(float)


def fitted(settings: str, rows: Rows, terms: str = TERMS) -> dict[str, Any]:
    figures: dict[str, Any] = in_one_place(analysis_of(study_of(settings, terms)), split(rows)).figures["models"]["common"]
    return figures


def split(rows: Rows) -> dict[str, Rows]:
    """By patient, as hospitals have them."""
    home = np.array([int(patient[1:]) % 3 for patient in rows.patients])
    return {name: replace(rows.select(home == number), hospital=name) for number, name in enumerate("abc")}


def differences(figures: Mapping[str, Any], fit: Any) -> dict[str, float]:
    """The largest difference of each kind of figure to a fit of statsmodels."""
    kinds = {"coefficients": fit.params, "standard_errors": fit.bse, "p_values": fit.pvalues}
    return {name: float(np.max(np.abs(np.array(figures[name]) - values))) for name, values in kinds.items()}


FAMILIES = {
    "gaussian": ('outcome = "cost"\nfamily = "gaussian"\n', "cost", None),
    "binomial": ('outcome = "ill"\nfamily = "binomial"\n', "ill", sm.families.Binomial()),
    "poisson": ('outcome = "visits"\nfamily = "poisson"\noffset = "years"\n', "visits", sm.families.Poisson()),
    "negative_binomial": (
        'outcome = "visits"\nfamily = "negative_binomial"\ndispersion = 0.7\noffset = "years"\n',
        "visits",
        sm.families.NegativeBinomial(alpha=0.7),
    ),
    "gamma": ('outcome = "cost"\nfamily = "gamma"\n', "cost", sm.families.Gamma(sm.families.links.Log())),
}


class RegressionConformance(AnalysisConformance):
    settings = ""

    def analysis(self) -> Any:
        return analysis_of(study_of(self.settings))

    def rows(self) -> Rows:
        return cohort(300)


class TestBinomial(RegressionConformance):
    settings = FAMILIES["binomial"][0]


class TestPoissonRobust(RegressionConformance):
    settings = FAMILIES["poisson"][0] + 'variance = "hc1"\n'


class TestGaussian(RegressionConformance):
    settings = FAMILIES["gaussian"][0]


class TestGamma(RegressionConformance):
    settings = FAMILIES["gamma"][0]


class TestNegativeBinomial(RegressionConformance):
    settings = FAMILIES["negative_binomial"][0]


class TestLikelihoodRatios(RegressionConformance):
    settings = FAMILIES["gamma"][0] + 'term_tests = "likelihood_ratio"\n'


@pytest.mark.parametrize("family", FAMILIES)
def test_a_likelihood_ratio_is_that_of_two_fits_of_statsmodels(family: str) -> None:
    """Each term is left out by itself; the fits go on in the same exchanges, and take no more of them than the whole model's
    starting values allow."""
    settings, outcome, kind = FAMILIES[family]
    rows = cohort()
    result = in_one_place(analysis_of(study_of(settings + 'term_tests = "likelihood_ratio"\n')), split(rows))
    tests = result.figures["models"]["common"]["term_tests"]
    ward = [rows["ward"] == 0, rows["ward"] == 2]
    columns = {"age": [rows["age"] / 10], "ward": ward, "smoker": [rows["smoker"]]}
    exposure = rows["years"] if "offset" in settings else None

    def fitted(terms: list[str]) -> Any:
        matrix = sm.add_constant(np.stack([column for term in terms for column in columns[term]], axis=1).astype(float))
        return sm.GLM(rows[outcome], matrix, family=kind, exposure=exposure).fit(tol=1e-13, maxiter=200)

    whole = fitted(list(columns))
    for term, own in columns.items():
        gain = (fitted([other for other in columns if other != term]).deviance - whole.deviance) / whole.scale
        assert tests[term]["degrees_of_freedom"] == len(own)
        assert tests[term]["statistic"] == pytest.approx(gain, rel=1e-7, abs=1e-7)
        law = stats.f(len(own), whole.df_resid) if kind is None or family == "gamma" else stats.chi2(len(own))
        value = gain / len(own) if kind is None or family == "gamma" else gain
        assert tests[term]["p"] == pytest.approx(law.sf(value), rel=1e-6)


def test_a_term_that_is_part_of_a_product_is_not_left_out() -> None:
    """A product without its columns is another question."""
    product = '[[analysis.regression.terms]]\ncolumn = "age"\ntimes = "smoker"\n'
    settings = FAMILIES["binomial"][0] + 'term_tests = "likelihood_ratio"\n'
    result = in_one_place(analysis_of(study_of(settings, TERMS + product)), split(cohort()))
    assert list(result.figures["models"]["common"]["term_tests"]) == ["ward", "age × smoker"]
    shown = {row[0]: row[4:] for row in result.table("terms").rows}
    assert shown["age"] == (None, None) and shown["ward"][0] is not None


def test_likelihoods_are_compared_where_they_are_likelihoods() -> None:
    """A ridge and a robust variance have none; a study that does not ask for the tests keeps its hash."""
    for other in ("ridge = 1.0\n", 'variance = "hc1"\n'):
        with pytest.raises(StudyError, match="compares likelihoods"):
            study_of(FAMILIES["binomial"][0] + other + 'term_tests = "likelihood_ratio"\n')
    assert study_of(FAMILIES["binomial"][0]).hash == study_of(FAMILIES["binomial"][0] + 'term_tests = "wald"\n').hash


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_statsmodels_on_pooled_rows(family: str) -> None:
    """The claim of the page: to the last digit that is printed, and eight more."""
    settings, outcome, kind = FAMILIES[family]
    rows = cohort()
    figures = fitted(settings, rows)
    if kind is None:
        fit = sm.OLS(rows[outcome], design(rows)).fit()
        deviance, null = fit.ssr, fit.centered_tss
    else:
        exposure = rows["years"] if "offset" in settings else None
        fit = sm.GLM(rows[outcome], design(rows), family=kind, exposure=exposure).fit(
            tol=1e-15, maxiter=200, use_t=family == "gamma"
        )
        deviance, null = fit.deviance, fit.null_deviance
    assert max(differences(figures, fit).values()) <= 1e-8
    assert figures["deviance"] == pytest.approx(deviance, rel=1e-11)
    assert figures["log_likelihood"] == pytest.approx(fit.llf, rel=1e-10)
    assert figures["aic"] == pytest.approx(fit.aic, rel=1e-10)
    if figures["null_deviance"] is not None:
        assert figures["null_deviance"] == pytest.approx(null, rel=1e-9)
    low, high = fit.conf_int().T
    assert np.allclose(figures["low"], low, atol=1e-8) and np.allclose(figures["high"], high, atol=1e-8)


@pytest.mark.parametrize("variance", ["hc0", "hc1", "clustered"])
@pytest.mark.parametrize("family", ["gaussian", "binomial", "poisson"])
def test_a_robust_variance_is_statsmodels(family: str, variance: str) -> None:
    """One more sum: of squares of scores, of rows or of patients. The GLM of statsmodels takes HC1 for HC0."""
    settings, outcome, kind = FAMILIES[family]
    rows, columns = cohort(), design(cohort())
    _, groups = np.unique(rows.patients, return_inverse=True)
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
    options = (
        clustered if variance == "clustered" else {"cov_type": "HC1" if family == "gaussian" and variance == "hc1" else "HC0"}
    )
    if kind is None:
        fit = sm.OLS(rows[outcome], columns).fit(**options)
    else:
        model = sm.GLM(rows[outcome], columns, family=kind, exposure=rows["years"] if "offset" in settings else None)
        fit = model.fit(tol=1e-15, maxiter=200, **options)
    wider = np.sqrt(600 / 595) if variance == "hc1" and family != "gaussian" else 1.0
    errors = np.array(fitted(f'{settings}variance = "{variance}"\n', rows)["standard_errors"])
    assert np.max(np.abs(errors - fit.bse * wider)) <= 1e-8


def test_weights_are_those_of_r() -> None:
    """A row of weight 0 is left out, and one of 2 counts as twice as sure."""
    rows = cohort()
    figures = fitted('outcome = "ill"\nfamily = "binomial"\nweights = "weight"\n', rows)
    kept = rows["weight"] > 0
    model = sm.GLM(rows["ill"][kept], design(rows)[kept], family=sm.families.Binomial(), var_weights=rows["weight"][kept])
    fit = model.fit(tol=1e-15, maxiter=200)
    assert max(differences(figures, fit).values()) <= 1e-8
    assert figures["deviance"] == pytest.approx(fit.deviance, rel=1e-11)


def test_a_ridge_is_the_penalised_fit() -> None:
    """The gradient of the penalised likelihood is 0 at the coefficients: in the contract's scale, intercept free."""
    rows = cohort()
    figures = fitted('outcome = "ill"\nfamily = "binomial"\nridge = 7.0\n', rows)
    beta = np.array(figures["coefficients"])
    mean = 1 / (1 + np.exp(-design(rows) @ beta))
    gradient = design(rows).T @ (rows["ill"] - mean)
    scale = np.array([20.5 / 10, 1.0, 1.0, 1.0])  # a quarter of the range of age, in steps of ten years
    assert gradient[0] == pytest.approx(0.0, abs=1e-7)
    shifted = gradient[1:] - np.array([59.0 / 10, 0, 0, 0]) * gradient[0]
    assert np.allclose(shifted, 7.0 * beta[1:] * scale**2, rtol=1e-7)


def test_vif_is_that_of_a_regression_on_the_other_columns() -> None:
    """Of a linear model the inflation from the estimates' correlation is the textbook's."""
    rows = cohort()
    result = in_one_place(analysis_of(study_of(FAMILIES["gaussian"][0])), split(rows))
    shown = np.array(result.table("coefficients").column("VIF")[1:], float)
    assert np.allclose(shown, [variance_inflation_factor(design(rows), column) for column in range(1, 5)], rtol=1e-9)


def test_hospitals_intercepts_are_a_factor_of_the_hospital() -> None:
    """And are not shown: each says how many had the outcome there."""
    rows = cohort()
    parts = split(rows)
    study = study_of('outcome = "ill"\nfamily = "binomial"\nintercepts = "both"\n')
    result = in_one_place(analysis_of(study), parts)
    home = np.array([int(patient[1:]) % 3 for patient in rows.patients])
    own = np.column_stack([home == 0, home == 1, home == 2, design(rows)[:, 1:]]).astype(float)
    fit = sm.GLM(rows["ill"], own, family=sm.families.Binomial()).fit(tol=1e-15)
    figures = result.figures["models"]["own"]
    assert np.allclose(figures["coefficients"], fit.params[3:], atol=1e-9)
    assert np.allclose(figures["standard_errors"], fit.bse[3:], atol=1e-9)
    assert figures["deviance"] == pytest.approx(fit.deviance, rel=1e-12)
    assert not any("intercept" in str(cell) for row in result.table("coefficients_own").rows for cell in row)


def test_missing_values_are_left_out_or_have_a_column_of_their_own() -> None:
    """A row that is left out is counted and told."""
    rows = cohort()
    terms = '[[analysis.regression.terms]]\ncolumn = "bmi"\nper = 5\n'
    result = in_one_place(analysis_of(study_of(FAMILIES["binomial"][0], terms)), split(rows))
    gone = np.isnan(rows["bmi"])
    there = sm.GLM(rows["ill"][~gone], sm.add_constant(rows["bmi"][~gone] / 5), family=sm.families.Binomial()).fit(tol=1e-15)
    assert np.allclose(result.figures["models"]["common"]["coefficients"], there.params, atol=1e-9)
    assert result.figures["counts"]["left_out"] == str(int(gone.sum()))
    indicated = in_one_place(analysis_of(study_of(FAMILIES["binomial"][0], terms + 'missing = "indicator"\n')), split(rows))
    columns = np.column_stack([np.ones(len(rows)), np.where(gone, 35.0, rows["bmi"]) / 5, gone]).astype(float)
    whole = sm.GLM(rows["ill"], columns, family=sm.families.Binomial()).fit(tol=1e-15)
    assert np.allclose(indicated.figures["models"]["common"]["coefficients"], whole.params, atol=1e-9)


REFUSED = {
    "aliased": ("is 0 in every row|equals", lambda columns: {**columns, "smoker": (columns["ward"] == 0).astype(float)}),
    "constant": ("'smoker' is the same in every row", lambda columns: {**columns, "smoker": np.ones_like(columns["smoker"])}),
    "never": ("'smoker' is 0 in every row", lambda columns: {**columns, "smoker": np.zeros_like(columns["smoker"])}),
    "separated": ("told without error", lambda columns: {**columns, "ill": columns["smoker"].copy()}),
    "few events": ("too few rows of the rarer", lambda columns: {**columns, "ill": (np.arange(600) < 12).astype(float)}),
    "small category": ("in too few rows", lambda columns: {**columns, "smoker": (np.arange(600) < 3).astype(float)}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_estimated_is_refused_by_its_name(case: str) -> None:
    """R says NA, statsmodels answers with a pseudo-inverse: a reader would take both for a result."""
    words, change = REFUSED[case]
    rows = cohort()
    changed = replace(rows, columns=change(dict(rows.columns)))
    with pytest.raises(DataError, match=words):
        fitted(FAMILIES["binomial"][0], changed)


def test_an_aliased_column_is_named_with_what_makes_it_up() -> None:
    """Which column, and why: R's glm says only which."""
    rows = cohort()
    twin = replace(rows, columns={**rows.columns, "smoker": (rows["ward"] == 2).astype(float)})
    with pytest.raises(DataError, match="'smoker' equals ward = c"):
        fitted(FAMILIES["binomial"][0], twin)


def test_small_counts_are_not_told_in_a_refusal() -> None:
    """An error leaves the coordinator as a table does."""
    rows = cohort()
    few = replace(rows, columns={**rows.columns, "smoker": (np.arange(600) < 3).astype(float)})
    with pytest.raises(DataError) as caught:
        fitted(FAMILIES["binomial"][0], few)
    assert "< 5" in str(caught.value) and "3" not in caught.value.found


def test_intercepts_of_unnamed_hospitals_are_refused_before_anything_runs() -> None:
    """The shape of the sums would follow from who takes part."""
    study = study_of('outcome = "ill"\nfamily = "binomial"\nintercepts = "own"\n').revised(sites={"names": []})
    with pytest.raises(StudyError, match="names"):
        analysis_of(study)


# The data sets of the issue, over a sum of the same words as in a run.


@cache
def heart() -> tuple[Study, dict[str, Rows]]:
    study = load_study(ROOT / "examples/heart_risk_factors.toml")
    rows, sites = load_dataset_rows("uci_heart_disease", study.data)
    assert sites is not None
    names = sorted(set(sites.tolist()))
    plain = study.revised(sites={"names": names}, summation={"mode": "plain"})
    return plain, {name: replace(rows.select(sites == name), hospital=name) for name in names}


def counted(study: Study, parts: Mapping[str, Rows]) -> tuple[Result, int]:
    """The result, and how many sums it took."""
    analysis, asks = analysis_of(study), []

    def sum_of(ask: Ask) -> Total:
        asks.append(ask)
        exchange = exchange_of(analysis, ask.label)
        words = words_of(exchange, len(parts))
        encoded = [words.encode(bounded(analysis.contribution(rows, ask), exchange, len(parts))) for rows in parts.values()]
        total = {name: np.sum([one[name] for one in encoded], axis=0, dtype=np.uint64) for name in encoded[0]}
        return total_of(words.decode(total), words, tuple(parts))

    return carried(analysis, sum_of), len(asks)


def heart_design(parts: Mapping[str, Rows]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    rows = {name: np.concatenate([part[name] for part in parts.values()]) for name in next(iter(parts.values())).columns}
    gone = np.isnan(rows["chol"])
    columns = [
        rows["age"] / 10,
        rows["sex"],
        *(rows["cp"] == code for code in (1, 2, 3)),
        rows["trestbps"] / 20,
        np.where(gone, 245.0, rows["chol"]) / 50,
        gone,
        rows["fbs"],
        *(rows["restecg"] == code for code in (1, 2)),
        rows["thalach"] / 10,
        rows["exang"],
        rows["oldpeak"],
    ]
    home = np.concatenate([np.full(len(part), number) for number, part in enumerate(parts.values())])
    return np.column_stack(columns).astype(float), rows["num"], home


@real
def test_heart_disease_with_and_without_hospitals_intercepts_is_statsmodels() -> None:
    """740 patients, deviance 604.062385: the figures of the page, in at most ten sums."""
    study, parts = heart()
    result, sums = counted(study, parts)
    columns, outcome, home = heart_design(parts)
    common = sm.GLM(outcome, sm.add_constant(columns), family=sm.families.Binomial()).fit(tol=1e-15)
    own = np.column_stack([*(home == number for number in range(4)), columns]).astype(float)
    apart = sm.GLM(outcome, own, family=sm.families.Binomial()).fit(tol=1e-15)
    figures = result.figures["models"]
    assert figures["common"]["deviance"] == pytest.approx(604.0623845977926, abs=1e-8)
    assert max(differences(figures["common"], common).values()) <= 1e-8
    assert np.max(np.abs(figures["own"]["coefficients"] - apart.params[4:])) <= 1e-8
    assert np.max(np.abs(figures["own"]["standard_errors"] - apart.bse[4:])) <= 1e-8
    assert figures["own"]["deviance"] == pytest.approx(apart.deviance, abs=1e-8)
    assert result.figures["counts"]["rows"] == "740"
    assert sums <= 10


@real
def test_heart_disease_at_one_hospital_alone_is_refused_by_its_reason() -> None:
    """What meta-analysis would have to work with: an indicator that never varies, a model of rank 14 of 15, separation."""
    study, parts = heart()
    alone = study.revised(analysis={"regression": {"intercepts": "common", "events_per_coefficient": 0.0}, "smallest_cell": 1})
    words = {}
    for name, part in parts.items():
        with pytest.raises(DataError) as caught:
            in_one_place(analysis_of(alone.revised(sites={"minimum": 1})), {name: part})
        words[name] = str(caught.value)
    assert "'chol missing' is 0 in every row" in words["cleveland"] and "told apart" in words["hungarian"]
    assert "'chol missing' is the same in every row" in words["switzerland"]
    assert "told without error" in words["va"]


def test_a_division_into_more_hospitals_gives_the_same_table() -> None:
    """The same rows at nine hospitals."""
    rows = cohort()
    analysis = analysis_of(study_of(FAMILIES["binomial"][0]))
    one, many = (in_one_place(analysis, divided(rows, count)).figures["models"]["common"] for count in (1, 9))
    assert np.allclose(one["coefficients"], many["coefficients"], atol=1e-12)
