"""Does the effect of an arm depend on a column? Tests of treatment by column, from the regressions of the arms.

The coefficient of treatment times column is the difference of the two arms' coefficients. Wald's tests with the HC2 sandwich;
S. Holm, Scand. J. Statist. 6 (1979) 65, over all columns and arms, since whoever looks at many finds one.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from wardround.analysis.effects.averages import ArmLines
from wardround.analysis.effects.rows import Floats


@dataclass(frozen=True)
class Interaction:
    """arm, column: numbers. difference: of the effect, per unit of the design's column. adjusted: the p-value after Holm."""

    arm: int
    column: int
    difference: float
    error: float
    p_value: float
    adjusted: float


@dataclass(frozen=True)
class JointTest:
    """All interactions of one arm at once: chi-square on `freedom` degrees. adjusted: after Holm over the arms."""

    arm: int
    chi_square: float
    freedom: int
    p_value: float
    adjusted: float


def interactions(lines: ArmLines, covariances: Floats) -> tuple[Interaction, ...]:
    """Of every arm and column, in their order. covariances (a, p, p): of the arms' coefficients."""
    tested = [(arm, int(column)) for arm in range(1, len(lines.lines)) for column in np.flatnonzero(lines.used)[1:]]
    tests = []
    for arm, column in tested:
        difference = float(lines.lines[arm, column] - lines.lines[0, column])
        error = math.sqrt(float(covariances[arm, column, column] + covariances[0, column, column]))
        p_value = math.erfc(abs(difference) / error / math.sqrt(2)) if error > 0 else math.nan
        tests.append((arm, column, difference, error, p_value))
    adjusted = holm([test[4] for test in tests])
    return tuple(Interaction(*test, value) for test, value in zip(tests, adjusted, strict=True))


def joint_tests(lines: ArmLines, covariances: Floats) -> tuple[JointTest, ...]:
    """One for each arm but the control."""
    columns = np.flatnonzero(lines.used)[1:]
    within = np.ix_(columns, columns)
    tests = []
    for arm in range(1, len(lines.lines)):
        differences = (lines.lines[arm] - lines.lines[0])[columns]
        covariance = (covariances[arm] + covariances[0])[within]
        chi_square = float(differences @ np.linalg.pinv(covariance, hermitian=True) @ differences) if len(columns) else 0.0
        tests.append((arm, chi_square, len(columns), float(stats.chi2.sf(chi_square, len(columns)))))
    adjusted = holm([test[3] for test in tests])
    return tuple(JointTest(*test, value) for test, value in zip(tests, adjusted, strict=True))


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjusted p-values, in the same order; NaN stays NaN and is not counted.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted((value, at) for at, value in enumerate(p_values) if not math.isnan(value))
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, (value, at) in enumerate(order):
        largest = max(largest, min(1.0, value * (len(order) - rank)))
        adjusted[at] = largest
    return adjusted
