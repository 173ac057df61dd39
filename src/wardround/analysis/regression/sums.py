"""What the rows of one hospital add to a regression's sums, and the bounds of these.

The matrix of each model is divided by its columns' bounds, so that every value lies within -1 and 1; coefficients of an order are
of that matrix. `Model.to_reported` takes them to the columns that a table shows.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms.newton import Matrix, Vector
from wardround.analysis.design import Design
from wardround.analysis.protocol import Exchange
from wardround.analysis.regression.families import Family, OutcomeRange, family_of
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.study.declaration import Study
from wardround.study.sections.analysis.analysis import AnalysisSection
from wardround.study.sections.analysis.regression import RegressionSection
from wardround.values.errors import StudyError
from wardround.values.rows import Rows
from wardround.values.tree import Shapes, Tree

START, NEWTON, ROBUST = "start", "newton", "robust"
COMMON, OWN = "common", "own"
WITHOUT = "without"
"""Of the models without a term, in orders and sums."""
ROUNDING = 1e-6
"""A fit's last step is so small, and is not held within reach."""
ROUNDED_OUT = 1.0 + 2.0**-40
"""Sums of values at their bound may end a last digit above it."""


@dataclass(frozen=True)
class Model:
    """One of the models of a study: with one intercept, or with one for each hospital."""

    name: str
    design: Design

    def __len__(self) -> int:
        return len(self.design)

    @cached_property
    def to_reported(self) -> Matrix:
        """(p, p): coefficients of an order to those of the reported columns."""
        return self.design.to_reported / self.design.bounds

    def matrix(self, rows: Rows) -> Matrix:
        """(n, p), every value within -1 and 1."""
        return self.design.matrix(rows) / self.design.bounds

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """Which columns (p,) are 1 or 0 before they are scaled, so that their sum is a count of rows."""
        flags = [all(factor.code is not None or factor.missing for factor in column.factors) for column in self.design.columns]
        return np.array([bool(self.design.hospitals)] * len(self.design.intercepts) + flags, bool)


@dataclass(frozen=True)
class Reduced:
    """A model without one of its terms, for a test of that term. kept: (q,), positions of the model's columns that are left."""

    model: Model
    term: str
    kept: NDArray[np.intp]

    def matrix(self, rows: Rows) -> Matrix:
        """(n, q)."""
        return self.model.matrix(rows)[:, self.kept]


def reduced_models(model: Model) -> tuple[Reduced, ...]:
    """The model without each of its terms, in their order; a column that is part of a product stays."""
    terms = [column.term for column in model.design.columns]
    inside = {name for term in model.design.terms if term.times is not None for name in (term.column, term.times)}
    first = len(model.design.intercepts)
    return tuple(
        Reduced(model, term, np.array([at for at in range(len(model)) if at < first or terms[at - first] != term], np.intp))
        for term in dict.fromkeys(terms)
        if term not in inside
    )


@dataclass(frozen=True)
class UsedRows:
    """The rows of a hospital that the models use. weight, log_exposure: (n,)."""

    rows: Rows
    outcome: Vector
    weight: Vector
    log_exposure: Vector
    left_out: int


@dataclass(frozen=True)
class RegressionSums:
    """The sums of a study's regression."""

    section: RegressionSection
    settings: AnalysisSection
    models: tuple[Model, ...]
    family: Family
    largest_weight: float

    @property
    def robust(self) -> bool:
        return self.section.variance != "model"

    @cached_property
    def reduced(self) -> tuple[Reduced, ...]:
        """The models whose deviance a test of terms needs; of all models of the study, one after the other."""
        if self.section.term_tests == "wald":
            return ()
        return tuple(reduced for model in self.models for reduced in reduced_models(model))

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        """newton is asked as often as is left of `analysis.exchanges`."""
        orders: Shapes = {model.name: (len(model),) for model in self.models}
        if self.reduced:
            orders = {**orders, WITHOUT: (sum(len(one.kept) for one in self.reduced),)}
        others = 2 if self.robust else 1
        times = max(1, self.settings.exchanges - others)
        every = [Exchange(START, self._start_quantities()), Exchange(NEWTON, self._newton_quantities(), orders, times)]
        if self.robust:
            every.append(Exchange(ROBUST, self._robust_quantities(), orders))
        return tuple(every)

    def _real(self, shape: tuple[int, ...], of_one_row: float, power: int = 1) -> Quantity:
        """A sum over rows, each of which adds at most so much. power: of the number of rows and of the weight."""
        largest = (self.settings.largest_hospital * self.largest_weight) ** power
        return Quantity(shape, max(1.0, largest * of_one_row) * ROUNDED_OUT)

    def _start_quantities(self) -> dict[str, Quantity]:
        limits = self.family.limits
        quantities = {name: Quantity(()) for name in ("rows", "left_out", "patients", "events")}
        quantities |= {
            "weight": self._real((), 1.0),
            "outcome": self._real((), max(abs(self.family.outcomes.low), abs(self.family.outcomes.high))),
            "exposure": self._real((), self.family.outcomes.exposure[1]),
            "moment": self._real((), limits.moment),
            "saturated": self._real((), limits.saturated),
            "log_weight": self._real((), 1.0 + abs(np.log(SMALLEST_WEIGHT)) + np.log1p(self.largest_weight)),
        }
        for model in self.models:
            quantities[f"{model.name}.ones"] = Quantity((len(model),))
            quantities[f"{model.name}.information"] = self._real(_triangle(len(model)), limits.start_weight)
            quantities[f"{model.name}.response"] = self._real((len(model),), limits.start_response + limits.start_weight)
        return quantities

    def _newton_quantities(self) -> dict[str, Quantity]:
        limits, quantities = self.family.limits, {}
        for model in self.models:
            size = len(model)
            quantities[f"{model.name}.deviance"] = self._real((), limits.deviance)
            quantities[f"{model.name}.score"] = self._real((size,), limits.score)
            quantities[f"{model.name}.information"] = self._real(_triangle(size), limits.information)
            if not self.family.canonical:
                quantities[f"{model.name}.expected"] = self._real(_triangle(size), limits.information)
            if self.family.dispersed:
                quantities[f"{model.name}.pearson"] = self._real((), limits.pearson)
        if self.reduced:
            sizes = [len(one.kept) for one in self.reduced]
            quantities[f"{WITHOUT}.deviance"] = self._real((len(sizes),), limits.deviance)
            quantities[f"{WITHOUT}.score"] = self._real((sum(sizes),), limits.score)
            quantities[f"{WITHOUT}.information"] = self._real((sum(_triangle(size)[0] for size in sizes),), limits.information)
        return quantities

    def _robust_quantities(self) -> dict[str, Quantity]:
        bound = self.family.limits.score**2
        return {f"{model.name}.squares": self._real(_triangle(len(model)), bound, power=2) for model in self.models}

    @property
    def columns(self) -> tuple[str, ...]:
        return self.section.columns

    def used(self, rows: Rows) -> UsedRows:
        """The rows with every value that the models need, and a weight above 0."""
        required = [name for name in (self.section.outcome, self.section.offset, self.section.weights) if name is not None]
        there = rows.complete(*required) & self.models[0].design.complete(rows)
        if self.section.weights is not None:
            there &= np.nan_to_num(rows[self.section.weights]) >= SMALLEST_WEIGHT
        kept = rows.select(there)
        weight = np.ones(len(kept)) if self.section.weights is None else kept[self.section.weights]
        exposure = np.zeros(len(kept)) if self.section.offset is None else np.log(kept[self.section.offset])
        return UsedRows(kept, kept[self.section.outcome], weight, exposure, len(rows) - len(kept))

    def contribution(self, rows: Rows, label: str, order: Tree) -> Arrays:
        """What a hospital adds to the sum of that label."""
        used = self.used(rows)
        if label == START:
            return self._start(used)
        if not self._may_be_asked(order):
            exchange = next(exchange for exchange in self.exchanges if exchange.label == label)
            return {name: np.full(quantity.shape, np.nan) for name, quantity in exchange.quantities.items()}
        sums = {
            name: array
            for model in self.models
            for name, array in (self._newton if label == NEWTON else self._squares)(used, model, order[model.name]).items()
        }
        return {**sums, **self._without(used, order[WITHOUT])} if label == NEWTON and self.reduced else sums

    @property
    def reach(self) -> float:
        """The largest sum of an order's absolute coefficients. Within it a gaussian mean is not held to a range, so that its sums
        say nothing that those at another point do not."""
        outcomes = self.family.outcomes
        if self.section.family != "gaussian":
            return self.section.reach
        return max(self.section.reach / 20.0 * (outcomes.high - outcomes.low), 3.0 * max(abs(outcomes.low), abs(outcomes.high)))

    def _may_be_asked(self, order: Tree) -> bool:
        """Whether every point of an order lies within reach: a crafted one would leave single rows in a sum. It follows from the
        order alone, and not from the rows."""
        points = [order[model.name] for model in self.models]
        points += self.parted(order[WITHOUT]) if self.reduced and WITHOUT in order else []
        return all(float(np.abs(point).sum()) <= self.reach * (1.0 + ROUNDING) for point in points)

    def _start(self, used: UsedRows) -> Arrays:
        weight, outcome = used.weight, used.outcome
        moment = self.family.null_moment(outcome, used.log_exposure)
        sums: dict[str, NDArray[np.generic]] = {
            "rows": np.array(len(used.rows)),
            "left_out": np.array(used.left_out),
            "patients": np.array(used.rows.patient_count),
            "events": np.array(int(np.sum(outcome > 0)) if self.section.family == "binomial" else int(np.sum(outcome))),
            "weight": np.array(weight.sum()),
            "outcome": np.array(weight @ outcome),
            "exposure": np.array(weight @ np.exp(used.log_exposure)),
            "moment": np.array(weight @ moment),
            "saturated": np.array(weight @ self.family.saturated(outcome)),
            "log_weight": np.array(np.log(weight).sum()),
        }
        start_weight, response = self.family.start(outcome)
        for model in self.models:
            matrix = model.matrix(used.rows)
            weighted = weight * start_weight
            ones = np.where(model.counted, np.sum(model.design.matrix(used.rows) != 0, axis=0), 0)
            sums[f"{model.name}.ones"] = ones
            sums[f"{model.name}.information"] = packed(matrix.T @ (weighted[:, None] * matrix))
            sums[f"{model.name}.response"] = matrix.T @ (weighted * (response - used.log_exposure))
        return sums

    def _newton(self, used: UsedRows, model: Model, coefficients: Vector) -> Arrays:
        matrix = model.matrix(used.rows)
        there = self.family.at(matrix @ coefficients + used.log_exposure, used.outcome)
        name, weight = model.name, used.weight
        sums = {
            f"{name}.deviance": np.array(weight @ there.deviance),
            f"{name}.score": matrix.T @ (weight * there.score),
            f"{name}.information": packed(matrix.T @ ((weight * there.observed)[:, None] * matrix)),
        }
        if not self.family.canonical:
            sums[f"{name}.expected"] = packed(matrix.T @ ((weight * there.expected)[:, None] * matrix))
        if self.family.dispersed:
            sums[f"{name}.pearson"] = np.array(weight @ there.pearson)
        return sums

    def _without(self, used: UsedRows, coefficients: Vector) -> Arrays:
        """The same of the models without a term, one after the other in three arrays."""
        parts: dict[str, list[NDArray[np.float64]]] = {"deviance": [], "score": [], "information": []}
        for reduced, own in zip(self.reduced, self.parted(coefficients), strict=True):
            matrix = reduced.matrix(used.rows)
            there = self.family.at(matrix @ own + used.log_exposure, used.outcome)
            parts["deviance"].append(np.array([used.weight @ there.deviance]))
            parts["score"].append(matrix.T @ (used.weight * there.score))
            parts["information"].append(packed(matrix.T @ ((used.weight * there.observed)[:, None] * matrix)))
        return {f"{WITHOUT}.{name}": np.concatenate(arrays) for name, arrays in parts.items()}

    def parted(self, joined: Vector, *, triangles: bool = False) -> list[Vector]:
        """The parts of an array of all models without a term; triangles: of their informations."""
        sizes = [len(one.kept) for one in self.reduced]
        lengths = [_triangle(size)[0] for size in sizes] if triangles else sizes
        return np.split(joined, np.cumsum(lengths)[:-1])

    def _squares(self, used: UsedRows, model: Model, coefficients: Vector) -> Arrays:
        """The squares of scores: of each row, or of each patient's rows together."""
        matrix = model.matrix(used.rows)
        there = self.family.at(matrix @ coefficients + used.log_exposure, used.outcome)
        scores = (used.weight * there.score)[:, None] * matrix
        if self.section.variance == "clustered":
            _, patient = np.unique(used.rows.patients, return_inverse=True)
            together = np.zeros((int(patient.max(initial=-1)) + 1, scores.shape[1]))
            np.add.at(together, patient, scores)
            scores = together
        return {f"{model.name}.squares": packed(scores.T @ scores)}


SMALLEST_WEIGHT = 1e-12
"""A row with less is left out, as one of weight 0 is."""


def _triangle(size: int) -> tuple[int, ...]:
    return (size * (size + 1) // 2,)


def packed(symmetric: Matrix) -> Vector:
    """The upper triangle, row by row."""
    values: Vector = symmetric[np.triu_indices(len(symmetric))]
    return values


def unpacked(values: Vector) -> Matrix:
    """The symmetric matrix whose upper triangle `values` is."""
    size = int((np.sqrt(8 * len(values) + 1) - 1) / 2)
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = values
    return matrix + np.triu(matrix, 1).T


def sums_of(study: Study) -> RegressionSums:
    """The sums of the regression that a study asks for. StudyError where it wants an intercept of hospitals that it does not
    name."""
    assert study.analysis is not None and study.analysis.regression is not None
    section = study.analysis.regression
    hospitals = tuple(sorted(study.sites.names))
    if section.intercepts in ("own", "both") and not hospitals:
        raise StudyError(
            "An intercept for each hospital needs the hospitals' names",
            expected="sites.names",
            hint='name the hospitals in the study, or set analysis.regression.intercepts = "common"',
        )
    models = []
    if section.intercepts != "own":
        models.append(Model(COMMON, Design(section.terms, study.data)))
    if section.intercepts in ("own", "both"):
        models.append(Model(OWN, Design(section.terms, study.data, hospitals)))
    ranges = {column.name: column for column in study.data.columns}
    low, high, center = 0.0, 1.0, 0.5
    if section.family != "binomial":
        column = ranges[section.outcome]
        assert column.range is not None
        low, high = column.range
        center = (low + high) / 2 if column.center is None or column.log else column.center
    exposure = (1.0, 1.0) if section.offset is None else ranges[section.offset].range
    weights = (1.0, 1.0) if section.weights is None else ranges[section.weights].range
    assert exposure is not None and weights is not None
    family = family_of(section, OutcomeRange(low, high, center, exposure))
    return RegressionSums(section, study.analysis, tuple(models), family, weights[1])
