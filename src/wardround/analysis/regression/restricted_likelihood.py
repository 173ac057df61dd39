"""Restricted maximum likelihood of drawn intercepts, gaussian family: what it takes off the likelihood, and its derivatives.

    L_R(b, t) = L(b, t) - log det A(t) / 2,   A(t) = sum over hospitals of X' V(t)^-1 X     t: s, log of the residual deviation

Coefficients are integrated out with a flat prior (H. D. Patterson and R. Thompson, Biometrika 58 (1971) 545; D. A. Harville, JASA
72 (1977) 320). Whatever t is, L is largest in b at its estimate, so that L_R is largest in both where restricted likelihood is.
Within a hospital of n rows V = v I + a 11', with a = s^2 and v the residual variance; so with Z'Z = C and Z'1 = u

    A = C / v - c u u',   c = (1 / v - 1 / (v + n a)) / n

A hospital adds A and its derivatives up to the second: six matrices (p, p).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wardround.algorithms.newton import Curvature, Matrix, Vector


class VarianceMatrices(NamedTuple):
    """A, and its derivatives by the logarithm r of the residual deviation and by the deviation s between hospitals, (p, p)."""

    value: Matrix
    by_r: Matrix
    by_r_r: Matrix
    by_s: Matrix
    by_s_s: Matrix
    by_s_r: Matrix


def within_bound(rows: float, smallest: float) -> float:
    """Of the first three matrices, of columns within -1 and 1. smallest: the least residual deviation."""
    return 24.0 * rows / smallest**2


def between_bound(rows: float, smallest: float) -> float:
    """Of the last three."""
    return 10.0 * max(1.0, rows / smallest**2) ** 2


def variance_matrices(matrix: Matrix, deviation: float, residual: float) -> VarianceMatrices:
    """One hospital's. matrix: Z (n, p). deviation: s. residual: the residual deviation, above 0."""
    rows, a, v = max(len(matrix), 1), deviation**2, residual**2
    sums, products = matrix.sum(axis=0), matrix.T @ matrix
    outer = np.outer(sums, sums)
    r = 1.0 / (v + rows * a)
    by_a, by_v = r**2, (r**2 - v**-2) / rows  # of c
    twice_a, mixed, twice_v = -2.0 * rows * r**3, -2.0 * r**3, 2.0 * (v**-3 - r**3) / rows
    first = -products / v**2 - by_v * outer
    second = 2.0 * products / v**3 - twice_v * outer
    return VarianceMatrices(
        products / v - (1.0 / v - r) / rows * outer,
        2.0 * v * first,
        4.0 * v**2 * second + 4.0 * v * first,
        -2.0 * deviation * by_a * outer,
        -(4.0 * a * twice_a + 2.0 * by_a) * outer,
        -4.0 * deviation * v * mixed * outer,
    )


@dataclass(frozen=True)
class Restriction:
    """What the restricted likelihood takes off, over all hospitals. value: log det A / 2. slope: (2,), by s and by r. bend:
    (2, 2)."""

    value: float
    slope: Vector
    bend: Matrix

    def added_to(self, sums: Curvature, first: int) -> Curvature:
        """The sums of the restricted likelihood. first: position of s among the parameters; r follows."""
        score, information = sums.score.copy(), sums.information.copy()
        score[first : first + 2] -= self.slope
        information[first : first + 2, first : first + 2] += self.bend
        return Curvature(sums.loss + self.value, score, information)


def restriction(total: VarianceMatrices) -> Restriction:
    """From the totals. ArithmeticError where A is not above 0 in every direction."""
    sign, logarithm = np.linalg.slogdet(total.value)
    if sign <= 0 or not np.isfinite(logarithm):
        raise ArithmeticError("the information of the coefficients is singular")

    def through(one: Matrix) -> Matrix:
        return np.asarray(np.linalg.solve(total.value, one), np.float64)

    s, r = through(total.by_s), through(total.by_r)
    slope = np.array([np.trace(s), np.trace(r)]) / 2.0

    def bent(second: Matrix, one: Matrix, other: Matrix) -> float:
        return float(np.trace(through(second)) - np.sum(one * other.T)) / 2.0

    across = bent(total.by_s_r, s, r)
    bend = np.array([[bent(total.by_s_s, s, s), across], [across, bent(total.by_r_r, r, r)]])
    return Restriction(float(logarithm) / 2.0, slope, bend)
