"""The regression of a study as an `Analysis`: what is refused, how the fit goes on, what becomes of it."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms.newton import Curvature, Fit, Matrix, Vector, newton, solved
from wardround.analysis.carrying import require_unclipped
from wardround.analysis.protocol import Ask, Exchange, Total
from wardround.analysis.regression.mixed import MixedRegression
from wardround.analysis.regression.refusals import require_determined, require_ended, require_enough, require_inside
from wardround.analysis.regression.report import Fitted, Without, result_of
from wardround.analysis.regression.sums import NEWTON, ROBUST, START, WITHOUT, Model, RegressionSums, sums_of, unpacked
from wardround.analysis.result import Result
from wardround.privacy.bounded_arrays import Arrays
from wardround.study.declaration import Study
from wardround.values.rows import Rows
from wardround.values.tree import Tree


def build(study: Study) -> "Regression | MixedRegression":
    """The regression that a checked study asks for."""
    sums = sums_of(study)
    return MixedRegression(study, sums) if sums.section.intercepts == "random" else Regression(study, sums)


@dataclass(frozen=True)
class Regression:
    """Newton's method over the sums of all hospitals; the models of a study are fitted side by side, in the same exchanges."""

    study: Study
    sums: RegressionSums

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return self.sums.exchanges

    @property
    def columns(self) -> tuple[str, ...]:
        return self.sums.columns

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:
        return self.sums.contribution(rows, ask.label, ask.order)

    def coordinate(self) -> Generator[Ask, Total, Result]:
        start = yield Ask(START)
        require_unclipped(start)
        require_enough(start, self.sums)
        for model in self.sums.models:
            require_determined(start, model, self.sums)
        fitted = yield from self._fitted(start)
        if self.sums.robust:
            squares = yield Ask(ROBUST, {name: one.fit.point for name, one in fitted.items()})
            require_unclipped(squares)
            for name, one in fitted.items():
                one.squares = unpacked(squares[f"{name}.squares"])
        return result_of(self.study, self.sums, start, list(fitted.values()))

    def _fitted(self, start: Total) -> Generator[Ask, Total, Mapping[str, Fitted]]:
        """Every model, and every model without a term, side by side."""
        most = next(exchange.times for exchange in self.exchanges if exchange.label == NEWTON)
        paths = {model.name: self._path(model, start, most) for model in self.sums.models}
        without = [self._path(reduced.model, start, most, reduced.kept) for reduced in self.sums.reduced]
        ends: dict[str, Total] = {}
        while any(path.fit is None for path in (*paths.values(), *without)):
            order = {name: path.point for name, path in paths.items()}
            total = yield Ask(NEWTON, {**order, **_joined(without)})
            require_unclipped(total)
            for model in self.sums.models:
                if (path := paths[model.name]).fit is None:
                    require_inside(model, start, total, self.sums)
                    ends[model.name] = total
                    path.go_on(_curvature(total, model.name))
            for path, there in zip(without, self._without(total), strict=True):
                path.go_on(there)
        fitted = {model.name: _fitted_model(model, paths[model.name], ends[model.name], self.sums) for model in self.sums.models}
        for reduced, path in zip(self.sums.reduced, without, strict=True):
            assert path.fit is not None
            require_ended(path.fit, self.sums)
            fitted[reduced.model.name].without[reduced.term] = Without(
                len(reduced.model) - len(reduced.kept), 2.0 * path.fit.sums.loss
            )
        return fitted

    def _path(self, model: Model, start: Total, most: int, kept: NDArray[np.intp] | None = None) -> "_Path":
        """From R's starting values, which are of the outcome alone: of a model without a term they are parts of the others."""
        kept = np.arange(len(model)) if kept is None else kept
        information = unpacked(start[f"{model.name}.information"])[np.ix_(kept, kept)]
        response = start[f"{model.name}.response"][kept]
        return _Path(self._penalty(model)[kept], information, response, most, self.sums.reach)

    def _without(self, total: Total) -> list[Curvature]:
        """The sums of the models without a term."""
        if not self.sums.reduced:
            return []
        scores = self.sums.parted(total[f"{WITHOUT}.score"])
        informations = self.sums.parted(total[f"{WITHOUT}.information"], triangles=True)
        deviances = total[f"{WITHOUT}.deviance"].tolist()
        return [
            Curvature(deviance / 2.0, score, unpacked(information))
            for deviance, score, information in zip(deviances, scores, informations, strict=True)
        ]

    def _penalty(self, model: Model) -> Vector:
        """Of the columns of an order: that on the scaled columns, whose coefficients are these divided by the bounds."""
        free = np.zeros(len(model.design.intercepts))
        return np.concatenate([free, np.full(len(model.design.columns), self.sums.section.ridge)]) / model.design.bounds**2


@dataclass
class _Path:
    """How far the fit of one model has come. point: the next that is summed, or the last one."""

    penalty: Vector
    information: Matrix
    response: Vector
    most: int
    reach: float
    point: Vector = field(init=False)
    fit: Fit | None = None

    def __post_init__(self) -> None:
        begin = solved(self.information + np.diag(self.penalty), self.response)
        self._steps = newton(begin, self.penalty, self.most, self.reach)
        self.point = next(self._steps)

    def go_on(self, sums: Curvature) -> None:
        """After one more sum. One that has ended stays where it is, while another still goes on."""
        if self.fit is not None:
            return
        try:
            self.point = self._steps.send(sums)
        except StopIteration as ended:
            self.fit = ended.value


def _joined(paths: list[_Path]) -> Tree:
    return {WITHOUT: np.concatenate([path.point for path in paths])} if paths else {}


def _curvature(total: Total, name: str) -> Curvature:
    return Curvature(float(total[f"{name}.deviance"]) / 2.0, total[f"{name}.score"], unpacked(total[f"{name}.information"]))


def _fitted_model(model: Model, path: _Path, end: Total, sums: RegressionSums) -> Fitted:
    """What a fit ended with. end: the total at its last point."""
    assert path.fit is not None
    require_ended(path.fit, sums)
    expected: Matrix = unpacked(end[f"{model.name}.{'information' if sums.family.canonical else 'expected'}"])
    pearson = float(end[f"{model.name}.pearson"]) if sums.family.dispersed else 0.0
    error = end.error[f"{model.name}.score"]
    return Fitted(model, path.fit, path.penalty, expected, 2.0 * path.fit.sums.loss, pearson, error)
