"""What one hospital gives to a Cox regression that is stratified by hospital: sums over its own risk sets, no single time.

    log L(b) = sum over hospitals of log L_k(b)          D. R. Cox, J. R. Stat. Soc. B 34 (1972) 187

A hospital compares its patients with its own patients alone, so its share is a log-likelihood, a score and an information:
p (p + 3) / 2 + 1 numbers. Ties by B. Efron, JASA 72 (1977) 557, or N. Breslow, Biometrics 30 (1974) 89.

The risk set of each event needs sum w x x'. It is never formed: with c_i = the sum of 1 / (risk sum) over the events up to the
time of patient i, all of them together are X' diag(w c) X, so that the work is n p^2 and the memory n p.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ties = Literal["efron", "breslow"]


@dataclass(frozen=True)
class FollowUp:
    """What is known of n patients.

    columns: (n, p) float64. times: (n,), from 0. events: (n,) bool, whether the event was seen at that time. strata: (n,) whole
    numbers, within a hospital; None for one stratum.
    """

    columns: Floats
    times: Floats
    events: NDArray[np.bool_]
    strata: NDArray[np.int64] | None = None

    def parts(self) -> list["FollowUp"]:
        """One for each stratum."""
        if self.strata is None:
            return [self]
        chosen = [self.strata == stratum for stratum in np.unique(self.strata)]
        return [FollowUp(self.columns[rows], self.times[rows], self.events[rows]) for rows in chosen]


@dataclass(frozen=True)
class LikelihoodSums:
    """log_likelihood: a number. score: (p,). information: (p, p), symmetric, minus the second derivative. They add over
    hospitals. error: the largest of a number of the score, where sums were rounded."""

    log_likelihood: float
    score: Floats
    information: Floats
    error: float = 0.0

    @staticmethod
    def none(columns: int) -> "LikelihoodSums":
        return LikelihoodSums(0.0, np.zeros(columns), np.zeros((columns, columns)))

    def __add__(self, other: "LikelihoodSums") -> "LikelihoodSums":
        return LikelihoodSums(
            self.log_likelihood + other.log_likelihood, self.score + other.score, self.information + other.information
        )


@dataclass(frozen=True)
class RiskSets:
    """The risk sets of one stratum at one vector of coefficients; patients in order of falling times.

    weights: (n,), exp(x b) by the largest. moment: (n,), which distinct time, from the latest. denominators, means: of each event
    in its turn, (d,) and (d, p). turn: (d,), which distinct time an event is at. shares: (d,), the share of tied events that has
    left before it. gain: the log-likelihood.
    """

    columns: Floats
    times: Floats
    events: NDArray[np.bool_]
    weights: Floats
    moment: NDArray[np.int64]
    denominators: Floats
    means: Floats
    turn: NDArray[np.int64]
    shares: Floats
    gain: float

    @property
    def event_times(self) -> Floats:
        """(d,), of the events in the order of `turn`."""
        return self.times[self.events]

    def score(self, factors: Floats | None = None) -> Floats:
        """The sum over events of (x - mean of the risk set), each times its factor (d,)."""
        own = self.columns[self.events] - self.means
        return own.sum(axis=0) if factors is None else factors @ own

    def information(self, factors: Floats | None = None) -> Floats:
        """The sum over events of the variance of x in the risk set, each times its factor (d,), one factor for tied events."""
        factors = np.ones(len(self.turn)) if factors is None else factors
        count = int(self.moment[-1]) + 1 if len(self.moment) else 0
        whole = np.bincount(self.turn, factors / self.denominators, count)
        left = np.bincount(self.turn, factors * self.shares / self.denominators, count)
        in_later_and_this = whole[::-1].cumsum()[::-1][self.moment] - np.where(self.events, left[self.moment], 0.0)
        scaled = self.columns * (self.weights * in_later_and_this)[:, None]
        total: Floats = self.columns.T @ scaled - (self.means * factors[:, None]).T @ self.means
        return total


def risk_sets(rows: FollowUp, coefficients: Floats, ties: Ties = "efron") -> RiskSets:
    """The risk sets of one stratum (its `strata` are not read)."""
    order = np.argsort(-rows.times, kind="stable")
    columns, times, events = rows.columns[order], rows.times[order], rows.events[order]
    predictor = columns @ coefficients
    if len(predictor):
        predictor = predictor - predictor.max()
    weights = np.exp(predictor)
    starts = np.flatnonzero(np.r_[True, times[1:] != times[:-1]]) if len(times) else np.zeros(0, np.int64)
    ends = np.append(starts, len(times))[1:] - 1
    moment = np.repeat(np.arange(len(starts)), ends - starts + 1)
    turn = moment[events]
    tied = np.bincount(turn, minlength=len(starts))
    risk, risk_columns = weights.cumsum()[ends], (columns * weights[:, None]).cumsum(axis=0)[ends]
    shares = _shares(tied) if ties == "efron" else np.zeros(len(turn))
    leaving = np.bincount(turn, weights[events], len(starts))
    leaving_columns = np.zeros((len(starts), columns.shape[1]))
    np.add.at(leaving_columns, turn, columns[events] * weights[events][:, None])
    denominators = risk[turn] - shares * leaving[turn]
    means = (risk_columns[turn] - shares[:, None] * leaving_columns[turn]) / denominators[:, None]
    gain = float(predictor[events].sum() - np.log(denominators).sum())
    return RiskSets(columns, times, events, weights, moment, denominators, means, turn, shares, gain)


def _shares(tied: NDArray[np.int64]) -> Floats:
    """0, 1/m, ..., (m - 1)/m for each group of m tied events, one after the other."""
    first = np.repeat(np.cumsum(tied) - tied, tied)
    return (np.arange(int(tied.sum())) - first) / np.repeat(tied, tied)


def upper(matrix: Floats) -> Floats:
    """The numbers of a symmetric matrix on and above its diagonal, row by row."""
    triangle: Floats = matrix[np.triu_indices(len(matrix))]
    return triangle


def symmetric(numbers: Floats, size: int) -> Floats:
    """The matrix (size, size) whose numbers `upper` gives."""
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = numbers
    return matrix + np.triu(matrix, 1).T


def likelihood_sums(rows: FollowUp, coefficients: Floats, ties: Ties = "efron") -> LikelihoodSums:
    """One hospital's share of the log-likelihood, its gradient and its information, over its strata.

    >>> pair = FollowUp(np.array([[1.0], [0.0]]), np.array([1.0, 2.0]), np.array([True, True]))
    >>> sums = likelihood_sums(pair, np.zeros(1))
    >>> sums.score.tolist(), sums.information.tolist()  # one of two at risk, then one of one
    ([0.5], [[0.25]])
    """
    total = LikelihoodSums.none(rows.columns.shape[1])
    for part in rows.parts():
        sets = risk_sets(part, coefficients, ties)
        total += LikelihoodSums(sets.gain, sets.score(), sets.information())
    return total
