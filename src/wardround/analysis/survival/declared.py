"""What follows from a study that asks for survival: the grid, the groups, the causes, the model matrix, and which rows count.

Rows --followed--> times, causes, groups of complete rows        Rows --modelled--> FollowUp of the regression's rows
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.design import Design
from wardround.analysis.survival.partial_likelihood import FollowUp
from wardround.analysis.survival.time_grid import Counts, Floats, TimeGrid
from wardround.study.cell_values import spelled
from wardround.study.contract import ColumnContract
from wardround.study.declaration import Study
from wardround.study.sections.analysis.survival import SurvivalSection
from wardround.values.rows import Rows


@dataclass(frozen=True)
class Followed:
    """Complete rows: times (n,), causes (n,) with 0 for none, groups (n,), strata (n,)."""

    times: Floats
    causes: Counts
    groups: Counts
    strata: Counts


@dataclass(frozen=True)
class DeclaredSurvival:
    """The public part of a study of survival. study: one with [analysis.survival]."""

    study: Study

    @property
    def section(self) -> SurvivalSection:
        assert self.study.analysis is not None and self.study.analysis.survival is not None
        return self.study.analysis.survival

    @cached_property
    def grid(self) -> TimeGrid:
        """The public grid; cells end at the horizons too."""
        section = self.section
        return TimeGrid.every(section.cell, section.until, section.horizons, whole=section.whole_times)

    @property
    def horizon_ends(self) -> NDArray[np.bool_]:
        """(cells,), the ends that are horizons."""
        return np.isin(np.array(self.grid.ends), np.array(self.section.horizons))

    @cached_property
    def design(self) -> Design:
        """With an intercept that no Cox model reads: its columns are shifted to the middle of their range."""
        return Design(self.section.terms, self.study.data)

    @property
    def names(self) -> tuple[str, ...]:
        return self.design.names[1:]

    @property
    def column_bounds(self) -> Floats:
        """(p,), largest absolute value of each column of the matrix."""
        return self.design.bounds[1:]

    @property
    def scales(self) -> Floats:
        """(p,): a reported coefficient is that of the matrix divided by it."""
        return np.array([column.scale for column in self.design.columns])

    @property
    def group_names(self) -> tuple[str, ...]:
        """One for each curve."""
        name = self.section.groups
        return ("all patients",) if name is None else self._codes(name)

    @property
    def strata_names(self) -> tuple[str, ...]:
        """The strata within hospitals, by their codes; none where no column makes any."""
        return () if self.section.strata is None else self._codes(self.section.strata)

    def label_of(self, group: str) -> str:
        """A group's name where it stands alone."""
        return f"{self.section.groups} = {group}" if self.section.groups is not None else group

    @property
    def cause_names(self) -> tuple[str, ...]:
        return tuple(spelled(cause) for cause in self.section.causes) or (self.section.event,)

    @cached_property
    def longest(self) -> float:
        """The largest time that the contract allows."""
        column = self._contract(self.section.time)
        assert column is not None and column.range is not None
        return column.range[1]

    @property
    def time_unit(self) -> str:
        column = self._contract(self.section.time)
        return (column.unit if column is not None else "") or "time"

    @property
    def time_label(self) -> str:
        """Of an axis."""
        return self.section.time if self.section.time == self.time_unit else f"{self.section.time} ({self.time_unit})"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.section.columns

    def followed(self, rows: Rows, complete: NDArray[np.bool_] | None = None) -> Followed:
        """Of the rows that are complete, or of those named."""
        chosen = rows.select(self.complete(rows) if complete is None else complete)
        section = self.section
        nobody = np.zeros(len(chosen), np.int64)
        return Followed(
            chosen[section.time],
            self._causes(chosen[section.event]),
            nobody if section.groups is None else chosen[section.groups].astype(np.int64),
            nobody if section.strata is None else chosen[section.strata].astype(np.int64),
        )

    def complete(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows (n,) have what a curve needs."""
        section = self.section
        needed = (name for name in (section.time, section.event, section.groups, section.strata) if name is not None)
        return rows.complete(*needed)

    def for_model(self, rows: Rows, *, held_out: bool) -> NDArray[np.bool_]:
        """Which rows (n,) make the regression, or judge it."""
        chosen = self.complete(rows) & self.design.complete(rows)
        if not self.section.held_out:
            return chosen
        judging: NDArray[np.bool_] = chosen & ((rows.splits == "test") == held_out)
        return judging

    def modelled(self, rows: Rows, *, held_out: bool = False) -> FollowUp:
        """The rows of the regression, or those that it is judged on; the first cause is the event."""
        chosen = self.for_model(rows, held_out=held_out)
        followed = self.followed(rows, chosen)
        matrix = self.design.matrix(rows.select(chosen))[:, 1:]
        strata = None if self.section.strata is None else followed.strata
        return FollowUp(matrix, followed.times, followed.causes == 1, strata)

    def _causes(self, values: Floats) -> Counts:
        if not self.section.causes:
            return np.where(values == 1, 1, 0).astype(np.int64)
        codes = self._codes(self.section.event)
        numbers = np.zeros(len(codes), np.int64)
        for number, cause in enumerate(self.section.causes, 1):
            numbers[codes.index(spelled(cause))] = number
        causes: Counts = numbers[values.astype(np.int64)]
        return causes

    def _codes(self, name: str) -> tuple[str, ...]:
        column = self._contract(name)
        return ("no", "yes") if column is None else column.codes

    def _contract(self, name: str) -> ColumnContract | None:
        return next((column for column in self.study.data.columns if column.name == name), None)


def clock_of(grid: TimeGrid, gone: Floats) -> Callable[[Floats], Floats]:
    """The share of patients with the event by a time: straight between the ends of cells, where it is `gone` (cells,)."""
    ends, shares = np.r_[0.0, np.array(grid.ends)], np.r_[0.0, gone]
    if ends[1] == 0:
        ends, shares = ends[1:], shares[1:]

    def clock(times: Floats) -> Floats:
        return np.interp(times, ends, shares)

    return clock
