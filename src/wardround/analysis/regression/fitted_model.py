"""A fitted logistic regression as a model of prepared features: what a network with one layer would be.

    coefficients of reported columns --the contract's constants--> weights of its features, and a bias

A row without a value that the regression left out gets no answer; one that counted by an indicator counts so again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.design import INTERCEPT, Design
from wardround.analysis.regression.sums import COMMON
from wardround.analysis.result import Result
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.study.declaration import Study
from wardround.study.sections.analysis.term import TermSection


@dataclass(frozen=True)
class FittedModel:
    """data: the contract of the columns that the model reads. weights: (f,), of its features in order."""

    data: DataContract
    weights: NDArray[np.float64]
    bias: float


def fitted_model(study: Study, result: Result) -> FittedModel | None:
    """The model of a binomial regression with one intercept. None of another, and where a term is a product, which is no feature
    of a contract, or a weight or an offset plays a part."""
    section = None if study.analysis is None else study.analysis.regression
    if section is None or section.family != "binomial" or section.intercepts == "own" or section.weights is not None:
        return None
    if any(term.times is not None for term in section.terms):
        return None
    figures = result.figures["models"][COMMON]
    coefficients = dict(zip(figures["names"], figures["coefficients"], strict=True))
    data = _contract(study.data, section.outcome, section.terms)
    parts, bias = [], float(coefficients[INTERCEPT])
    design = Design(section.terms, study.data)
    for term in section.terms:
        column = next(one for one in study.data.columns if one.name == term.column)
        weights, shift = _weights(column, term, design, coefficients)
        parts.append(weights)
        bias += shift
    return FittedModel(data, np.concatenate(parts), bias)


def _contract(data: DataContract, outcome: str, terms: tuple[TermSection, ...]) -> DataContract:
    """Of the model's columns alone, in the order of its terms; where rows without a value were left out, a value is needed."""
    columns = {column.name: column for column in data.columns}
    read: list[Any] = []
    for term in terms:
        column = columns[term.column]
        read.append(column if term.missing == "indicator" else column.changed(max_missing=0.0))
    label = data.label
    if outcome in columns:
        no, yes = columns[outcome].codes
        label = LabelContract(name=outcome, column=outcome, positive=(yes,), negative=(no,))
    values = data.model_dump(mode="json") | {
        "columns": [column.model_dump(mode="json") for column in read],
        "label": label.model_dump(mode="json"),
        "header": [],
        "cohort": None,
    }
    return DataContract.model_validate_json(json.dumps(values))


def _weights(
    column: ColumnContract, term: TermSection, design: Design, coefficients: Mapping[str, float]
) -> tuple[NDArray[np.float64], float]:
    """Weights of one column's features, and what it adds to the bias."""
    named = {one.factors[0].code: coefficients[one.name] for one in design.columns if one.term == term.column and _is_value(one)}
    absent = [coefficients[one.name] for one in design.columns if one.term == term.column and not _is_value(one)]
    indicator = [absent[0]] if absent else []
    if column.kind == "number":
        slope, (center, scale) = named[None] / term.per, column.constants
        return np.array([slope * scale, *indicator]), slope * center
    if column.kind == "binary":  # a missing binary is prepared as one half, and counted as 0 here
        return np.array([named[1], *(value - named[1] / 2 for value in indicator)]), 0.0
    return np.array([*(named.get(position, 0.0) for position in range(len(column.codes))), *indicator]), 0.0


def _is_value(column: Any) -> bool:
    """Whether it is no indicator of missing values."""
    return not column.factors[0].missing
