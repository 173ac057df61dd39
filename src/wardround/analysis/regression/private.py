"""A logistic regression with noise: fitted by the steps of `fedsgd`, and its information summed once, for the intervals.

    T times  score:        sum over patients of v^2 a x (y - mu)            v = min(1, C / |x|)     a = 1 / (2 max(mu, 1 - mu))
    once     information:  sum over patients of v^2 a mu (1 - mu) x x',  rows, events

x are the columns, scaled as the contract says, and C is privacy.clip_norm. v is of the columns alone and a of the
prediction, so that the expectation of the score is still 0 at the true coefficients (Künsch, Stefanski, Carroll, JASA
1989): cutting off long scores, as in training, would draw coefficients towards 0. A score is at most C / 2 long: a (y - mu)
is at most 1/2 either way, and is y - mu itself where mu is 1/2. The information is the score's expected derivative, at most
C^2 / 4 long as a matrix, whose off-diagonal numbers travel times sqrt(2), so that the vector is as long.

**From both to estimates.** Near the end each step gives, at its point b_t, a score g_t = H (b - b_t) + noise for the solution b.
Let A be the information, less one deviation of its noise in every direction. The mean of the last half of the steps is then an
observation of A b. Its variance is that of the patients, A at most (v^2 a <= 1), and that of the noise, s^2: the noise of all
steps is averaged, and what the steps had not yet reached is added. It is weighed against the mean of the steps' points, b_0, by
the study's ridge r, whose meaning is that a coefficient of a scaled column is seldom beyond 2 / sqrt(r):

    I = A (A + s^2)^-1 A         variance = (I + r)^-1
    estimate = b_0 + (I + r)^-1 A (A + s^2)^-1 (mean of g_t + A (b_t - b_0))

Where the noise leaves no information, the estimate is that of the steps, and its standard error 1 / sqrt(r). b_0 holds less noise
than the estimate where patients say little: as coefficients it is drawn towards 0, and it foretells better at a small epsilon. So
b_0 is the model that answers, and the estimates have the intervals.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from wardround.algorithms.fedopt import FedOpt
from wardround.algorithms.fedsgd import FedSgd
from wardround.algorithms.newton import Matrix, Vector
from wardround.analysis.bounded_columns import linear, matrix_of, products, shortening
from wardround.analysis.design import Design
from wardround.analysis.protocol import Ask, Exchange, Noised, Total
from wardround.analysis.regression.private_report import PrivateFit, private_result
from wardround.analysis.result import Result
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.study.declaration import Study
from wardround.study.rules.private import units_together
from wardround.study.sections.analysis.regression import RegressionSection
from wardround.values.contribution import Contribution
from wardround.values.rows import Rows
from wardround.values.tree import Bundle, Shapes

STEPS, INFORMATION = "steps", "information"
POINT = "coefficients"
MOMENTUM, FASTEST = 0.9, 0.5
LAST = 0.5
"""Share of the steps whose scores and points are averaged."""
_FARTHEST = 30.0
_OF_COUNTS = 0.1
"""Share of the last sum that its two counts have."""


def build(study: Study) -> "PrivateRegression":
    """The regression that a checked study with [privacy] asks for."""
    assert study.analysis is not None and study.analysis.regression is not None
    section = study.analysis.regression
    return PrivateRegression(study, section, Design(section.terms, study.data))


@dataclass(frozen=True)
class PrivateRegression:
    """A binomial regression of a study with [privacy]."""

    study: Study
    section: RegressionSection
    design: Design

    @property
    def columns(self) -> tuple[str, ...]:
        return self.section.columns

    @property
    def steps(self) -> int:
        """How many; one of analysis.exchanges is the information."""
        assert self.study.analysis is not None
        return self.study.analysis.exchanges - 1

    @property
    def clip(self) -> float:
        return self.study.privacy.clip_norm

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        size = len(self.design)
        order: Shapes = {POINT: (size,)}
        score = Exchange(STEPS, {"score": Quantity((size,))}, order, self.steps, Noised({"score": 2.0 / self.clip}))
        quantities = {"information": Quantity((size * (size + 1) // 2,)), "counts": Quantity((2,))}
        weights = {
            "information": math.sqrt(1 - _OF_COUNTS) * 4.0 / self.clip**2,
            "counts": math.sqrt(_OF_COUNTS / 2.0),
        }
        return score, Exchange(INFORMATION, quantities, order, 1, Noised(weights, max(1, self.steps // 2)))

    def of_each(self, rows: Rows, ask: Ask) -> Arrays:
        there = np.flatnonzero(self.design.complete(rows) & rows.complete(self.section.outcome))
        chosen, size = rows.select(there), len(self.design)
        columns, outcome = self.design.matrix(chosen), chosen[self.section.outcome]
        chance = self._chances(columns, ask.order[POINT])
        weight = shortening(columns, self.clip**2) / (2.0 * np.maximum(chance, 1.0 - chance))
        if ask.label == STEPS:
            score = np.zeros((len(rows), size))
            score[there] = columns * (weight * (np.clip(outcome, 0.0, 1.0) - chance))[:, None]
            return {"score": score}
        information = np.zeros((len(rows), size * (size + 1) // 2))
        information[there] = products(columns) * (weight * chance * (1.0 - chance))[:, None]
        counts = np.zeros((len(rows), 2))
        counts[there] = np.stack([np.ones(len(there)), np.clip(outcome, 0.0, 1.0)], axis=1)
        return {"information": information, "counts": counts}

    def _chances(self, columns: Matrix, point: Vector) -> Vector:
        """mu (n,)."""
        chances: Vector = 1.0 / (1.0 + np.exp(-np.clip(linear(columns, point), -_FARTHEST, _FARTHEST)))
        return chances

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:
        return {name: array.sum(axis=0) for name, array in self.of_each(rows, ask).items()}

    def coordinate(self) -> Generator[Ask, Total, Result]:
        size, patients = len(self.design), units_together(self.study)
        penalty = np.concatenate([[0.0], np.full(size - 1, self.section.ridge)])
        rate = min(FASTEST, 4.0 / self.clip**2)
        algorithm = FedSgd(FedOpt("momentum", rate, MOMENTUM), self.steps, average=LAST)
        state: Bundle = algorithm.start({POINT: np.zeros(size, np.float32)}, patients)
        points, scores, noise = list[Vector](), list[Vector](), 0.0
        for _ in range(self.steps):
            point = state["iterate"][POINT].astype(np.float64)
            total = yield Ask(STEPS, {POINT: np.clip(point, -(2.0**20), 2.0**20)})
            points.append(point)
            scores.append(total["score"])
            noise = total.noise["score"]
            loss = {POINT: penalty * point - total["score"]}
            state = algorithm.update(state, Contribution({"gradient": loss}, patients))
        centre = state["mean"][POINT]
        last = yield Ask(INFORMATION, {POINT: np.clip(centre, -(2.0**20), 2.0**20)})
        first = self.steps - max(1, round(LAST * self.steps))
        fit = estimated(points[first:], scores[first:], noise, centre, last, penalty)
        return private_result(self.study, self.section, self.design, fit, last)


def estimated(
    points: list[Vector], scores: list[Vector], noise: float, centre: Vector, last: Total, penalty: Vector
) -> PrivateFit:
    """Estimates and their covariance in the scaled columns, as the module's text says. noise: standard deviation in one number of
    a score. centre: the mean of the steps' points (p,)."""
    size = len(centre)
    values, directions = np.linalg.eigh(matrix_of(last["information"], size))
    kept = np.maximum(values - last.noise["information"], 1e-9)
    spread = noise**2 / len(points)
    curvature = (directions * kept) @ directions.T
    weighing = (directions * (kept / (kept + spread))) @ directions.T
    observed = np.mean([score + curvature @ (point - centre) for point, score in zip(points, scores, strict=True)], axis=0)
    precision = (directions * (kept**2 / (kept + spread))) @ directions.T + np.diag(np.maximum(penalty, 1e-9))
    covariance = np.linalg.inv(precision)
    return PrivateFit(centre + covariance @ weighing @ observed, covariance, centre)
