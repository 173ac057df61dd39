"""Every sum that a study of survival may ask for: what a hospital gives, how large it can be, and how often it is asked.

    counts       the grid's counts by group and cause; log-rank by hospital; counts and column sums of the regression's rows
    once likelihood   log-likelihood, score, information, at the order's coefficients            [baseline by hospital]
    exchanges risk_sets    sums of w and w x by cell of leaving, at the order's coefficients          [common baseline]
    exchanges moments      second moments, weighted by the order's factors                            [common baseline]
    exchanges checks       exposure by cell; Schoenfeld sums
    once accuracy     table of predictor by time, pairs within hospitals                                                  once

Orders that speak of the grid bring the total of those leaving in each of its cells: the site widens it by the disclosure rule
itself.
"""

import math
from dataclasses import dataclass

import numpy as np

from wardround.analysis.protocol import Ask, Exchange
from wardround.analysis.reach import Reach
from wardround.analysis.survival.baseline_hazard import exposure
from wardround.analysis.survival.concordance import pairs_of_rows
from wardround.analysis.survival.declared import DeclaredSurvival, clock_of
from wardround.analysis.survival.event_counts import event_counts
from wardround.analysis.survival.log_rank import LogRankSums, of_rows
from wardround.analysis.survival.partial_likelihood import FollowUp, likelihood_sums, upper
from wardround.analysis.survival.proportional_hazards import trend_sums
from wardround.analysis.survival.risk_set_sums import FARTHEST, leaving_sums, weighted_moments
from wardround.analysis.survival.score_table import MOST_BINS, bin_of, bins_for, score_table
from wardround.analysis.survival.strata_baselines import strata_exposures, strata_grid
from wardround.analysis.survival.time_grid import Counts, Floats, TimeGrid
from wardround.analysis.survival.trend_on_grid import clock_of_cells, counts_on, event_trend
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.privacy.disclosure import kept_ends
from wardround.values.rows import Rows
from wardround.values.tree import Shapes, Tree

LARGEST_CASE = 1e4
"""Most that one event counts for where censored patients are made up for by others."""
_SPREAD = 200.0
"""A predictor that differs by more between two patients is no fit: a step that leads there is halved."""


@dataclass(frozen=True)
class Exchanges:
    """declared: what follows from the study."""

    declared: DeclaredSurvival

    @property
    def size(self) -> int:
        """Columns of the regression."""
        return len(self.declared.names)

    @property
    def stated(self) -> tuple[Exchange, ...]:
        """In the order in which they are asked."""
        if not self.size:
            return (self._counts(),)
        if self.declared.section.baseline == "common":
            return (self._counts(), self._risk_sets(), self._moments(), self._checks(), self._accuracy())
        return (self._counts(), self._likelihood(), self._checks(), self._accuracy())

    @property
    def _largest(self) -> int:
        assert self.declared.study.analysis is not None
        return self.declared.study.analysis.largest_hospital

    @property
    def times(self) -> int:
        assert self.declared.study.analysis is not None
        return self.declared.study.analysis.exchanges

    @property
    def smallest(self) -> int:
        assert self.declared.study.analysis is not None
        return self.declared.study.analysis.smallest_cell

    @property
    def reach(self) -> Reach:
        """How far a point may lie that is asked for."""
        return Reach(self.declared.column_bounds, self.declared.section.reach)

    @property
    def _strata(self) -> int:
        """How many strata have a baseline of their own that is told."""
        return len(self.declared.strata_names) if self.declared.section.strata_baselines else 0

    @property
    def _one_cell(self) -> TimeGrid:
        return TimeGrid(self.declared.grid.ends[-1:], self.declared.grid.whole)

    def _grid_of(self, model: FollowUp, leaving: Floats) -> TimeGrid:
        """The grid that an order asks for; one cell where its totals are not even those of this hospital, and so no totals."""
        own = np.bincount(self.declared.grid.cell_of(model.times), minlength=len(leaving))
        return self.widened(leaving) if (leaving >= own - 0.5).all() else self._one_cell

    @property
    def _largest_column(self) -> float:
        return float(self.declared.column_bounds.max(initial=1.0))

    @property
    def _triangle(self) -> int:
        return self.size * (self.size + 1) // 2

    def widened(self, leaving: Floats | Counts) -> TimeGrid:
        """The grid that the rule leaves, from the total (cells + 1,) of those leaving; the last cell alone where it leaves
        none."""
        kept = kept_ends(np.rint(np.asarray(leaving)).astype(np.int64)[None], self.smallest, self.declared.horizon_ends)
        return self.declared.grid.merged(kept) if kept.any() else self._one_cell

    # What each asks for.

    def _counts(self) -> Exchange:
        declared, cells = self.declared, self.declared.grid.cells
        groups, bound = len(declared.group_names), float(self._largest)
        quantities = {"table": Quantity((groups, cells + 1, len(declared.cause_names) + 1)), "left_out": Quantity(())}
        if groups > 1:
            quantities |= {
                "observed": Quantity((groups,)),
                "expected": Quantity((groups,), bound),
                "covariance": Quantity((groups, groups), bound),
            }
        if self.size:
            quantities |= {
                "fitted": Quantity((cells + 1, 2)),
                "fitted_events": Quantity(()),
                "fitted_left_out": Quantity(()),
                "column_sums": Quantity((self.size,), bound * self._largest_column),
            }
        if self._strata:
            quantities["strata"] = Quantity((self._strata, cells + 1, 2))
        return Exchange("counts", quantities)

    def _likelihood(self) -> Exchange:
        bound, column = float(self._largest), self._largest_column
        quantities = {
            "log_likelihood": Quantity((), bound * (math.log(bound + 1) + _SPREAD)),
            "score": Quantity((self.size,), 2 * bound * column),
            "information": Quantity((self._triangle,), bound * column**2),
        }
        return Exchange("likelihood", quantities, {"coefficients": (self.size,)}, self.times)

    def _risk_sets(self) -> Exchange:
        cells, bound = self.declared.grid.cells, self._largest * math.exp(FARTHEST)
        quantities = {
            "weights": Quantity((cells + 1,), bound),
            "columns": Quantity((cells + 1, self.size), bound * self._largest_column),
            "events": Quantity((cells,)),
            "event_columns": Quantity((self.size,), self._largest * self._largest_column),
        }
        return Exchange("risk_sets", quantities, self._order(), self.times)

    def _moments(self) -> Exchange:
        everybody = float(self._largest) * 1000  # at the least of hospitals a sum over all of them
        quantities = {"moments": Quantity((self._triangle,), everybody * self._largest_column**2)}
        return Exchange("moments", quantities, self._order(factors=(self.declared.grid.cells,)), self.times)

    def _checks(self) -> Exchange:
        cells, bound, column = self.declared.grid.cells, float(self._largest), self._largest_column
        followed = float(np.array(self.declared.grid.ends)[-1]) + 1
        quantities = {"exposure": Quantity((cells,), bound * math.exp(FARTHEST) * followed), "far": Quantity(())}
        order = self._order()
        if self.tests_trend_on_grid:
            order = self._order(events=(cells,))
            quantities["trend_events"] = Quantity((self.size,), bound * column)
        if self.declared.section.baseline == "by_hospital":
            order = self._order(clock=(cells,))
            if self._strata:
                order = {**order, "strata_leaving": (self._strata, cells + 1)}
                quantities["strata_exposure"] = Quantity((cells, self._strata), bound * math.exp(FARTHEST) * followed)
            quantities |= {
                "trend_score": Quantity((self.size,), 2 * bound * column),
                "trend_once": Quantity((self._triangle,), bound * column**2),
                "trend_twice": Quantity((self._triangle,), bound * column**2),
            }
        return Exchange("checks", quantities, order)

    @property
    def tests_trend_on_grid(self) -> bool:
        """Whether hazards are tested for being proportional with one baseline; a penalty leaves residuals that do not add up to
        0."""
        return self.declared.section.baseline == "common" and self.declared.section.ridge == 0

    def clock_of(self, leaving: Floats, events: Floats) -> Floats:
        """g of the test of proportional hazards, on the widened grid, from the totals by cell of the public one."""
        totals = (np.rint(np.asarray(total)).astype(np.int64) for total in (leaving, events))
        return clock_of_cells(counts_on(self.widened(leaving), self.declared.grid.ends, *totals), self.smallest)

    @property
    def fine_horizons(self) -> tuple[float, ...]:
        """Horizons at which scores are counted apart from the table: where its times are so fine that its scores are not."""
        return () if bins_for(self.declared.grid) == MOST_BINS else self.declared.section.horizons

    def _accuracy(self) -> Exchange:
        quantities = {
            "table": Quantity((bins_for(self.declared.grid), self.declared.grid.cells + 1, 2)),
            "pairs": Quantity((3,)),
        }
        if horizons := len(self.fine_horizons):
            quantities |= {
                "cases": Quantity((horizons, MOST_BINS), float(self._largest) * LARGEST_CASE),
                "controls": Quantity((horizons, MOST_BINS)),
                "scores": Quantity((MOST_BINS,)),
            }
            return Exchange("accuracy", quantities, self._order(case_weights=(self.declared.grid.cells,)))
        return Exchange("accuracy", quantities, self._order())

    def _order(self, **more: tuple[int, ...]) -> Shapes:
        """The point that is asked about, and what the grid's rule goes by."""
        return {"coefficients": (self.size,), "centre": (1,), "leaving": (self.declared.grid.cells + 1,), **more}

    # What a hospital gives.

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:
        """At the site. Numbers that cannot be computed, or are asked beyond reach, are NaN, which are told as clipped."""
        if not self._may_be_asked(ask.order):
            stated = next(exchange for exchange in self.stated if exchange.label == ask.label)
            return {name: np.full(quantity.shape, np.nan) for name, quantity in stated.quantities.items()}
        with np.errstate(all="ignore"):
            match ask.label:
                case "counts":
                    return self._own_counts(rows)
                case "likelihood":
                    return self._own_likelihood(rows, ask.order["coefficients"])
                case "risk_sets":
                    return self._own_risk_sets(rows, ask)
                case "moments":
                    return self._own_moments(rows, ask)
                case "checks":
                    return self._own_checks(rows, ask)
                case _:
                    return self._own_accuracy(rows, ask)

    def _may_be_asked(self, order: Tree) -> bool:
        """Whether an order's point lies within reach, and no risk set is taken from another. It follows from the order alone, and
        not from the rows."""
        if "factors" in order and order["factors"].min(initial=0.0) < 0:
            return False
        return "coefficients" not in order or self.reach.holds(order["coefficients"])

    def _own_counts(self, rows: Rows) -> Arrays:
        declared = self.declared
        complete = declared.complete(rows)
        followed = declared.followed(rows, complete)
        shape = (len(declared.group_names), len(declared.cause_names))
        arrays: dict[str, np.ndarray] = {
            "table": event_counts(followed.times, followed.causes, followed.groups, declared.grid, shape),
            "left_out": np.array(int((~complete).sum())),
        }
        if shape[0] > 1:
            sums = LogRankSums.none(shape[0])
            for stratum in np.unique(followed.strata):
                own = followed.strata == stratum
                sums += of_rows(followed.times[own], followed.causes[own] == 1, followed.groups[own], shape[0])
            arrays |= {
                "observed": np.rint(sums.observed).astype(np.int64),
                "expected": sums.expected,
                "covariance": sums.covariance,
            }
        if self.size:
            model = declared.modelled(rows)
            alone = np.zeros(len(model.times), np.int64)
            arrays |= {
                "fitted": event_counts(model.times, model.events.astype(np.int64), alone, declared.grid, (1, 1))[0],
                "fitted_events": np.array(int(model.events.sum())),
                "fitted_left_out": np.array(int((complete & ~declared.design.complete(rows)).sum())),
                "column_sums": model.columns.sum(axis=0),
            }
            if self._strata:
                assert model.strata is not None
                shape = (self._strata, 1)
                events = model.events.astype(np.int64)
                arrays["strata"] = event_counts(model.times, events, model.strata, declared.grid, shape)
        return arrays

    def _own_likelihood(self, rows: Rows, coefficients: Floats) -> Arrays:
        sums = likelihood_sums(self.declared.modelled(rows), coefficients, self.declared.section.ties)
        return {
            "log_likelihood": np.array(sums.log_likelihood),
            "score": sums.score,
            "information": upper(sums.information),
        }

    def _own_risk_sets(self, rows: Rows, ask: Ask) -> Arrays:
        model = self.declared.modelled(rows)
        grid = self._grid_of(model, ask.order["leaving"])
        weights, columns = leaving_sums(model, ask.order["coefficients"], float(ask.order["centre"][0]), grid)
        cells = grid.cell_of(model.times)
        inside = model.events & (cells < grid.cells)
        return {
            "weights": self._padded(weights),
            "columns": self._padded(columns),
            "events": self._padded(np.bincount(cells[inside], minlength=grid.cells).astype(np.int64), beyond=False),
            "event_columns": model.columns[inside].sum(axis=0),
        }

    def _own_moments(self, rows: Rows, ask: Ask) -> Arrays:
        model = self.declared.modelled(rows)
        grid = self._grid_of(model, ask.order["leaving"])
        factors = ask.order["factors"][: grid.cells]
        moments = weighted_moments(model, ask.order["coefficients"], float(ask.order["centre"][0]), grid, factors)
        return {"moments": upper(moments)}

    def _own_checks(self, rows: Rows, ask: Ask) -> Arrays:
        model = self.declared.modelled(rows)
        grid = self._grid_of(model, ask.order["leaving"])
        coefficients = ask.order["coefficients"]
        predictor = model.columns @ coefficients - ask.order["centre"][0]
        far = np.abs(predictor) > FARTHEST
        predictor = np.clip(predictor, -FARTHEST, FARTHEST)
        arrays: dict[str, np.ndarray] = {
            "exposure": self._padded(exposure(model.times, predictor, grid), beyond=False),
            "far": np.array(int(far.sum())),
        }
        if self.tests_trend_on_grid:
            arrays["trend_events"] = self._own_trend(model, grid, ask)
        if self.declared.section.baseline == "by_hospital":
            clock = clock_of(grid, ask.order["clock"][: grid.cells])
            trend = trend_sums(model, coefficients, clock, self.declared.section.ties)
            arrays |= {
                "trend_score": trend.score,
                "trend_once": upper(trend.once),
                "trend_twice": upper(trend.twice),
            }
        if self._strata:
            arrays["strata_exposure"] = self._own_strata(model, predictor, ask.order["strata_leaving"])
        return arrays

    def _own_strata(self, model: FollowUp, predictor: Floats, leaving: Floats) -> Floats:
        """0 where the order's totals are not even those of this hospital, or allow no cell."""
        assert model.strata is not None
        nobody = np.zeros(len(model.times), np.int64)
        own = event_counts(model.times, nobody, model.strata, self.declared.grid, (self._strata, 1)).sum(axis=2)
        grid = self.strata_grid(leaving) if (leaving >= own - 0.5).all() else None
        if grid is None:
            return np.zeros((self.declared.grid.cells, self._strata))
        return self._padded(strata_exposures(model.times, predictor, model.strata, self._strata, grid), beyond=False)

    def strata_grid(self, leaving: Floats | Counts) -> TimeGrid | None:
        """The grid that the rule leaves to baselines of strata."""
        return strata_grid(self.declared.grid, leaving, self.smallest, self.declared.horizon_ends)

    def _own_trend(self, model: FollowUp, grid: TimeGrid, ask: Ask) -> Floats:
        """0 where the order's totals are not even those of this hospital."""
        leaving, events = ask.order["leaving"], ask.order["events"]
        cells = self.declared.grid.cell_of(model.times)
        own = np.bincount(cells[model.events], minlength=self.declared.grid.cells + 1)[:-1]
        sound = (events >= own - 0.5).all() and (events <= leaving[:-1]).all() and grid != self._one_cell
        return event_trend(model, grid, self.clock_of(leaving, events)) if sound else np.zeros(self.size)

    def _own_accuracy(self, rows: Rows, ask: Ask) -> Arrays:
        model = self.declared.modelled(rows, held_out=True)
        grid = self.widened(ask.order["leaving"])
        predictor = model.columns @ ask.order["coefficients"] - ask.order["centre"][0]
        bins = bins_for(self.declared.grid)
        table = np.zeros((bins, self.declared.grid.cells + 1, 2), np.int64)
        own = score_table(predictor, model.times, model.events, grid, bins)
        table[:, : grid.cells + 1] = own
        pairs = pairs_of_rows(predictor, model.times, model.events)
        arrays = {"table": table, "pairs": np.array([pairs.concordant, pairs.discordant, pairs.tied])}
        return {**arrays, **self._own_scores(predictor, model, grid, ask)} if self.fine_horizons else arrays

    def _own_scores(self, predictor: Floats, model: FollowUp, grid: TimeGrid, ask: Ask) -> Arrays:
        """Who had the event by each horizon, with the order's weight of the cell, and who was followed beyond it."""
        cells, bins = grid.cell_of(model.times), bin_of(predictor, MOST_BINS)
        weights = np.append(np.clip(ask.order["case_weights"][: grid.cells], 0.0, LARGEST_CASE), 0.0)
        cases, controls = [], []
        for horizon in self.fine_horizons:
            until = grid.cells_until(horizon)
            had = model.events & (cells < until)
            cases.append(np.bincount(bins[had], weights[cells[had]], MOST_BINS).astype(np.float64))
            controls.append(np.bincount(bins[cells >= until], minlength=MOST_BINS))
        return {"cases": np.stack(cases), "controls": np.stack(controls), "scores": np.bincount(bins, minlength=MOST_BINS)}

    def _padded(self, array: np.ndarray, *, beyond: bool = True) -> np.ndarray:
        """As many cells as the grid of the study has; those that were joined with others are 0 at the end."""
        cells = self.declared.grid.cells + (1 if beyond else 0)
        padded = np.zeros((cells, *array.shape[1:]), array.dtype)
        padded[: len(array)] = array
        return padded
