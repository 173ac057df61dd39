"""Whether a hazard ratio is the same early and late: the score test of P. M. Grambsch and T. M. Therneau, 1994.

    residual of an event: x - mean of x in its risk set (Schoenfeld)     U = sum of g(t) residual     g: public

Biometrika 81, 515.

Each hospital gives sums over its own events: U, and the information times g and times g squared. With the information of the
fit itself they give the exact score test of the columns x g(t), without one time of an event.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from wardround.analysis.survival.partial_likelihood import Floats, FollowUp, Ties, risk_sets


@dataclass(frozen=True)
class TrendSums:
    """score: (p,), sum of g residual. once, twice: (p, p), the information times g and times g squared. They add over
    hospitals."""

    score: Floats
    once: Floats
    twice: Floats


def trend_sums(rows: FollowUp, coefficients: Floats, clock: Callable[[Floats], Floats], ties: Ties = "efron") -> TrendSums:
    """One hospital's sums. clock: g, from times (d,) to numbers within -1 to 1."""
    columns = rows.columns.shape[1]
    score, once, twice = np.zeros(columns), np.zeros((columns, columns)), np.zeros((columns, columns))
    for part in rows.parts():
        sets = risk_sets(part, coefficients, ties)
        early = clock(sets.event_times)
        score += sets.score(early)
        once += sets.information(early)
        twice += sets.information(early**2)
    return TrendSums(score, once, twice)


@dataclass(frozen=True)
class ProportionalHazards:
    """Of each column, and of all together: chi-square and the chance of as much where hazards are proportional."""

    statistics: tuple[float, ...]
    p: tuple[float, ...]
    overall: float
    overall_p: float


def proportional_hazards(information: Floats, sums: TrendSums) -> ProportionalHazards:
    """The tests. information: of the fit at the same coefficients, where its score is 0."""
    through = np.linalg.solve(information, sums.once)
    variance = sums.twice - sums.once.T @ through  # of the score of x g(t), with the coefficients of x fitted anew
    singles = sums.score**2 / np.diag(variance)
    # One column alone: its own x g(t) is added, and no other.
    overall = float(sums.score @ np.linalg.pinv(variance, rcond=1e-10, hermitian=True) @ sums.score)
    rank = int(np.linalg.matrix_rank(variance, hermitian=True))
    return ProportionalHazards(
        tuple(map(float, singles)), tuple(map(float, chi2.sf(singles, 1))), overall, float(chi2.sf(overall, rank))
    )
