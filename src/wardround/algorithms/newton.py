"""Newton's method over sums: each exchange sums value, gradient and curvature at a point, and the coordinator takes the step.

    b <- b + t H^-1 g,   g = sum of scores - ridge b,   H = sum of informations + ridge

For a generalised linear model with the canonical link this is iteratively reweighted least squares (McCullagh and Nelder,
Generalized Linear Models, 1989, section 2.5); over hospitals: Wu et al., GLORE, JAMIA 2012. A step that does not lower the loss
is halved. Convergence is judged by the Newton decrement, sqrt(g' H^-1 g): the length of the step in units of standard errors.
At the end it is so small that the last step, which is taken without another sum, changes no digit that is shown.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

DECREMENT = 1e-11
"""In standard errors. Steps shrink quadratically: what is left after the last one is its square."""
SMALLEST_STEP = 2.0**-10
ROUNDING = 1e-10
"""A loss that is higher by so little, relatively, is no higher: near the end all digits but the last are equal."""


@dataclass(frozen=True)
class Curvature:
    """The sums at a point. loss: what is minimised, such as half the deviance. score: its negative gradient (p,). information:
    its second derivative (p, p), or the expectation of it."""

    loss: float
    score: Vector
    information: Matrix


@dataclass(frozen=True)
class Fit:
    """Where the steps ended. sums: at the last point that was summed, of which `point` is one vanishing step further. decrement:
    the length of that step in standard errors. asked: how many points were summed. converged: whether the decrement is below
    `DECREMENT`."""

    point: Vector
    sums: Curvature
    decrement: float
    asked: int
    converged: bool


def newton(start: Vector, penalty: Vector, most: int, reach: float = math.inf) -> Generator[Vector, Curvature, Fit]:
    """Yields points, is sent the sums there, and returns the fit.

    penalty: ridge of each coefficient (p,), 0 or more: half of it times the squared coefficient is added to the loss. most: the
    most points that are asked for. reach: no point whose coefficients' absolute values add up to more is asked for: a step that
    leads there is halved. ArithmeticError where the curvature is singular.
    """
    start = _within(start, reach)
    point, sums, asked = start, (yield start), 1
    while True:
        step, decrement = _step(point, sums, penalty)
        if decrement <= DECREMENT:
            return Fit(point + step, sums, decrement, asked, True)
        length, loss = 1.0, _penalised(sums.loss, point, penalty)
        while True:
            if asked >= most:
                return Fit(point, sums, decrement, asked, False)
            while np.abs(point + length * step).sum() > reach and length > SMALLEST_STEP:
                length /= 2.0
            tried = _within(point + length * step, reach)
            there = yield tried
            asked += 1
            enough = loss + ROUNDING * (1.0 + abs(loss))
            if _penalised(there.loss, tried, penalty) <= enough or length <= SMALLEST_STEP:
                break
            length /= 2.0
        point, sums = tried, there


def _within(point: Vector, reach: float) -> Vector:
    """The point, or what lies towards it as far as may be asked."""
    size = float(np.abs(point).sum())
    return point if size <= reach else point * (reach / size)


def _step(point: Vector, sums: Curvature, penalty: Vector) -> tuple[Vector, float]:
    """The Newton step and its length in standard errors."""
    gradient = sums.score - penalty * point
    step = solved(sums.information + np.diag(penalty), gradient)
    return step, math.sqrt(max(0.0, float(gradient @ step)))


def _penalised(loss: float, point: Vector, penalty: Vector) -> float:
    value = loss + 0.5 * float(penalty @ point**2)
    return value if np.isfinite(value) else np.inf


@dataclass(frozen=True)
class Aliased:
    """A column that earlier ones already make up. weights: (p,), of the columns before it; all 0 where it never varies from 0."""

    column: int
    weights: Vector


ALIASED = 1e-10
"""Of a column's own length squared. Products of columns are summed, so half of the digits of a column are left."""


def aliased_columns(information: Matrix) -> tuple[Aliased, ...]:
    """Columns that are sums of multiples of earlier ones, in order, as R's `glm` finds them with its pivoting.

    information: X'X, or X'WX with weights above 0, of which the columns' dependences are the same."""
    diagonal = np.diag(information)
    kept: list[int] = []
    aliased: list[Aliased] = []
    for column in range(len(diagonal)):
        weights = np.zeros(len(diagonal))
        if diagonal[column] <= 0:
            aliased.append(Aliased(column, weights))
            continue
        left = 1.0
        if kept:
            across = information[kept, column] / np.sqrt(diagonal[kept] * diagonal[column])
            inner = information[np.ix_(kept, kept)] / np.sqrt(np.outer(diagonal[kept], diagonal[kept]))
            share = np.linalg.solve(inner, across)
            left = 1.0 - float(across @ share)
            weights[kept] = share * np.sqrt(diagonal[column] / diagonal[kept])
        if left <= ALIASED:
            aliased.append(Aliased(column, weights))
        else:
            kept.append(column)
    return tuple(aliased)


def solved(curvature: Matrix, right: NDArray[np.float64]) -> NDArray[np.float64]:
    """The solution of a system whose curvature is above 0 in every direction, scaled to a diagonal of ones first. ArithmeticError
    where it is singular to working precision."""
    diagonal = np.diag(curvature)
    if not (np.isfinite(curvature).all() and (diagonal > 0).all()):
        raise ArithmeticError("the information has a column without any variation")
    scale = 1.0 / np.sqrt(diagonal)
    try:
        factor = np.linalg.cholesky(curvature * scale[:, None] * scale)
    except np.linalg.LinAlgError as error:
        raise ArithmeticError("the information is singular") from error
    half = np.linalg.solve(factor, (right.T * scale).T)
    solution: NDArray[np.float64] = (np.linalg.solve(factor.T, half).T * scale).T
    return solution
