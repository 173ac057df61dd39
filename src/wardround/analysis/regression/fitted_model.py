"""A fitted regression as a model: the probability of a yes, an expected count, a number with a range around it.

The range of a number holds so many of 100 as `COVERAGE` says where residuals are normal; what is not known of the coefficients is
not in it.
"""

from math import sqrt

from scipy.special import ndtri

from wardround.analysis.design import INTERCEPT, Design
from wardround.analysis.fitted_model import FittedModel, contract_of_terms, feature_weights, is_prepared, told
from wardround.analysis.regression.sums import COMMON
from wardround.analysis.result import Result
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.study.declaration import Study
from wardround.study.record.fit_record import CoefficientRecord, FitRecord
from wardround.study.sections.analysis.regression import RegressionSection
from wardround.study.sections.task import TaskSection

COVERAGE = 0.8


def fitted_model(study: Study, result: Result, sums: int = 0) -> FittedModel | None:
    """The model of a regression with one intercept; None of another, and of a gamma regression, whose answers are no kind of
    question. sums: how many the run took. With noise it is that of the steps (`private.py`), whose errors the result does
    not tell.

    A weighted regression is none: its intercept is that of a population which no record says how to draw from. Neither is one
    with an offset: a record does not say for how long it will be at risk."""
    section = None if study.analysis is None else study.analysis.regression
    if section is None or section.intercepts in ("own", "random") or section.weights is not None or section.offset is not None:
        return None
    label = _label(study.data, section)
    if label is None or not all(is_prepared(term, study.data) for term in section.terms):
        return None
    figures, counts = result.figures["models"][COMMON], result.figures["counts"]
    private = "steps" in figures
    points = figures["steps"] if private else figures["coefficients"]
    coefficients = dict(zip(figures["names"], points, strict=True))
    data = contract_of_terms(study.data, section.terms, label)
    weights, shift = feature_weights(Design(section.terms, study.data), section.terms, coefficients)
    unsaid = [None] * len(points)
    errors, p_values = (unsaid, unsaid) if private else (figures["standard_errors"], figures["p_values"])
    listed = zip(figures["names"], points, errors, p_values, strict=True)
    deviation = sqrt(figures["dispersion"]) if section.family == "gaussian" else None
    assert section.family != "gamma"
    record = FitRecord(
        family=section.family,
        data=data,
        rows=counts["rows"],
        left_out=counts["left_out"],
        events=counts.get("events", ""),
        sums=sums,
        coefficients=tuple(
            CoefficientRecord(name=name, estimate=told(estimate), standard_error=told(error), p=told(p))
            for name, estimate, error, p in listed
        ),
        deviation=told(deviation),
        log_likelihood=told(figures.get("log_likelihood")),
        deviance=told(figures.get("deviance")),
        aic=told(figures.get("aic")),
    )
    reach = 0.0 if deviation is None else float(ndtri((1.0 + COVERAGE) / 2.0)) * deviation
    return FittedModel(data, weights, float(coefficients[INTERCEPT]) + shift, record, reach=reach)


def _label(data: DataContract, section: RegressionSection) -> LabelContract | None:
    """The study's label, or a column that the regression explains; None where that is no kind of question."""
    column = next((column for column in data.columns if column.name == section.outcome), None)
    if section.family == "binomial":
        if column is None:
            return data.label
        no, yes = column.codes
        return LabelContract(name=section.outcome, column=section.outcome, positive=(yes,), negative=(no,))
    if column is None or column.range is None or section.family == "gamma":
        return None
    if section.family == "gaussian":
        return _of_number(column, "number", TaskSection(unit=column.unit, range=column.range, outside="clip", spread="constant"))
    low, high = column.range
    if low != 0 or high != int(high):
        return None
    return _of_number(column, "count", TaskSection(unit=column.unit, range=column.range, outside="clip"))


def _of_number(column: ColumnContract, kind: str, task: TaskSection) -> LabelContract:
    return LabelContract(kind=kind, name=column.name, column=column.name, task=task)
