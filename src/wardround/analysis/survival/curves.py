"""Curves of all groups on the grid that the disclosure rule leaves, with the tests between them."""

from dataclasses import dataclass

import numpy as np

from wardround.analysis.protocol import Total
from wardround.analysis.survival.cumulative_incidence import IncidenceCurve, cumulative_incidence
from wardround.analysis.survival.declared import DeclaredSurvival
from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.kaplan_meier import SurvivalCurve, kaplan_meier
from wardround.analysis.survival.log_rank import LogRank, LogRankSums, log_rank, of_counts
from wardround.analysis.survival.restricted_mean import RestrictedMean, restricted_mean
from wardround.privacy.disclosure import kept_ends
from wardround.values.errors import DataError


@dataclass(frozen=True)
class GroupCurves:
    """Of one group. incidence: one for each cause, where there are several. means: one for each horizon that the grid still
    has."""

    name: str
    counts: EventCounts
    survival: SurvivalCurve
    incidence: tuple[IncidenceCurve, ...]
    means: tuple[RestrictedMean, ...]


@dataclass(frozen=True)
class Curves:
    """groups: in the order of the contract. horizons: those that the grid still has. on_grid, by_hospital: the log-rank test of
    the first cause, over all hospitals' patients together and hospital by hospital; None for one group."""

    groups: tuple[GroupCurves, ...]
    counts: EventCounts
    asked_cells: int
    horizons: tuple[float, ...]
    on_grid: LogRank | None
    by_hospital: LogRank | None
    left_out: int
    error: float


def curves_of(declared: DeclaredSurvival, whole: EventCounts, total: Total, smallest: int) -> Curves:
    """From the total of the exchange `counts`. DataError where no cell may be told from another."""
    leaving = np.concatenate([whole.leaving, whole.entering[:, -1:]], axis=1)
    kept = kept_ends(leaving, smallest, declared.horizon_ends)
    if not kept.any():
        raise DataError(
            "Too few patients for curves: in no cell do enough leave to be shown",
            expected=f"at least {smallest} in each group, leaving within the grid, and none or as many after it",
            hint="take fewer groups, widen analysis.survival.cell, or leave small groups out of the study",
        )
    counts = whole.widened(kept)
    horizons = tuple(horizon for horizon in declared.section.horizons if horizon in counts.grid.ends)
    causes = len(declared.cause_names)
    groups = []
    for number, name in enumerate(declared.group_names):
        own = counts.group(number)
        incidence = tuple(cumulative_incidence(own, cause + 1) for cause in range(causes)) if causes > 1 else ()
        means = tuple(restricted_mean(own, horizon) for horizon in horizons)
        groups.append(GroupCurves(name, own, kaplan_meier(own), incidence, means))
    on_grid = by_hospital = None
    if len(groups) > 1:
        on_grid = log_rank(of_counts(counts.cause_specific(1)))
        sums = LogRankSums(total["observed"].astype(np.float64), total["expected"], total["covariance"])
        by_hospital = log_rank(sums)
    error = max((total.error.get(name, 0.0) for name in ("expected", "covariance")), default=0.0)
    return Curves(tuple(groups), counts, whole.grid.cells, horizons, on_grid, by_hospital, int(total["left_out"]), error)
