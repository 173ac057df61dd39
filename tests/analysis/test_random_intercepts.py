"""Hospitals' intercepts drawn from a normal law: statsmodels' mixed model, integrals by another hand, and the laws."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import integrate
from scipy.special import gammaln

from wardround.analysis.carrying import in_one_place
from wardround.analysis.protocol import Analysis, Ask
from wardround.analysis.registry import analysis_of
from wardround.analysis.regression.families import Binomial, Family, Gaussian, OutcomeRange, Poisson
from wardround.analysis.regression.random_intercepts import MixedSums, mixed_sums
from wardround.analysis.result import Result
from wardround.values.errors import DataError, StudyError
from wardround.values.rows import Rows

from .analysis_conformance import AnalysisConformance, numbers
from .drawn_rows import divided
from .test_regression import FAMILIES, cohort, study_of

RANDOM = 'intercepts = "random"\n'
LEVELS = dict(zip("abcdefgh", (-0.9, -0.5, -0.2, 0.0, 0.1, 0.4, 0.6, 1.1), strict=True))
GAUSSIAN = 'outcome = "visits"\nfamily = "gaussian"\n' + RANDOM
REML = GAUSSIAN + "reml = true\n"
OTHERS = {name: FAMILIES[name][0] + RANDOM for name in ("binomial", "poisson", "negative_binomial")}


def hospitals(kind: str, levels: dict[str, float] = LEVELS, count: int = 800) -> dict[str, Rows]:
    """Rows whose hospitals differ in how often the outcome is there."""
    parts = divided(cohort(count), len(levels))
    for number, (name, rows) in enumerate(parts.items()):
        random = np.random.default_rng([number, 3])
        eta = (
            0.02 * (rows["age"] - 50)
            + 0.4 * (rows["ward"] == 0)
            - 0.3 * (rows["ward"] == 2)
            + 0.5 * rows["smoker"]
            + levels[name]
        )
        if kind == "gaussian":
            rows.columns["visits"][:] = np.clip(20 + 4 * eta + random.normal(0, 3, len(rows)), 0, 60)
        elif kind != "binomial":
            rows.columns["visits"][:] = np.minimum(random.poisson(np.exp(eta - 1) * rows["years"]), 60)
        else:
            rows.columns["ill"][:] = random.random(len(rows)) < 1 / (1 + np.exp(1 - eta))
    return parts


def fitted(settings: str, parts: dict[str, Rows]) -> Result:
    study = study_of(settings).revised(sites={"names": sorted(parts)})
    return in_one_place(analysis_of(study), parts)


def design(rows: Rows) -> NDArray[np.float64]:
    ward = [rows["ward"] == 0, rows["ward"] == 2]
    return np.stack([np.ones(len(rows)), rows["age"] / 10, *ward, rows["smoker"]], axis=1).astype(float)


class RandomConformance(AnalysisConformance):
    """A hospital is a cluster: where its rows are divided otherwise the question is another one. The order changes nothing."""

    settings = ""

    def analysis(self) -> Analysis:
        return analysis_of(study_of(self.settings))

    def rows(self) -> Rows:
        return cohort()

    def result(self, hospitals: int, seed: int = 0) -> Result:
        return super().result(max(hospitals, 4), seed)

    def test_figures_do_not_depend_on_who_has_which_rows(self) -> None:
        """Of the same hospitals in another order."""
        parts = divided(self.rows(), 5)
        turned = dict(reversed(parts.items()))
        one, other = (numbers(in_one_place(self.analysis(), each).figures) for each in (parts, turned))
        assert np.allclose(one, other, rtol=self.tolerance, atol=self.tolerance)

    def test_an_empty_hospital_changes_nothing(self) -> None:
        """A hospital none of whose rows is complete adds the integral of the normal law, which is 1."""
        parts = divided(self.rows(), 4)
        more = {**parts, "z": self.rows().select(np.zeros(len(self.rows()), bool))}
        one, other = (numbers(in_one_place(self.analysis(), each).figures) for each in (parts, more))
        assert np.allclose(one, other, rtol=self.tolerance, atol=self.tolerance)


class TestRandomBinomial(RandomConformance):
    settings = OTHERS["binomial"]


class TestRandomGaussian(RandomConformance):
    settings = GAUSSIAN


class TestRestrictedGaussian(RandomConformance):
    settings = REML


class TestRandomPoisson(RandomConformance):
    settings = OTHERS["poisson"]


class TestRandomNegativeBinomial(RandomConformance):
    settings = OTHERS["negative_binomial"]


@pytest.mark.parametrize("reml", [False, True])
def test_a_gaussian_model_is_statsmodels_mixed_model(*, reml: bool) -> None:
    """By both likelihoods, of the same clusters: coefficients, errors, both deviations and the likelihood."""
    parts = hospitals("gaussian")
    result = fitted(REML if reml else GAUSSIAN, parts)
    figures = result.figures["models"]["random"]
    matrix = np.concatenate([design(rows) for rows in parts.values()])
    outcome = np.concatenate([rows["visits"] for rows in parts.values()])
    groups = np.concatenate([np.full(len(rows), name) for name, rows in parts.items()])
    theirs = sm.MixedLM(outcome, matrix, groups).fit(reml=reml, gtol=1e-9 if reml else 1e-12, method="bfgs", maxiter=500)
    assert np.allclose(figures["coefficients"], theirs.fe_params, rtol=0, atol=1e-7)
    assert np.allclose(figures["standard_errors"], theirs.bse_fe, rtol=1e-6)
    assert figures["deviation_between_hospitals"] ** 2 == pytest.approx(float(theirs.cov_re[0, 0]), rel=1e-6)
    assert figures["deviation_within_hospitals"] ** 2 == pytest.approx(theirs.scale, rel=1e-7)
    assert figures["log_likelihood"] == pytest.approx(theirs.llf, abs=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_other_families_are_at_the_top_of_the_integrals(kind: str) -> None:
    """The marginal likelihood by a library's own integration, hospital by hospital: the same value, and no way up from there."""
    parts = hospitals(kind)
    figures = fitted(OTHERS[kind], parts).figures["models"]["random"]
    found = np.array([*figures["coefficients"], figures["deviation_between_hospitals"]])
    size = 1 / 0.7  # of the negative binomial law

    def likelihood(parameters: NDArray[np.float64]) -> float:
        total = 0.0
        for rows in parts.values():
            eta = design(rows) @ parameters[:-1] + (0.0 if kind == "binomial" else np.log(rows["years"]))
            outcome = rows["ill" if kind == "binomial" else "visits"]

            constant = 0.0 if kind == "binomial" else -float(gammaln(outcome + 1).sum())
            if kind == "negative_binomial":
                constant += float((gammaln(outcome + size) - gammaln(size)).sum())

            def of_rows(
                z: float, eta: NDArray[np.float64] = eta, outcome: NDArray[np.float64] = outcome, constant: float = constant
            ) -> float:
                at = eta + parameters[-1] * z
                if kind == "poisson":
                    return constant + float((outcome * at - np.exp(at)).sum())
                if kind == "negative_binomial":
                    at = at - np.log(size)
                    return constant + float((outcome * at - (outcome + size) * np.log1p(np.exp(at))).sum())
                return -float(np.logaddexp(0.0, np.where(outcome > 0, -at, at)).sum())

            grid = np.linspace(-5, 5, 201)
            heights = np.array([of_rows(z) - z**2 / 2 for z in grid])
            top, middle = heights.max(), grid[heights.argmax()]

            def above(z: float, f: Callable[[float], float] = of_rows, top: float = top) -> float:
                return float(np.exp(f(z) - z**2 / 2 - top))

            area, _ = integrate.quad(above, -9, 9, points=[middle], epsabs=0, epsrel=1e-11, limit=400)
            total += top + np.log(area / math.sqrt(2 * math.pi))
        return total

    best = likelihood(found)
    assert figures["log_likelihood"] == pytest.approx(best, abs=1e-7)
    step = 2e-3 * np.maximum(1.0, np.abs(found))
    sides = [(likelihood(found + h * e), likelihood(found - h * e)) for h, e in zip(step, np.eye(len(found)), strict=True)]
    slopes = [(up - down) / (2 * h) for (up, down), h in zip(sides, step, strict=True)]
    errors = np.array([*figures["standard_errors"], figures["deviation_between_hospitals_error"]])
    assert np.abs(np.array(slopes) * errors).max() < 1e-3  # a step of a thousandth of an error would be too long


@pytest.mark.parametrize("family", [Binomial(), Poisson(OutcomeRange(0, 50, 1)), Gaussian(OutcomeRange(-20, 20, 0))])
def test_gradient_and_information_are_those_of_the_likelihood(family: Family) -> None:
    """By small differences; of no rows all of them are 0."""
    random = np.random.default_rng(0)
    matrix = np.concatenate([np.ones((80, 1)), random.normal(size=(80, 2))], axis=1)
    point = np.array([0.2, 0.5, -0.3, 0.7, *([-0.2] if isinstance(family, Gaussian) else [])])
    outcome = np.rint(np.clip(matrix @ point[:3] + random.normal(size=80), 0, 1))

    def sums(at: NDArray[np.float64]) -> MixedSums:
        return mixed_sums(matrix, outcome, np.zeros(80), family, at, (1e-3, 100.0))

    here, small = sums(point), 1e-5 * np.eye(len(point))
    slope = [(sums(point + step).log_likelihood - sums(point - step).log_likelihood) / 2e-5 for step in small]
    bend = [-(sums(point + step).score - sums(point - step).score) / 2e-5 for step in small]
    assert np.allclose(here.score, slope, atol=1e-6) and np.allclose(here.information, bend, atol=1e-5)
    nobody = mixed_sums(matrix[:0], outcome[:0], np.zeros(0), family, point, (1e-3, 100.0))
    assert abs(nobody.log_likelihood) < 1e-12 and not np.abs(nobody.score).max() > 1e-12


def test_where_hospitals_do_not_differ_it_is_the_model_of_one_intercept() -> None:
    """The variance is 0, is said to be, and nothing else moves."""
    parts = hospitals("binomial", dict.fromkeys(LEVELS, 0.0))
    result = fitted(OTHERS["binomial"], parts)
    figures, common = result.figures["models"]["random"], fitted(FAMILIES["binomial"][0], parts).figures["models"]["common"]
    if figures["deviation_between_hospitals"] == 0:
        assert np.allclose(figures["coefficients"], common["coefficients"], atol=1e-7)
        assert np.allclose(figures["standard_errors"], common["standard_errors"], rtol=1e-6)
        assert any("without a difference" in note for note in result.notes)
    assert figures["deviation_between_hospitals"] < 0.3


def test_what_hospitals_differ_by_is_found_again() -> None:
    """Drawn with a deviation of 0.6; the table says what two hospitals' odds differ by, and how little eight of them say."""
    result = fitted(OTHERS["binomial"], hospitals("binomial", count=4000))
    figures = result.figures["models"]["random"]
    assert figures["deviation_between_hospitals"] == pytest.approx(np.std(list(LEVELS.values())), abs=0.25)
    rows = {row[0]: row[1] for row in result.table("hospitals").rows}
    expected = math.exp(0.9539 * figures["deviation_between_hospitals"])
    assert rows["median odds ratio of two hospitals"] == pytest.approx(expected, rel=1e-3)
    assert any("of 8 hospitals hardly known" in note for note in result.notes)


def test_two_hospitals_have_no_variance() -> None:
    """A variance of two numbers is a difference."""
    with pytest.raises(DataError, match="takes several hospitals"):
        fitted(OTHERS["binomial"], divided(cohort(), 2))


def test_beyond_reach_nothing_is_added() -> None:
    """As of every regression."""
    analysis = analysis_of(study_of(OTHERS["binomial"]))
    answer = analysis.contribution(cohort(), Ask("mixed", {"parameters": np.full(6, 60.0)}))
    assert all(np.isnan(array).all() for array in answer.values())


@pytest.mark.parametrize(
    "other", ["ridge = 1.0\n", 'variance = "hc1"\n', 'weights = "weight"\n', 'term_tests = "likelihood_ratio"\n']
)
def test_what_it_does_not_read_is_refused(other: str) -> None:
    """A setting that nothing reads is not understood."""
    with pytest.raises(StudyError, match="does nothing with intercepts"):
        study_of(OTHERS["binomial"] + other)
    with pytest.raises(StudyError, match="reml is of intercepts"):
        study_of(OTHERS["binomial"] + "reml = true\n")
    with pytest.raises(StudyError, match='is not there for family = "gamma"'):
        study_of(FAMILIES["gamma"][0] + RANDOM)
