"""Figures from summed counts and moments: means, quantiles, tests. Pure functions of totals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc, gammaln, stdtr

from wardround.analysis.describe.sums import Numbered

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """Of one column in one group, in its unit. deviation: with n - 1; NaN below two values."""

    count: int
    mean: float
    deviation: float


def moments_of(column: Numbered, count: int, sums: NDArray[np.float64]) -> Moments:
    """sums: of the scaled values and of their squares."""
    if count == 0:
        return Moments(0, np.nan, np.nan)
    mean = float(sums[0]) / count
    spread = max(0.0, float(sums[1]) - count * mean**2)
    deviation = np.sqrt(spread / (count - 1)) if count > 1 else np.nan
    return Moments(count, column.center + column.scale * mean, float(column.scale * deviation))


def quantile(column: Numbered, counts: Counts, share: float) -> float:
    """The quantile of a histogram over the column's range, linear within a bin: off by one bin at most, besides what two
    neighbouring values of the rows are apart."""
    total = int(counts.sum())
    reached = np.cumsum(counts)
    sought = share * (total - 1) + 0.5
    position = int(np.searchsorted(reached, sought))
    before = int(reached[position - 1]) if position else 0
    within = (sought - before) / max(1, int(counts[position]))
    width = (column.high - column.low) / len(counts)
    return float(column.low + width * (position + min(max(within, 0.0), 1.0)))


@dataclass(frozen=True)
class Test:
    """statistic, its degrees of freedom, p; the name of the test."""

    name: str
    statistic: float
    degrees: float
    p: float


def chi_square(counts: Counts) -> Test | None:
    """Pearson's test of a table, without a correction. None where a margin is empty, or there is one row or column."""
    kept = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(kept.shape, default=0) < 2:
        return None
    expected = np.outer(kept.sum(axis=1), kept.sum(axis=0)) / kept.sum()
    statistic = float(((kept - expected) ** 2 / expected).sum())
    degrees = (kept.shape[0] - 1) * (kept.shape[1] - 1)
    return Test("chi-square", statistic, degrees, float(chdtrc(degrees, statistic)))


def fisher(counts: Counts) -> float | None:
    """Fisher's exact p of a table of two by two, two-sided: of all tables with these margins that are no likelier. Else None."""
    if counts.shape != (2, 2) or (counts.sum(axis=0) == 0).any() or (counts.sum(axis=1) == 0).any():
        return None
    first, second = (int(total) for total in counts.sum(axis=1))
    column = int(counts[:, 0].sum())
    values = np.arange(max(0, column - second), min(first, column) + 1)
    cells = (values, first - values, column - values, second - column + values)
    logs = -np.sum([gammaln(cell + 1.0) for cell in cells], axis=0)
    chances = np.exp(logs - logs.max())
    observed = chances[int(counts[0, 0]) - int(values[0])]
    return float(min(1.0, chances[chances <= observed * (1 + 1e-7)].sum() / chances.sum()))


def analysis_of_variance(groups: list[Moments]) -> Test | None:
    """One-way analysis of variance; of two groups Welch's t-test. None where a group has fewer than two values."""
    if len(groups) < 2 or any(one.count < 2 for one in groups):
        return None
    counts = np.array([one.count for one in groups], float)
    means, variances = np.array([one.mean for one in groups]), np.array([one.deviation**2 for one in groups])
    if len(groups) == 2:
        errors = variances / counts
        if errors.sum() == 0:
            return None
        degrees = float(errors.sum() ** 2 / (errors**2 / (counts - 1)).sum())
        statistic = float((means[0] - means[1]) / np.sqrt(errors.sum()))
        return Test("Welch's t", statistic, degrees, float(2 * stdtr(degrees, -abs(statistic))))
    grand = float(counts @ means / counts.sum())
    between, within = float(counts @ (means - grand) ** 2), float((counts - 1) @ variances)
    if within == 0:
        return None
    first, second = len(groups) - 1, counts.sum() - len(groups)
    statistic = between / first / (within / second)
    return Test("F", statistic, first, float(fdtrc(first, second, statistic)))


def standardised_difference(groups: list[Moments]) -> float | None:
    """Of two means, over the root of the mean variance (Austin, Stat. Med. 2009)."""
    if len(groups) != 2 or any(one.count < 2 for one in groups):
        return None
    spread = np.sqrt((groups[0].deviation ** 2 + groups[1].deviation ** 2) / 2)
    return float((groups[0].mean - groups[1].mean) / spread) if spread > 0 else None


def standardised_difference_of_codes(counts: Counts) -> float | None:
    """Of two distributions over categories (k, 2): a Mahalanobis distance (Yang and Dalton, SAS Global Forum 2012); of two codes
    the difference of the shares over the root of the mean variance."""
    totals = counts.sum(axis=0)
    if counts.shape[1] != 2 or (totals == 0).any():
        return None
    shares = counts[1:] / totals
    spread = sum(np.diag(share) - np.outer(share, share) for share in shares.T) / 2
    difference = shares[:, 0] - shares[:, 1]
    distance = float(difference @ np.linalg.pinv(spread) @ difference)
    sign = np.sign(difference[0]) if len(difference) == 1 else 1.0
    return float(sign * np.sqrt(max(0.0, distance)))


def correlation(count: int, sums: NDArray[np.float64]) -> float | None:
    """Pearson's, from the sums of x, y, xx, yy, xy. None where one of them does not vary."""
    x, y, xx, yy, xy = (float(value) for value in sums)
    if count < 2:
        return None
    spread = (xx - x * x / count) * (yy - y * y / count)
    return float((xy - x * y / count) / np.sqrt(spread)) if spread > 0 else None


def correlation_p(value: float, count: int) -> float | None:
    """Of no correlation, by Student's t. None below three rows."""
    if count < 3:
        return None
    if abs(value) >= 1.0:
        return 0.0
    statistic = value * np.sqrt((count - 2) / (1 - value**2))
    return float(2 * stdtr(count - 2, -abs(statistic)))


def evidence(yes: Counts, no: Counts) -> tuple[NDArray[np.float64], float]:
    """Weight of evidence of each group, ln of its share of yes over its share of no, and the information value (Good 1950;
    Siddiqi, Credit Risk Scorecards, 2006). Every group holds some of both."""
    shares = yes / yes.sum(), no / no.sum()
    weights: NDArray[np.float64] = np.log(shares[0] / shares[1])
    return weights, float((shares[0] - shares[1]) @ weights)
