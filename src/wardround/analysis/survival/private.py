"""Survival with noise: one sum of counts on the public grid, which is all that curves, incidence and the test on the grid need.

    each patient --one cell of group x time x cause--> one 1 --summed, noised--> table --repaired--> counts, none below 0
    counts --Kaplan-Meier, Aalen-Johansen, log-rank--> figures; their variance = that of the patients + that of the noise

A patient is in one cell, so one more or less moves the table by 1. Repairing looks at the noised table alone and costs nothing:
with no count below 0 the curve falls. Cells are not joined, since the noise hides who leaves in one. A curve ends where those
still followed are no more than twice the noise in their number.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from wardround.analysis.noise import privacy_note, spread_of, variances_of
from wardround.analysis.protocol import Ask, Exchange, Noised, Total
from wardround.analysis.result import Result
from wardround.analysis.survival.confidence_band import confidence_band
from wardround.analysis.survival.cumulative_incidence import IncidenceCurve, cumulative_incidence
from wardround.analysis.survival.curve_tables import curve_parts
from wardround.analysis.survival.curves import Curves, GroupCurves
from wardround.analysis.survival.declared import DeclaredSurvival
from wardround.analysis.survival.event_counts import EventCounts, event_counts
from wardround.analysis.survival.kaplan_meier import SurvivalCurve, kaplan_meier
from wardround.analysis.survival.log_rank import LogRank, LogRankSums, log_rank, of_counts
from wardround.analysis.survival.restricted_mean import RestrictedMean, restricted_mean
from wardround.analysis.survival.time_grid import Floats
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.study.declaration import Study
from wardround.values.errors import DataError
from wardround.values.rows import Rows

COUNTS = "counts"
_LEFT = 2.0
"""A curve goes on while those still followed are more than so many standard deviations of the noise in their number."""


@dataclass(frozen=True)
class PrivateSurvival:
    """The curves of a study with [analysis.survival] and [privacy]."""

    declared: DeclaredSurvival

    @property
    def _shape(self) -> tuple[int, int]:
        """Groups; cells times what may happen in one, and those beyond."""
        declared = self.declared
        return len(declared.group_names), declared.grid.cells * (len(declared.cause_names) + 1) + 1

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return (Exchange(COUNTS, {"table": Quantity(self._shape)}, noised=Noised({"table": 1.0})),)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.declared.columns

    def of_each(self, rows: Rows, ask: Ask) -> Arrays:  # noqa: ARG002  (there is one sum)
        """A 1 in the cell of each patient; nothing of one without time, event or group."""
        declared, (groups, size) = self.declared, self._shape
        there = np.flatnonzero(declared.complete(rows))
        followed = declared.followed(rows)
        cells = declared.grid.cell_of(followed.times)
        places = np.minimum(cells * (len(declared.cause_names) + 1) + followed.causes, size - 1)
        table = np.zeros((len(rows), groups, size))
        table[there, followed.groups, places] = 1.0
        return {"table": table}

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:  # noqa: ARG002
        """As `event_counts` gives them, without the causes of those beyond."""
        declared = self.declared
        followed = declared.followed(rows)
        shape = len(declared.group_names), len(declared.cause_names)
        counts = event_counts(followed.times, followed.causes, followed.groups, declared.grid, shape)
        return {"table": counts.reshape(len(counts), -1)[:, : self._shape[1]]}

    def coordinate(self) -> Generator[Ask, Total, Result]:
        total = yield Ask(COUNTS)
        table, noise = total["table"].astype(np.float64), total.noise.get("table", 0.0)
        counts = self._counts(table)
        if counts.table.sum() <= _LEFT * noise * np.sqrt(table.size):
            raise DataError(
                "There are no more patients than the noise makes of none",
                expected="a time, an event and a group of more patients",
                hint="ask for a larger privacy.epsilon, fewer groups, or wider cells (analysis.survival.cell)",
            )
        curves = self._curves(counts, table, noise)
        assert self.declared.study.analysis is not None
        parts = curve_parts(self.declared, curves, self.declared.study.analysis.smallest_cell)
        notes = (privacy_note(self.declared.study), *_notes(noise, table.shape[1]), *parts.notes)
        figures = {**parts.figures, "noise": noise}
        return Result("survival", self.declared.study.question.title, parts.tables, parts.charts, figures, notes)

    def _counts(self, table: Floats) -> EventCounts:
        """Whole numbers, none below 0."""
        causes, cells = len(self.declared.cause_names), self.declared.grid.cells
        whole = np.maximum(np.rint(table), 0).astype(np.int64)
        counts = np.zeros((len(table), cells + 1, causes + 1), np.int64)
        counts[:, :cells] = whole[:, :-1].reshape(len(table), cells, causes + 1)
        counts[:, cells, 0] = whole[:, -1]
        return EventCounts(self.declared.grid, counts)

    def _curves(self, counts: EventCounts, table: Floats, noise: float) -> Curves:
        groups = tuple(self._group(counts, table, noise, number) for number in range(len(table)))
        return Curves(
            groups,
            counts,
            counts.grid.cells,
            self.declared.section.horizons,
            None if len(table) == 1 else self._test(counts, table, noise),
            None,
            0,
            0.0,
        )

    def _group(self, counts: EventCounts, table: Floats, noise: float, number: int) -> GroupCurves:
        declared, own = self.declared, counts.group(number)
        causes = len(declared.cause_names) if len(declared.cause_names) > 1 else 0
        horizons = declared.section.horizons

        def figures(drawn: Floats) -> Floats:
            drawn_counts = self._counts(drawn[None])
            curves = [kaplan_meier(drawn_counts).survival]
            curves += [cumulative_incidence(drawn_counts, cause + 1).incidence for cause in range(causes)]
            return np.concatenate([*curves, [restricted_mean(drawn_counts, horizon).mean for horizon in horizons]])

        added = variances_of(figures, table[number], noise)
        cells, last = own.grid.cells, self._last(own, noise)
        incidence = tuple(
            _incidence(cumulative_incidence(own, cause + 1), added[cells * (cause + 1) : cells * (cause + 2)], last)
            for cause in range(causes)
        )
        of_means = added[cells * (causes + 1) :]
        means = tuple(
            _mean(restricted_mean(own, horizon), float(more), followed=horizon in own.grid.ends[:last])
            for horizon, more in zip(horizons, of_means, strict=True)
        )
        return GroupCurves(declared.group_names[number], own, _survival(kaplan_meier(own), added[:cells], last), incidence, means)

    def _last(self, own: EventCounts, noise: float) -> int:
        """How many cells a curve has. Those entering a cell are all who leave in it or later: one noise for each of these
        counts."""
        cells, kinds = own.grid.cells, len(self.declared.cause_names) + 1
        later = np.arange(cells, 0, -1) * kinds + 1
        enough = own.entering[0, :-1] > _LEFT * noise * np.sqrt(later)
        return cells if enough.all() else int(np.argmin(enough))

    def _test(self, counts: EventCounts, table: Floats, noise: float) -> LogRank:
        def differences(drawn: Floats) -> Floats:
            sums = of_counts(self._counts(drawn.reshape(table.shape)).cause_specific(1))
            return sums.observed - sums.expected

        sums = of_counts(counts.cause_specific(1))
        drawn = spread_of(differences, table, noise)
        return log_rank(LogRankSums(sums.observed, sums.expected, sums.covariance + np.cov(drawn.T)))


def build(study: Study) -> PrivateSurvival:
    """The curves that a checked study with [privacy] asks for."""
    return PrivateSurvival(DeclaredSurvival(study))


def _band(curve: Floats, variance: Floats, last: int) -> tuple[Floats, Floats, Floats, Floats]:
    """The curve, its variance and its 95 % band, up to `last` cells."""
    low, high = confidence_band(curve, variance)
    kept = np.arange(len(curve)) < last
    curve, variance, low, high = (np.where(kept, line, np.nan) for line in (curve, variance, low, high))
    return curve, variance, low, high


def _survival(curve: SurvivalCurve, added: Floats, last: int) -> SurvivalCurve:
    """With the noise in its variance and band."""
    survival, variance, low, high = _band(curve.survival, curve.variance + added, last)
    return replace(curve, survival=survival, variance=variance, low=low, high=high)


def _incidence(curve: IncidenceCurve, added: Floats, last: int) -> IncidenceCurve:
    incidence, variance, low, high = _band(curve.incidence, curve.variance + added, last)
    return replace(curve, incidence=incidence, variance=variance, low=low, high=high)


def _mean(mean: RestrictedMean, added: float, *, followed: bool) -> RestrictedMean:
    if not followed:
        return replace(mean, mean=np.nan, variance=np.nan)
    return replace(mean, variance=mean.variance + added)


def _notes(noise: float, numbers: int) -> tuple[str, ...]:
    return (
        f"Every count has noise of standard deviation {noise:.3g}, and counts below 0 are 0; that of a group's patients, the sum "
        f"of {numbers} counts, is {noise * np.sqrt(numbers):.3g}. Intervals and tests hold the noise. A curve ends where those "
        "still followed are hardly more than it. Rows without a time, event or group are left out, and not counted.",
    )
