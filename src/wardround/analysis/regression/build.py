"""The regression of a study as an `Analysis`: what is refused, how the fit goes on, what becomes of it."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

import numpy as np

from wardround.algorithms.newton import Curvature, Fit, Matrix, Vector, newton, solved
from wardround.analysis.carrying import require_unclipped
from wardround.analysis.protocol import Ask, Exchange, Total
from wardround.analysis.regression.refusals import require_determined, require_ended, require_enough, require_inside
from wardround.analysis.regression.report import Fitted, result_of
from wardround.analysis.regression.sums import NEWTON, ROBUST, START, Model, RegressionSums, sums_of, unpacked
from wardround.analysis.result import Result
from wardround.privacy.bounded_arrays import Arrays
from wardround.study.declaration import Study
from wardround.values.rows import Rows


def build(study: Study) -> "Regression":
    """The regression that a checked study asks for."""
    return Regression(study, sums_of(study))


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

    def _fitted(self, start: Total) -> Generator[Ask, Total, "Mapping[str, Fitted]"]:
        most = next(exchange.times for exchange in self.exchanges if exchange.label == NEWTON)
        paths = {model.name: _Path(model, self._penalty(model), start, most) for model in self.sums.models}
        while any(path.fit is None for path in paths.values()):
            total = yield Ask(NEWTON, {name: path.point for name, path in paths.items()})
            require_unclipped(total)
            for path in paths.values():
                if path.fit is None:
                    require_inside(path.model, start, total, self.sums)
                path.go_on(total)
        return {name: path.fitted(self.sums) for name, path in paths.items()}

    def _penalty(self, model: Model) -> Vector:
        """Of the columns of an order: that on the scaled columns, whose coefficients are these divided by the bounds."""
        free = np.zeros(len(model.design.intercepts))
        return np.concatenate([free, np.full(len(model.design.columns), self.sums.section.ridge)]) / model.design.bounds**2


@dataclass
class _Path:
    """How far the fit of one model has come. point: the next that is summed, or the last one. total: the sums at it."""

    model: Model
    penalty: Vector
    start: Total
    most: int
    point: Vector = field(init=False)
    fit: Fit | None = None
    total: Total | None = None

    def __post_init__(self) -> None:
        name = self.model.name
        information = unpacked(self.start[f"{name}.information"]) + np.diag(self.penalty)
        self._steps = newton(solved(information, self.start[f"{name}.response"]), self.penalty, self.most)
        self.point = next(self._steps)

    def go_on(self, total: Total) -> None:
        """After one more sum. One that has ended stays where it is, while another still goes on."""
        if self.fit is not None:
            return
        name = self.model.name
        information = unpacked(total[f"{name}.information"])
        self.total = total
        try:
            self.point = self._steps.send(Curvature(float(total[f"{name}.deviance"]) / 2.0, total[f"{name}.score"], information))
        except StopIteration as ended:
            self.fit = ended.value

    def fitted(self, sums: RegressionSums) -> Fitted:
        """What the fit ended with."""
        assert self.fit is not None and self.total is not None
        require_ended(self.fit, sums)
        name = self.model.name
        expected: Matrix = unpacked(self.total[f"{name}.{'information' if sums.family.canonical else 'expected'}"])
        pearson = float(self.total[f"{name}.pearson"]) if sums.family.dispersed else 0.0
        error = self.total.error[f"{name}.score"]
        return Fitted(self.model, self.fit, self.penalty, expected, 2.0 * self.fit.sums.loss, pearson, error)
