"""A fitted logistic regression as a model that gives a probability."""

from wardround.analysis.design import INTERCEPT, Design
from wardround.analysis.fitted_model import FittedModel, contract_of_terms, feature_weights, is_prepared, told
from wardround.analysis.regression.sums import COMMON
from wardround.analysis.result import Result
from wardround.study.contract import DataContract, LabelContract
from wardround.study.declaration import Study
from wardround.study.record.fit_record import CoefficientRecord, FitRecord


def fitted_model(study: Study, result: Result, sums: int = 0) -> FittedModel | None:
    """The model of a binomial regression with one intercept; None of another. sums: how many the run took.

    A weighted regression is none: its intercept is that of a population which no record says how to draw from."""
    section = None if study.analysis is None else study.analysis.regression
    if section is None or section.family != "binomial" or section.intercepts in ("own", "random") or section.weights is not None:
        return None
    if not all(is_prepared(term, study.data) for term in section.terms):
        return None
    figures, counts = result.figures["models"][COMMON], result.figures["counts"]
    coefficients = dict(zip(figures["names"], figures["coefficients"], strict=True))
    data = contract_of_terms(study.data, section.terms, _label(study.data, section.outcome))
    weights, shift = feature_weights(Design(section.terms, study.data), section.terms, coefficients)
    listed = zip(figures["names"], figures["coefficients"], figures["standard_errors"], figures["p_values"], strict=True)
    record = FitRecord(
        family="binomial",
        data=data,
        rows=counts["rows"],
        left_out=counts["left_out"],
        events=counts["events"],
        sums=sums,
        coefficients=tuple(
            CoefficientRecord(name=name, estimate=told(estimate), standard_error=told(error), p=told(p))
            for name, estimate, error, p in listed
        ),
        log_likelihood=told(figures["log_likelihood"]),
        deviance=told(figures["deviance"]),
        aic=told(figures["aic"]),
    )
    return FittedModel(data, weights, float(coefficients[INTERCEPT]) + shift, record)


def _label(data: DataContract, outcome: str) -> LabelContract:
    """The study's label, or a column that the regression explains."""
    column = next((column for column in data.columns if column.name == outcome), None)
    if column is None:
        return data.label
    no, yes = column.codes
    return LabelContract(name=outcome, column=outcome, positive=(yes,), negative=(no,))
