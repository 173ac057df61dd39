"""What one hospital adds to a regression whose hospitals' intercepts are drawn from a normal law: its own integral.

    L_k(b, s) = log integral of exp(sum of l(x b + s z) over its rows) phi(z) dz          s: deviation between hospitals

The marginal likelihood is a product over hospitals, so its logarithm, gradient and information are sums of hospitals' own. The
integral is by adaptive Gauss-Hermite quadrature around the mode (J. C. Pinheiro and D. M. Bates, J. Comput. Graph. Statist. 4
(1995) 12), whose first node alone is Laplace's approximation; of a gaussian family it is exact. Gradient and information follow
from the law of z given the rows (T. A. Louis, J. R. Stat. Soc. B 44 (1982) 226):

    gradient = E[S],   information = E[-H] - Var[S]          S, H: derivatives with z known

Parameters in order: coefficients (p,), s, and of a gaussian family the logarithm of the residual deviation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from wardround.algorithms.newton import Matrix, Vector
from wardround.analysis.regression.families import Family, Gaussian

NODES = 25
_POINTS, _WEIGHTS = np.polynomial.hermite.hermgauss(NODES)
_STEPS = 100
_CLOSE = 1e-13


@dataclass(frozen=True)
class MixedSums:
    """One hospital's, or their total. log_likelihood: without what only the outcomes decide. score: (q,). information: (q, q)."""

    log_likelihood: float
    score: Vector
    information: Matrix


@dataclass(frozen=True)
class _Rows:
    """Rows of one hospital at parameters: values of z (m,) give arrays (m, n)."""

    matrix: Matrix
    outcome: Vector
    offset: Vector
    family: Family
    coefficients: Vector
    deviation: float
    residual: float | None

    def at(self, z: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Log-likelihood, its first derivative by the predictor, and minus the second."""
        eta = (self.matrix @ self.coefficients + self.offset)[None] + self.deviation * z[:, None]
        if self.residual is None:
            there = self.family.at(eta, np.broadcast_to(self.outcome, eta.shape))
            return -there.deviance / 2.0, there.score, there.observed
        left = (self.outcome - eta) / self.residual
        return -(left**2) / 2.0 - np.log(self.residual), left / self.residual, np.full_like(left, self.residual**-2.0)

    def mode(self) -> tuple[float, float]:
        """Where the integrand is largest, and the deviation of the normal law that fits it there. It is log-concave."""
        z = 0.0
        for _ in range(_STEPS):
            _, score, weight = self.at(np.array([z]))
            slope, bend = self.deviation * score.sum() - z, self.deviation**2 * weight.sum() + 1.0
            step = float(np.clip(slope / bend, -1.0, 1.0))
            z += step
            if abs(step) < _CLOSE:
                break
        return z, float(1.0 / np.sqrt(bend))


def held_residual(logarithm: float, ends: tuple[float, float]) -> float:
    """The residual deviation, within what counts."""
    return float(np.exp(np.clip(logarithm, *np.log(ends))))


def mixed_sums(
    matrix: Matrix,
    outcome: Vector,
    offset: Vector,
    family: Family,
    parameters: Vector,
    residual: tuple[float, float] | None = None,
) -> MixedSums:
    """What one hospital adds. matrix: (n, p). parameters: (p + 1,), or (p + 2,) of a gaussian family. residual: the smallest and
    largest residual deviation that counts, of a gaussian family."""
    size = matrix.shape[1]
    residual_deviation = None
    if isinstance(family, Gaussian):
        assert residual is not None
        residual_deviation = held_residual(float(parameters[size + 1]), residual)
    rows = _Rows(matrix, outcome, offset, family, parameters[:size], float(parameters[size]), residual_deviation)
    middle, width = rows.mode()
    z = middle + np.sqrt(2.0) * width * _POINTS
    likelihood, score, weight = rows.at(z)
    logs = np.log(_WEIGHTS) + _POINTS**2 + likelihood.sum(axis=1) - z**2 / 2.0 + np.log(width / np.sqrt(np.pi))
    total = float(logsumexp(logs))
    share = np.exp(logs - total)
    first = np.concatenate([score @ matrix, (z * score.sum(axis=1))[:, None]], axis=1)
    by_slope, by_both = share @ weight, (share * z) @ weight
    second = np.zeros((size + 1, size + 1))
    second[:size, :size] = matrix.T @ (by_slope[:, None] * matrix)
    second[:size, size] = second[size, :size] = matrix.T @ by_both
    second[size, size] = float((share * z**2) @ weight.sum(axis=1))
    if residual_deviation is not None:
        first, second = _with_residual(first, second, matrix, score, z, share, residual_deviation)
    mean = share @ first
    centred = first - mean
    return MixedSums(total, mean, second - centred.T @ (share[:, None] * centred))


def _with_residual(
    first: Matrix, second: Matrix, matrix: Matrix, score: Matrix, z: Vector, share: Vector, residual: float
) -> tuple[Matrix, Matrix]:
    """The same with the derivatives by the logarithm of the residual deviation. score: (m, n), residual over its variance."""
    squares = (score * residual) ** 2
    first = np.concatenate([first, (squares - 1.0).sum(axis=1)[:, None]], axis=1)
    across = np.append(2.0 * (share @ score) @ matrix, 2.0 * float((share * z) @ score.sum(axis=1)))
    whole = np.zeros((len(second) + 1, len(second) + 1))
    whole[:-1, :-1] = second
    whole[:-1, -1] = whole[-1, :-1] = across
    whole[-1, -1] = 2.0 * float(share @ squares.sum(axis=1))
    return first, whole
