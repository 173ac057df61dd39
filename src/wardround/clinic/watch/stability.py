"""The population stability index of two counts over the same bins, with an interval.

    PSI = sum over bins of (p - q) ln(p / q)

It is 0 where the shares are equal and the same whichever count is named first; 0.1 is called small and 0.25 large where credit
risk is watched, whence it comes. Of small samples it is never 0: chance alone adds about (bins - 1) (1/n + 1/m), which is taken
off.

For shares that are near, PSI times N = 1 / (1/n + 1/m) follows a chi-square of bins - 1 degrees, not central by N times the true
PSI (B. Yurdakul and J. Naranjo, J. Risk Model Validation 14 (2020) no. 3, for equal shares). Its ends are those of which 2.5 %
lie beyond. For shares that are far apart the spread is wider: N is made smaller until the two agree with the delta method.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.protocol import Interval

_TAIL = 0.025


@dataclass(frozen=True)
class Stability:
    """psi: less what chance adds, never below 0. interval: 95 %."""

    psi: float
    interval: Interval


@dataclass(frozen=True, eq=False)
class _Compared:
    """Shares p and q over the bins that hold anything, of n and m records. Each is drawn towards the pooled shares by half a
    record a bin, so that an empty bin has a logarithm and equal shares stay equal."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]

    @cached_property
    def shares(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n, m, half = self.first.sum(), self.second.sum(), len(self.first) / 2
        pooled = (self.first + self.second) / (n + m)
        return (self.first + half * pooled) / (n + half), (self.second + half * pooled) / (m + half)

    @property
    def index(self) -> float:
        p, q = self.shares
        return float(((p - q) * np.log(p / q)).sum())

    @property
    def weight(self) -> float:
        """N, made smaller where the shares are far apart."""
        p, q = self.shares
        n, m = float(self.first.sum()), float(self.second.sum())
        near = 1 / (1 / n + 1 / m)
        slopes = np.log(p / q) + 1 - q / p, np.log(q / p) + 1 - p / q
        spread = _variance(p, slopes[0]) / n + _variance(q, slopes[1]) / m
        return near if spread <= 0 else min(near, 4 * self.index / spread)


def stability(first: NDArray[Any], second: NDArray[Any]) -> Stability:
    """Of counts (bins,) of two samples, neither of them empty.

    >>> stability(np.array([10, 30]), np.array([20, 60])).psi
    0.0
    >>> moved = stability(np.array([100, 300]), np.array([300, 100]))
    >>> round(moved.psi, 2), [round(end, 2) for end in moved.interval]
    (1.09, [0.82, 1.4])
    """
    counts = np.stack([np.asarray(first, np.float64), np.asarray(second, np.float64)])
    if counts.min() < 0 or not counts.sum(axis=1).all():
        raise ValueError("two samples have counts of 0 and more, and a record each")
    compared = _Compared(*counts[:, counts.sum(axis=0) > 0])
    degrees = len(compared.first) - 1
    if degrees == 0:
        return Stability(0.0, (0.0, 0.0))
    index, weight = compared.index, compared.weight
    if weight <= 0:  # equal shares: nothing differs, and nothing says how far chance spreads but the numbers of records
        weight = 1 / (1 / counts[0].sum() + 1 / counts[1].sum())
    at = weight * index
    low, high = (_off_centre(at, degrees, tail) / weight for tail in (1 - _TAIL, _TAIL))
    return Stability(min(max(index - degrees / weight, low), high), (low, high))


def _off_centre(at: float, degrees: int, tail: float) -> float:
    """How far from the centre a chi-square lies of which the share `tail` is at most `at`; 0 where none does."""
    from scipy.special import chndtr, chndtrinc  # here, so that a clinic is up sooner

    if chndtr(at, degrees, 0.0) <= tail:
        return 0.0
    return float(chndtrinc(at, degrees, tail))


def _variance(shares: NDArray[np.float64], slopes: NDArray[np.float64]) -> float:
    return float((shares * slopes**2).sum() - (shares * slopes).sum() ** 2)
