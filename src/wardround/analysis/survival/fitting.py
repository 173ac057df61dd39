"""The Cox regression of a study, exchange by exchange: by hospital with one sum a step, with a common baseline two."""

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from wardround.analysis.carrying import require_unclipped
from wardround.analysis.protocol import Ask, Total
from wardround.analysis.survival.baseline_hazard import BaselineHazard, baseline_hazard
from wardround.analysis.survival.cox_fit import CoxFit, ascent
from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.exchanges import Exchanges
from wardround.analysis.survival.kaplan_meier import kaplan_meier
from wardround.analysis.survival.partial_likelihood import LikelihoodSums, symmetric
from wardround.analysis.survival.proportional_hazards import ProportionalHazards, TrendSums, proportional_hazards
from wardround.analysis.survival.risk_set_sums import FARTHEST, CellRiskSets, cell_risk_sets
from wardround.analysis.survival.strata_baselines import StratumBaseline, strata_baselines
from wardround.analysis.survival.time_grid import Floats, TimeGrid
from wardround.analysis.survival.trend_on_grid import trend_of_cells
from wardround.values.errors import DataError
from wardround.values.tree import Tree


@dataclass(frozen=True)
class FittedModel:
    """fit: in the unit of the matrix. counts: of the regression's patients, on the grid that the rule left. events: that the
    likelihood knows of, with a common baseline those on the grid. centre: the mean predictor. proportional: None with a penalty,
    and where all events have one place in time. far: patients whose predictor was cut in the baseline. order: of what is asked
    about the fit. strata: baselines of the study's strata; None where it asks for none or the rule allows none.
    """

    fit: CoxFit
    counts: EventCounts
    events: int
    left_out: int
    centre: float
    baseline: BaselineHazard
    proportional: ProportionalHazards | None
    far: int
    order: Tree
    strata: tuple[StratumBaseline, ...] | None = None


def fitted(exchanges: Exchanges, counts: Total) -> Generator[Ask, Total, FittedModel]:
    """Asks for sums until the regression is made. counts: the total of the first exchange."""
    declared = exchanges.declared
    whole = EventCounts(declared.grid, counts["fitted"][None])
    leaving = np.append(whole.leaving[0], whole.entering[0, -1])
    grid = exchanges.widened(leaving)
    # What lies beyond the last end that is kept is followed until there, and no longer.
    narrowed = whole.widened(np.isin(np.array(declared.grid.ends), grid.ends))
    means = counts["column_sums"] / max(int(whole.patients[0]), 1)
    order: Tree = {"leaving": leaving.astype(np.float64)}
    last: _LastRiskSets | None = None
    if declared.section.baseline == "common":
        fit, last = yield from _with_common_baseline(exchanges, grid, means, order)
    else:
        fit = yield from _by_hospital(exchanges)
    centre = float(means @ fit.coefficients)
    order |= {"coefficients": fit.coefficients, "centre": np.array([centre])}
    asked = order
    if declared.section.baseline == "by_hospital":
        clock = np.nan_to_num(1 - kaplan_meier(narrowed).survival, nan=1.0)
        asked = {**order, "clock": np.append(clock, np.zeros(declared.grid.cells - grid.cells))}
        if declared.section.strata_baselines:
            by_stratum = EventCounts(declared.grid, counts["strata"])
            strata_leaving = np.concatenate([by_stratum.leaving, by_stratum.entering[:, -1:]], axis=1)
            asked = {**asked, "strata_leaving": strata_leaving.astype(np.float64)}
    elif exchanges.tests_trend_on_grid:
        asked = {**order, "events": counts["fitted"][:-1, 1].astype(np.float64)}
    checks = yield Ask("checks", asked)
    require_unclipped(checks)
    far = int(checks["far"])
    if far and declared.section.baseline == "common":
        raise DataError(
            "Patients differ so much in the hazard that the model gives them that the sums do not hold them all",
            expected=f"predictors within {FARTHEST:g} of their mean",
            found=f"{far} farther away",
            hint="set analysis.survival.ridge, or take a column with extreme values as its logarithm",
        )
    baseline = baseline_hazard(grid, narrowed.events()[0], checks["exposure"][: grid.cells])
    proportional = None
    if declared.section.baseline == "by_hospital" and declared.section.ridge == 0:
        once, twice = (symmetric(checks[f"trend_{name}"], exchanges.size) for name in ("once", "twice"))
        proportional = proportional_hazards(fit.information, TrendSums(checks["trend_score"], once, twice))
    elif last is not None and exchanges.tests_trend_on_grid:
        proportional = trend_of_cells(
            fit.information,
            last.sets,
            exchanges.clock_of(asked["leaving"], asked["events"]),
            last.event_columns,
            checks["trend_events"],
        )
    strata = None
    if declared.section.strata_baselines and (own_grid := exchanges.strata_grid(asked["strata_leaving"])) is not None:
        exposures = checks["strata_exposure"][: own_grid.cells]
        strata = strata_baselines(declared.strata_names, EventCounts(declared.grid, counts["strata"]), own_grid, exposures)
    by_hospital = declared.section.baseline == "by_hospital"
    events = int(counts["fitted_events"]) if by_hospital else int(narrowed.events().sum())
    left_out = int(counts["fitted_left_out"])
    return FittedModel(fit, narrowed, events, left_out, centre, baseline, proportional, far, order, strata)


def _penalty(exchanges: Exchanges) -> Floats:
    return np.full(exchanges.size, exchanges.declared.section.ridge)


def _by_hospital(exchanges: Exchanges) -> Generator[Ask, Total, CoxFit]:
    declared = exchanges.declared
    steps = ascent(declared.names, _penalty(exchanges), exchanges.times, exchanges.reach)
    point, first = next(steps), True
    while True:
        total = yield Ask("likelihood", {"coefficients": point})
        if first:
            require_unclipped(total)
        # Beyond its bound a likelihood is one that no step should lead to: the step is halved.
        reached = float(total["log_likelihood"]) if total.clipped == 0 else -np.inf
        first, error = False, max((total.error.get(name, 0.0) for name in ("score", "information")), default=0.0)
        sums = LikelihoodSums(reached, total["score"], symmetric(total["information"], exchanges.size), error)
        try:
            point = steps.send(sums)
        except StopIteration as ended:
            fit: CoxFit = ended.value
            return fit


@dataclass(frozen=True)
class _LastRiskSets:
    """At the last point that was asked for. event_columns: (p,), the sum of x over all events on the grid."""

    sets: CellRiskSets
    event_columns: Floats


def _with_common_baseline(
    exchanges: Exchanges, grid: TimeGrid, means: Floats, order: Tree
) -> Generator[Ask, Total, tuple[CoxFit, _LastRiskSets]]:
    """Each step asks for the risk sets at a point, and with them known for the second moments there."""
    declared, cells, asked = exchanges.declared, grid.cells, 0
    steps = ascent(declared.names, _penalty(exchanges), exchanges.times, exchanges.reach)
    point = next(steps)
    while True:
        centre = float(means @ point)
        here: Tree = {**order, "coefficients": point, "centre": np.array([centre])}
        total = yield Ask("risk_sets", here)
        require_unclipped(total)
        weights, columns = (_to_cells(total[name], cells) for name in ("weights", "columns"))
        sets = cell_risk_sets(weights, columns, total["events"][:cells], grid)
        factors = np.append(sets.factors, np.zeros(declared.grid.cells - cells))
        moments = yield Ask("moments", {**here, "factors": factors})
        require_unclipped(moments)
        asked += 2
        sums = sets.likelihood(point, centre, total["event_columns"], symmetric(moments["moments"], exchanges.size))
        rounding = total.error.get("columns", 0.0) * float(sets.factors.sum()) + total.error.get("event_columns", 0.0)
        try:
            point = steps.send(replace(sums, error=rounding))
        except StopIteration as ended:
            fit: CoxFit = replace(ended.value, exchanges=asked)
            return fit, _LastRiskSets(sets, total["event_columns"])


def _to_cells(array: Floats, cells: int) -> Floats:
    """The cells of the widened grid and, as the last one, all beyond."""
    return np.concatenate([array[:cells], array[cells:].sum(axis=0, keepdims=True)])
