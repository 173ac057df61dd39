"""From a fit to the numbers of a paper: estimates with intervals, tests, goodness of fit. All from totals."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit  # scipy.stats takes two seconds to import

from wardround.algorithms.newton import Fit, Matrix, Vector
from wardround.analysis.protocol import Total
from wardround.analysis.regression.sums import COMMON, OWN, Model, RegressionSums
from wardround.analysis.result import Column, Forest, Interval, Result, Table
from wardround.privacy.disclosure import shown_count
from wardround.study.declaration import Study


@dataclass(frozen=True)
class Without:
    """The model without one term. columns: how many it lacks."""

    columns: int
    deviance: float


@dataclass
class Fitted:
    """One fitted model. expected: its information (p, p) in the columns of an order. score_error: of one number of its sum.
    squares: summed squares of scores, where the variance is robust. without: the models without a term, by the term, where
    terms are tested by likelihood ratios."""

    model: Model
    fit: Fit
    penalty: Vector
    expected: Matrix
    deviance: float
    pearson: float
    score_error: float
    squares: Matrix | None = None
    without: dict[str, Without] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimates:
    """The coefficients of the reported columns, intercepts first. degrees: of the residual. error: largest that the sums have
    brought into a coefficient."""

    names: tuple[str, ...]
    coefficients: Vector
    covariance: Matrix
    dispersion: float
    degrees: int
    student: bool
    error: float

    @property
    def standard_errors(self) -> Vector:
        errors: Vector = np.sqrt(np.diag(self.covariance))
        return errors

    @property
    def statistics(self) -> Vector:
        return self.coefficients / self.standard_errors

    @property
    def p_values(self) -> Vector:
        beyond = -np.abs(self.statistics)
        values: Vector = 2.0 * (stdtr(self.degrees, beyond) if self.student else ndtr(beyond))
        return values

    def interval(self, confidence: float) -> tuple[Vector, Vector]:
        """Low and high ends of the coefficients' intervals."""
        share = 0.5 + confidence / 2.0
        width = float(stdtrit(self.degrees, share) if self.student else ndtri(share)) * self.standard_errors
        return self.coefficients - width, self.coefficients + width

    def inflation(self, first: int) -> Vector:
        """Variance inflation of each column behind the intercepts, from the correlation of the estimates (Fox and Monette, JASA
        1992): of a linear model, 1 / (1 - R^2) of the column on the others."""
        part = self.covariance[first:, first:]
        deviation = np.sqrt(np.diag(part))
        values: Vector = np.diag(np.linalg.inv(part / np.outer(deviation, deviation)))
        return values

    def wald(self, columns: list[int]) -> tuple[float, int, float]:
        """The test that these columns' coefficients are all 0: its chi-square, degrees of freedom, p-value."""
        part, values = self.covariance[np.ix_(columns, columns)], self.coefficients[columns]
        statistic = float(values @ np.linalg.solve(part, values))
        if self.student:
            return statistic, len(columns), float(fdtrc(len(columns), self.degrees, statistic / len(columns)))
        return statistic, len(columns), float(chdtrc(len(columns), statistic))


@dataclass(frozen=True)
class TermTest:
    """A likelihood-ratio test of one term. statistic: chi-square, or of a dispersed family F times its degrees."""

    statistic: float
    degrees: int
    p: float


def term_tests(fitted: Fitted, estimates: Estimates) -> dict[str, TermTest]:
    """By term: the deviance that the model gains by it, over the dispersion. Where that is estimated the test is F."""
    tests = {}
    for term, without in fitted.without.items():
        gain = max(0.0, without.deviance - fitted.deviance) / estimates.dispersion
        p = (
            fdtrc(without.columns, estimates.degrees, gain / without.columns)
            if estimates.student
            else chdtrc(without.columns, gain)
        )
        tests[term] = TermTest(gain, without.columns, float(p))
    return tests


def estimates_of(fitted: Fitted, start: Total, sums: RegressionSums) -> Estimates:
    """The estimates of one model, with the variance that the study asks for."""
    rows, size = int(start["rows"]), len(fitted.model)
    degrees = rows - size
    dispersion = fitted.pearson / degrees if sums.family.dispersed else 1.0
    bread = np.linalg.inv(fitted.expected + np.diag(fitted.penalty))
    covariance = bread * dispersion
    if fitted.squares is not None:
        covariance = bread @ fitted.squares @ bread * _correction(start, sums, rows, size)
    transform = fitted.model.to_reported
    error = float(np.max(np.abs(transform @ bread).sum(axis=1)) * fitted.score_error)
    return Estimates(
        fitted.model.design.names,
        transform @ fitted.fit.point,
        transform @ covariance @ transform.T,
        dispersion,
        degrees,
        sums.family.dispersed,
        error,
    )


def _correction(start: Total, sums: RegressionSums, rows: int, size: int) -> float:
    """For small samples: MacKinnon and White, J. Econometrics 1985 (HC1); of clusters as in Stata and statsmodels."""
    if sums.section.variance == "hc1":
        return rows / (rows - size)
    if sums.section.variance == "clustered":
        patients = int(start["patients"])
        return patients / (patients - 1) * (rows - 1) / (rows - size)
    return 1.0


MOMENTS = ("rows", "weight", "outcome", "exposure", "moment", "saturated", "log_weight")
"""What the likelihoods of the families are made of."""


@dataclass(frozen=True)
class Goodness:
    """How well a model fits. None where the family, or an offset, gives no closed form."""

    deviance: float
    null_deviance: float | None
    log_likelihood: float | None
    aic: float | None
    ratio: float | None
    ratio_degrees: int
    ratio_p: float | None


def goodness_of(fitted: Fitted, estimates: Estimates, start: Total, sums: RegressionSums) -> Goodness:
    """Deviance, log-likelihood and the likelihood-ratio test against the intercept alone. AIC counts coefficients, as statsmodels
    does."""
    moments = {
        name: float(start[name]) for name in ("rows", "weight", "outcome", "exposure", "moment", "saturated", "log_weight")
    }
    family, degrees = sums.family, len(fitted.model) - 1
    null = family.null_deviance(moments, offset=sums.section.offset is not None)
    likelihood = family.log_likelihood(fitted.deviance, estimates.dispersion, moments)
    aic = None if likelihood is None else 2.0 * len(fitted.model) - 2.0 * likelihood
    ratio, probability = None, None
    if null is not None and sums.section.ridge == 0 and degrees > 0:
        ratio = (null - fitted.deviance) / estimates.dispersion
        student = estimates.student
        probability = float(fdtrc(degrees, estimates.degrees, ratio / degrees) if student else chdtrc(degrees, ratio))
    return Goodness(fitted.deviance, null, likelihood, aic, ratio, degrees, probability)


def result_of(study: Study, sums: RegressionSums, start: Total, fitted: list[Fitted]) -> Result:
    """The frozen result of a study's regression."""
    described = [(one, estimates_of(one, start, sums)) for one in fitted]
    tables: list[Table] = []
    charts: list[Forest] = []
    figures: dict[str, Any] = {}
    for one, estimates in described:
        goodness = goodness_of(one, estimates, start, sums)
        name = "" if len(described) == 1 else f"_{one.model.name}"
        words = "" if len(described) == 1 else f", {_intercepts_in_words(one.model)}"
        tables.append(_effects(one, estimates, sums, f"effects{name}", words))
        tables.append(_coefficients(one, estimates, f"coefficients{name}", words))
        tables.append(_terms(one, estimates, f"terms{name}", words))
        tables.append(_model(estimates, goodness, start, sums, f"model{name}", words))
        charts.append(_forest(one, estimates, sums, f"forest{name}", words))
        figures[one.model.name] = _figures(one, estimates, goodness, sums)
    smallest = sums.settings.smallest_cell
    counted = ("rows", "left_out", "patients", *(() if sums.section.family in ("gaussian", "gamma") else ("events",)))
    counts = {name: shown_count(int(start[name]), smallest) for name in counted}
    return Result(
        "regression",
        study.question.title,
        tuple(table for table in tables if table.rows),
        tuple(charts),
        {"counts": counts, "models": figures},
        _notes(sums),
        max(estimates.error for _, estimates in described),
    )


@dataclass(frozen=True)
class Mixed:
    """A model whose hospitals' intercepts are drawn. deviation: between hospitals, on the predictor's scale, with its standard
    error; 0 where the likelihood is largest without any. residual: the deviation within hospitals, of a gaussian family.
    odds_ratio: the median one of two hospitals, the higher over the lower (K. Larsen and J. Merlo, Am. J. Epidemiol. 161 (2005)
    81), of a binomial one."""

    fitted: Fitted
    estimates: Estimates
    goodness: Goodness
    deviation: float
    deviation_error: float
    residual: float | None
    odds_ratio: float | None


def mixed_result(study: Study, sums: RegressionSums, start: Total, mixed: Mixed) -> Result:
    """The frozen result of a regression with drawn intercepts."""
    one, estimates = mixed.fitted, mixed.estimates
    smallest = sums.settings.smallest_cell
    model = _model(estimates, mixed.goodness, start, sums, "model", "")
    between: list[tuple[Any, ...]] = [
        ("deviation between hospitals", mixed.deviation),
        ("its standard error", mixed.deviation_error if mixed.deviation else None),
        ("variance between hospitals", mixed.deviation**2),
        ("median odds ratio of two hospitals", mixed.odds_ratio),
        ("deviation within hospitals", mixed.residual),
    ]
    tables = (
        _effects(one, estimates, sums, "effects", ""),
        _coefficients(one, estimates, "coefficients", ""),
        _terms(one, estimates, "terms", ""),
        Table("hospitals", "Between hospitals", model.columns, tuple(row for row in between if row[1] is not None)),
        model,
    )
    figures = _figures(one, estimates, mixed.goodness, sums) | {
        "deviation_between_hospitals": mixed.deviation,
        "deviation_between_hospitals_error": mixed.deviation_error if mixed.deviation else None,
        "deviation_within_hospitals": mixed.residual,
        "median_odds_ratio": mixed.odds_ratio,
    }
    counted = ("rows", "left_out", "patients", *(() if sums.section.family == "gaussian" else ("events",)))
    counts = {name: shown_count(int(start[name]), smallest) for name in counted}
    return Result(
        "regression",
        study.question.title,
        tuple(table for table in tables if table.rows),
        (_forest(one, estimates, sums, "forest", ""),),
        {"counts": counts, "models": {one.model.name: figures}},
        (*_notes(sums), *_of_mixed(mixed, len(start.sites), reml=sums.section.reml)),
        estimates.error,
    )


def _of_mixed(mixed: Mixed, hospitals: int, *, reml: bool) -> tuple[str, ...]:
    """What an estimate from so few hospitals is worth."""
    way = (
        "by restricted maximum likelihood, which counts the coefficients as estimated"
        if reml
        else "by maximum likelihood: too small rather than too large"
    )
    said = [
        f"Hospitals' intercepts are drawn from a normal law, whose variance is estimated {way}, and of {hospitals} hospitals "
        "hardly known."
    ]
    if reml:
        said.append("The log-likelihood is the restricted one: it compares no models with other columns.")
    if mixed.deviation == 0:
        said.append("The likelihood is largest without a difference between hospitals: coefficients are those of one intercept.")
    return tuple(said)


def _intercepts_in_words(model: Model) -> str:
    return "one intercept" if model.name == COMMON else "an intercept for each hospital"


def _slopes(one: Fitted) -> range:
    return range(len(one.model.design.intercepts), len(one.model))


def _shown(one: Fitted) -> list[int]:
    """Columns whose coefficients are shown: of intercepts only the one in common. A hospital's own says how many had the outcome
    there."""
    return [*([0] if one.model.name != OWN else []), *_slopes(one)]


def _share(confidence: float) -> str:
    return f"{confidence * 100:g} %"


def _effects(one: Fitted, estimates: Estimates, sums: RegressionSums, name: str, words: str) -> Table:
    """The table of a paper."""
    section, family = sums.section, sums.family
    low, high = estimates.interval(section.confidence)
    values = np.stack([estimates.coefficients, low, high])
    values = np.exp(values) if family.estimate else values
    share = _share(section.confidence)
    columns = (
        Column("", "text"),
        Column(family.estimate or "difference", digits=3),
        Column(f"{share} low", digits=3),
        Column(f"{share} high", digits=3),
        Column("p", "p"),
    )
    rows = tuple(
        (estimates.names[column], *values[:, column].tolist(), float(estimates.p_values[column])) for column in _slopes(one)
    )
    kind = {"odds ratio": "Odds ratios", "rate ratio": "Rate ratios", "ratio": "Ratios"}.get(family.estimate, "Differences")
    return Table(name, f"{kind} of {section.outcome}{words}", columns, rows)


def _coefficients(one: Fitted, estimates: Estimates, name: str, words: str) -> Table:
    columns = (
        Column("", "text"),
        Column("coefficient"),
        Column("standard error"),
        Column("t" if estimates.student else "z", digits=3),
        Column("p", "p"),
        Column("VIF", digits=3),
    )
    first = len(one.model.design.intercepts)
    inflation = estimates.inflation(first)
    rows = tuple(
        (
            estimates.names[column],
            float(estimates.coefficients[column]),
            float(estimates.standard_errors[column]),
            float(estimates.statistics[column]),
            float(estimates.p_values[column]),
            float(inflation[column - first]) if column >= first else None,
        )
        for column in _shown(one)
    )
    return Table(name, f"Coefficients{words}", columns, rows)


def _terms(one: Fitted, estimates: Estimates, name: str, words: str) -> Table:
    """One test for all columns of a term, where some term has several."""
    first = len(one.model.design.intercepts)
    of_term: dict[str, list[int]] = {}
    for position, column in enumerate(one.model.design.columns, first):
        of_term.setdefault(column.term, []).append(position)
    columns: tuple[Column, ...] = (Column("term", "text"), Column("Wald chi-square"), Column("df", "count"), Column("p", "p"))
    several = any(len(positions) > 1 for positions in of_term.values())
    rows: tuple[tuple[Any, ...], ...] = tuple((term, *estimates.wald(positions)) for term, positions in of_term.items())
    if not one.without:
        return Table(name, f"Tests of whole terms{words}", columns, rows if several else ())
    tests = term_tests(one, estimates)
    ratios = {term: (tests[term].statistic, tests[term].p) if term in tests else (None, None) for term in of_term}
    columns = (*columns, Column("likelihood ratio"), Column("p of the ratio", "p"))
    return Table(name, f"Tests of whole terms{words}", columns, tuple((*row, *ratios[row[0]]) for row in rows))


def _model(estimates: Estimates, goodness: Goodness, start: Total, sums: RegressionSums, name: str, words: str) -> Table:
    smallest, section = sums.settings.smallest_cell, sums.section
    rows: list[tuple[str, Any]] = [
        ("rows", shown_count(int(start["rows"]), smallest)),
        ("rows left out, a value missing", shown_count(int(start["left_out"]), smallest)),
        ("patients", shown_count(int(start["patients"]), smallest)),
        ("hospitals", str(len(start.sites))),
    ]
    if section.family not in ("gaussian", "gamma"):
        rows.append(("events", shown_count(int(start["events"]), smallest)))
    rows += [("deviance", goodness.deviance), ("residual degrees of freedom", str(estimates.degrees))]
    rows += [("deviance of the intercept alone", goodness.null_deviance), ("log-likelihood", goodness.log_likelihood)]
    rows += [("AIC", goodness.aic), ("likelihood ratio against the intercept alone", goodness.ratio)]
    rows += [("its degrees of freedom", str(goodness.ratio_degrees)), ("its p", goodness.ratio_p)]
    if sums.family.dispersed:
        rows.append(("dispersion", estimates.dispersion))
    columns = (Column("", "text"), Column("value", digits=7))
    return Table(name, f"The model{words}", columns, tuple(row for row in rows if row[1] is not None))


def _forest(one: Fitted, estimates: Estimates, sums: RegressionSums, name: str, words: str) -> Forest:
    low, high = estimates.interval(sums.section.confidence)
    change = np.exp if sums.family.estimate else np.asarray
    intervals = tuple(
        Interval(estimates.names[column], *(float(change(ends[column])) for ends in (estimates.coefficients, low, high)))
        for column in _slopes(one)
    )
    ratio = bool(sums.family.estimate)
    axis = f"{sums.family.estimate or 'difference'}, {_share(sums.section.confidence)} interval"
    return Forest(name, f"{sums.section.outcome}{words}", axis, intervals, 1.0 if ratio else 0.0, ratio)


def _figures(one: Fitted, estimates: Estimates, goodness: Goodness, sums: RegressionSums) -> dict[str, Any]:
    """Unrounded, for programs. Of a model with hospitals' intercepts only what is the same for all of them."""
    shown = _shown(one)
    low, high = estimates.interval(sums.section.confidence)
    figures: dict[str, Any] = {"names": [estimates.names[column] for column in shown]}
    for name, values in (
        ("coefficients", estimates.coefficients),
        ("standard_errors", estimates.standard_errors),
        ("statistics", estimates.statistics),
        ("p_values", estimates.p_values),
        ("low", low),
        ("high", high),
    ):
        figures[name] = values[shown].tolist()
    figures["covariance"] = estimates.covariance[np.ix_(shown, shown)].tolist()
    figures |= {
        "deviance": goodness.deviance,
        "null_deviance": goodness.null_deviance,
        "log_likelihood": goodness.log_likelihood,
        "aic": goodness.aic,
        "likelihood_ratio": goodness.ratio,
        "likelihood_ratio_p": goodness.ratio_p,
        "dispersion": estimates.dispersion,
        "degrees_of_freedom": estimates.degrees,
    }
    if one.without:
        figures["term_tests"] = {
            term: {"statistic": test.statistic, "degrees_of_freedom": test.degrees, "p": test.p}
            for term, test in term_tests(one, estimates).items()
        }
    return figures


_VARIANCES = {
    "hc0": "Standard errors are robust against a wrong variance (HC0).",
    "hc1": "Standard errors are robust against a wrong variance (HC1).",
    "clustered": "Standard errors are robust also where a patient has several rows; patients are told apart within a hospital.",
}


def _notes(sums: RegressionSums) -> tuple[str, ...]:
    section = sums.section
    notes = [_VARIANCES[section.variance]] if section.variance in _VARIANCES else []
    if section.ridge > 0:
        notes.append(f"Coefficients are shrunk by a ridge of {section.ridge:g}, and intervals are too narrow for it.")
    if section.intercepts == "common":
        notes.append("All hospitals share one intercept: differences between hospitals are in the other coefficients.")
    for term in section.terms:
        if term.missing == "indicator":
            notes.append(f"A missing {term.column} counts as the contract's center, with a column of its own.")
    return tuple(notes)
