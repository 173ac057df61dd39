"""Whether groups have the event at the same pace: the log-rank test (N. Mantel, 1966; R. Peto and J. Peto, 1972), from sums.

In each cell: expected events of a group = its share of those at risk; variance of the hypergeometric draw. Stratified by
hospital each hospital compares its own patients with its own, day by day, and gives what was expected and the covariance: no
time leaves.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.time_grid import Counts, Floats


@dataclass(frozen=True)
class LogRankSums:
    """observed, expected: (groups,). covariance: (groups, groups), of the observed. They add over strata."""

    observed: Floats
    expected: Floats
    covariance: Floats

    @staticmethod
    def none(groups: int) -> "LogRankSums":
        return LogRankSums(np.zeros(groups), np.zeros(groups), np.zeros((groups, groups)))

    def __add__(self, other: "LogRankSums") -> "LogRankSums":
        return LogRankSums(self.observed + other.observed, self.expected + other.expected, self.covariance + other.covariance)


@dataclass(frozen=True)
class LogRank:
    """statistic: chi-square with `freedom` degrees. p: the chance of as much. freedom 0: there is nothing to compare, and p is
    1."""

    statistic: float
    freedom: int
    p: float
    observed: tuple[float, ...]
    expected: tuple[float, ...]


def log_rank_sums(events: Floats | Counts, exposed: Floats) -> LogRankSums:
    """From events and those at risk, (groups, cells) each."""
    groups = len(events)
    died, risk = events.sum(axis=0).astype(np.float64), exposed.sum(axis=0)
    telling = (died > 0) & (risk > 0)
    died, risk, share = died[telling], risk[telling], exposed[:, telling] / risk[telling]
    spread = died * np.where(risk > 1, (risk - died) / np.where(risk > 1, risk - 1, 1), 0.0)
    covariance = np.diag((share * spread).sum(axis=1)) - (share * spread) @ share.T
    observed = events.sum(axis=1).astype(np.float64)
    return LogRankSums(observed, (share * died).sum(axis=1), covariance.reshape(groups, groups))


def of_counts(counts: EventCounts) -> LogRankSums:
    """Over the groups of the total; any cause is the event."""
    return log_rank_sums(counts.events(), counts.exposed)


def of_rows(times: Floats, events: NDArray[np.bool_], groups: Counts, group_count: int) -> LogRankSums:
    """Of one hospital's patients, at their own times."""
    moments, turns = np.unique(times, return_inverse=True)
    leaving, died = np.zeros((2, group_count, len(moments)))
    np.add.at(leaving, (groups, turns), 1)
    np.add.at(died, (groups[events], turns[events]), 1)
    return log_rank_sums(died, leaving[:, ::-1].cumsum(axis=1)[:, ::-1])


def log_rank(sums: LogRankSums) -> LogRank:
    """The test. A group that is never at risk with others is in no comparison."""
    scale = np.diag(sums.covariance)
    compared = scale > 1e-9 * max(float(scale.max(initial=0.0)), 1e-300)
    difference, covariance = (sums.observed - sums.expected)[compared], sums.covariance[np.ix_(compared, compared)]
    rank = int(np.linalg.matrix_rank(covariance, tol=1e-9 * float(scale.max(initial=0.0)))) if compared.any() else 0
    statistic = float(difference @ np.linalg.pinv(covariance, rcond=1e-9, hermitian=True) @ difference) if rank else 0.0
    p = float(chi2.sf(statistic, rank)) if rank else 1.0
    return LogRank(statistic, rank, p, tuple(map(float, sums.observed)), tuple(map(float, sums.expected)))
