"""A fitted regression as a model of prepared features: what a network with one layer would be.

    coefficients of reported columns --the contract's constants--> weights of its features, and a bias

A row without a value that the regression left out gets no answer; one that counted by an indicator counts so again. A product of
two columns is no feature of a contract, so a regression with one is no such model.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.design import Design, DesignColumn
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.study.record.fit_record import FitRecord
from wardround.study.sections.analysis.term import TermSection


@dataclass(frozen=True)
class FittedModel:
    """data: the contract of the columns that the model reads, and of what it answers. weights: (f,), of its features in order.
    hazards: of a Cox model, the baseline's cumulative hazard at each horizon of the label. reach: of a number, how far the ends
    of the range that is given lie. record: its full specification."""

    data: DataContract
    weights: NDArray[np.float64]
    bias: float
    record: FitRecord
    hazards: tuple[float, ...] = ()
    reach: float = 0.0

    @property
    def numbers(self) -> int:
        """How many numbers the model has."""
        return len(self.weights) + 1 + len(self.hazards) + (1 if self.reach else 0)


def contract_of_terms(data: DataContract, terms: tuple[TermSection, ...], label: LabelContract) -> DataContract:
    """Of the model's columns alone, in the order of its terms; where rows without a value were left out, a value is needed."""
    columns = {column.name: column for column in data.columns}
    read = [
        columns[term.column] if term.missing == "indicator" else columns[term.column].changed(max_missing=0.0) for term in terms
    ]
    values = data.model_dump(mode="json") | {
        "columns": [column.model_dump(mode="json") for column in read],
        "label": label.model_dump(mode="json"),
        "cohort": None,
    }
    return DataContract.model_validate_json(json.dumps(values))


def feature_weights(
    design: Design, terms: tuple[TermSection, ...], coefficients: Mapping[str, float]
) -> tuple[NDArray[np.float64], float]:
    """Weights (f,) of the features of `contract_of_terms`, and the predictor of a row whose columns are 0 in their own unit less
    that of one whose features are 0. coefficients: by the reported column."""
    columns = {column.name: column for column in design.data.columns}
    parts, shift = [], 0.0
    for term in terms:
        weights, added = _of_column(columns[term.column], term, design, coefficients)
        parts.append(weights)
        shift += added
    return np.concatenate(parts), shift


def _of_column(
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


def _is_value(column: DesignColumn) -> bool:
    """Whether it is no indicator of missing values."""
    return not column.factors[0].missing


def is_prepared(term: TermSection, data: DataContract) -> bool:
    """Whether a term's columns are features of a contract: no product, and no label's column."""
    return term.times is None and any(column.name == term.column for column in data.columns)


def told(value: Any) -> float | None:
    """A figure as a record holds it."""
    return None if value is None or not np.isfinite(value) else float(value)
