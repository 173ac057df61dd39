"""The model matrix of a regression: columns, units and bounds that follow from the study alone.

A reported column x is a number in steps of `per`, or 1 for one category, for a missing value, for a hospital. The matrix whose
sums leave a site holds z = (x - center) / scale with the contract's public constants: they are well conditioned, and bounded.

    rows --complete--> rows of the model --matrix--> Z (n, p), |Z| <= bounds --fit--> b --reported--> coefficients of x

Where a value is missing and `missing = "indicator"`, z is 0: it counts as the center, and a column of its own is 1.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wardround.study.contract import ColumnContract, DataContract
from wardround.study.sections.analysis.term import TermSection
from wardround.values.rows import Rows

Matrix = NDArray[np.float64]
INTERCEPT = "intercept"


@dataclass(frozen=True)
class Factor:
    """One column of numbers before it is scaled: a number, or whether a code, a missing value or a hospital is there.

    code: of a category or binary, the position of the code; None for a number. missing: whether it is the indicator of that.
    step: a number is divided by it, or its logarithm. low, high: the smallest and largest value that it can have."""

    column: str
    low: float
    high: float
    center: float = 0.0
    scale: float = 1.0
    step: float = 1.0
    code: int | None = None
    missing: bool = False
    log: bool = False

    def values(self, rows: Rows) -> NDArray[np.float64]:
        """(n,), where nothing is missing or it counts as the center."""
        raw = rows[self.column]
        nothing = np.isnan(raw)
        if self.missing:
            return np.where(nothing, 1.0, 0.0)
        if self.code is not None:
            return np.where(raw == self.code, 1.0, 0.0)
        numbers = np.log(np.where(nothing, 1.0, raw)) if self.log else raw
        values: NDArray[np.float64] = np.where(nothing, self.center, numbers / self.step)
        return values


@dataclass(frozen=True)
class DesignColumn:
    """One column of the matrix: the product of its factors, scaled. name: as tables show it. term: the column that it belongs
    to."""

    name: str
    term: str
    factors: tuple[Factor, ...]
    center: float
    scale: float

    @property
    def bound(self) -> float:
        """Largest absolute value of the scaled column."""
        low, high = _product_range(self.factors)
        return max(abs(low - self.center), abs(high - self.center)) / self.scale

    def values(self, rows: Rows) -> NDArray[np.float64]:
        """(n,), scaled."""
        product = np.ones(len(rows))
        for factor in self.factors:
            product = product * factor.values(rows)
        return (product - self.center) / self.scale


def _product_range(factors: Sequence[Factor]) -> tuple[float, float]:
    low, high = 1.0, 1.0
    for factor in factors:
        corners = [low * factor.low, low * factor.high, high * factor.low, high * factor.high]
        low, high = min(corners), max(corners)
    return low, high


@dataclass(frozen=True)
class Design:
    """The columns of a model.

    terms: of the study. data: its contract. hospitals: names of the hospitals, each with an intercept of its own; empty for one
    intercept in common. intercept: whether there is any (a Cox model has none).
    """

    terms: tuple[TermSection, ...]
    data: DataContract
    hospitals: tuple[str, ...] = ()
    intercept: bool = True

    @property
    def intercepts(self) -> tuple[str, ...]:
        """Names of the intercepts: they are the first columns of the matrix."""
        if not self.intercept:
            return ()
        return tuple(f"{INTERCEPT}, {name}" for name in self.hospitals) or (INTERCEPT,)

    @cached_property
    def columns(self) -> tuple[DesignColumn, ...]:
        """The columns behind the intercepts."""
        return tuple(column for term in self.terms for column in self._columns_of(term))

    @property
    def names(self) -> tuple[str, ...]:
        """Of every column, intercepts first."""
        return (*self.intercepts, *(column.name for column in self.columns))

    def __len__(self) -> int:
        return len(self.intercepts) + len(self.columns)

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """(p,): the largest absolute value of each column of the matrix."""
        return np.array([*(1.0 for _ in self.intercepts), *(column.bound for column in self.columns)])

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the rows that are read, each once."""
        return tuple(dict.fromkeys(factor.column for column in self.columns for factor in column.factors))

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without whose value a row is left out."""
        kept = {name for term in self.terms if term.missing == "indicator" for name in (term.column,)}
        return tuple(name for name in self.reads if name not in kept)

    def complete(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows (n,) the model can use."""
        return rows.complete(*self.required)

    def matrix(self, rows: Rows) -> Matrix:
        """Z (n, p) of complete rows."""
        parts = [self._intercept(rows, name) for name in self.hospitals or ("",)] if self.intercept else []
        parts += [column.values(rows) for column in self.columns]
        return np.stack(parts, axis=1) if parts else np.zeros((len(rows), 0))

    def _intercept(self, rows: Rows, hospital: str) -> NDArray[np.float64]:
        return np.full(len(rows), 1.0 if hospital in ("", rows.hospital) else 0.0)

    @cached_property
    def to_reported(self) -> Matrix:
        """T (p, p): coefficients of the reported columns are T b, their covariance T C T'."""
        first, size = len(self.intercepts), len(self)
        transform = np.eye(size)
        for position, column in enumerate(self.columns, first):
            transform[position, position] = 1.0 / column.scale
            transform[:first, position] = -column.center / column.scale
        return transform

    def _columns_of(self, term: TermSection) -> Iterator[DesignColumn]:
        main = list(self._factors_of(self._term_of(term.column)))
        if term.times is None:
            for name, factor in main:
                yield self._scaled(name, term.column, (factor,))
            column = self._contract_of(term.column)
            if term.missing == "indicator" and column is not None:
                indicator = Factor(term.column, 0.0, 1.0, missing=True)
                yield self._scaled(f"{term.column} missing", term.column, (indicator,))
            return
        for name, factor in main:
            for other_name, other in self._factors_of(self._term_of(term.times)):
                yield self._scaled(f"{name} × {other_name}", f"{term.column} × {term.times}", (factor, other))

    def _scaled(self, name: str, term: str, factors: tuple[Factor, ...]) -> DesignColumn:
        """Without an intercept a shift would be another model."""
        if len(factors) == 1:
            center, scale = factors[0].center, factors[0].scale
        else:
            low, high = _product_range(factors)
            numbers = any(factor.code is None and not factor.missing for factor in factors)
            center, scale = ((low + high) / 2, (high - low) / 4) if numbers else (0.0, 1.0)
        return DesignColumn(name, term, factors, center if self.intercept else 0.0, scale)

    def _term_of(self, name: str) -> TermSection:
        """The term of a column by itself: a product has the units and the reference that its columns have there."""
        alone = (term for term in self.terms if term.column == name and term.times is None)
        return next(alone, TermSection(column=name))

    def _contract_of(self, name: str) -> ColumnContract | None:
        return next((column for column in self.data.columns if column.name == name), None)

    def _factors_of(self, term: TermSection) -> Iterator[tuple[str, Factor]]:
        """The factors of a column's values, each under its name."""
        column = self._contract_of(term.column)
        if column is None:  # the label: its target is 0 or 1
            yield self.data.label.name, Factor(term.column, 0.0, 1.0, code=1)
        elif column.kind == "number":
            yield _number(column, term.per)
        elif column.kind == "binary":
            name = f"{column.name} = {column.codes[1]}" if column.categories and column.codes != ("0", "1") else column.name
            yield name, Factor(column.name, 0.0, 1.0, code=1)
        else:
            reference = column.codes[0] if term.reference is None else str(term.reference)
            for position, code in enumerate(column.codes):
                if code != reference:
                    yield f"{column.name} = {code}", Factor(column.name, 0.0, 1.0, code=position)


def _number(column: ColumnContract, per: float) -> tuple[str, Factor]:
    assert column.range is not None
    low, high = (math.log(bound) if column.log else bound for bound in column.range)
    center, scale = column.constants
    unit = f" {column.unit}" if column.unit and not column.log else ""
    name = f"log {column.name}" if column.log else column.name
    if per != 1.0:
        name = f"{name}, per {per:g}{unit}"
    return name, Factor(column.name, low / per, high / per, center / per, scale / per, per, log=column.log)
