"""A description with noise: one sum of counts and moments, each with noise, and tables whose intervals hold it.

    each patient --rows 1, codes 1, bins 1, (1, z, z^2) of each number--> one vector, at most 1 long --summed, noised--> totals
    totals --differences, shares, moments, quantiles--> figures with intervals

The vector has a block for the rows and one or two for each column and each cross-table. In a block a patient's part is at most 1
long (a 1 in one cell; of a number (1, z, z^2) / sqrt(3) with |z| <= 1), and in the vector a block is multiplied by the root of
its share of the whole: noise goes where more is asked. A number has three shares, two of them for its moments; all else has one.

Whole numbers are shown. Counts below the smallest cell are "< 5", as without noise: nobody is protected by it here, and a reader
is not led to trust a count that noise may have made.
"""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wardround.analysis.describe.build import Description
from wardround.analysis.describe.private_tables import PrivateFigures, private_charts, private_tables
from wardround.analysis.describe.sums import COUNTS, NOBODY, DescribeSums, sums_of
from wardround.analysis.noise import privacy_note
from wardround.analysis.protocol import Ask, Exchange, Noised, OwnTables, Total
from wardround.analysis.result import Result
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.study.declaration import Study
from wardround.values.rows import Rows


def build(study: Study) -> "PrivateDescription":
    """The description that a checked study with [privacy] asks for."""
    plain = Description(study, sums_of(study))
    return PrivateDescription(study, plain.sums, plain)


OF_MOMENTS, OF_BINS = 2.0, 1.0
"""Shares of a number."""


@dataclass(frozen=True)
class PrivateDescription:
    """study: with [analysis.describe] and [privacy]. plain: the same description without noise, for a hospital's own report."""

    study: Study
    sums: DescribeSums
    plain: OwnTables

    @property
    def columns(self) -> tuple[str, ...]:
        return self.sums.columns

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        shapes, shares = self._shapes(), self._shares()
        whole = math.sqrt(sum(share for share in shares.values()))
        # Blocks of several columns: a patient has a 1 in as many cells, and each column has its share.
        longest = {
            "rows": 1.0,
            "moments": math.sqrt(3 * len(self.sums.numbers)),
            "histograms": math.sqrt(len(self.sums.numbers)),
            "categories": math.sqrt(len(self.sums.categories)),
            "crossed": math.sqrt(len(self.sums.crossed)),
        }
        weights = {name: math.sqrt(shares[name]) / (longest[name] * whole) for name in shapes}
        return (Exchange(COUNTS, {name: Quantity(shape) for name, shape in shapes.items()}, noised=Noised(weights)),)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        sums, groups = self.sums, len(self.sums.groups) + 1
        shapes = {
            "rows": (groups,),
            "moments": (len(sums.numbers), groups, 3),
            "histograms": (len(sums.numbers), groups, sums.section.bins),
            "categories": (sum(len(column.codes) for column in sums.categories), groups),
            "crossed": (sum(len(left.codes) * len(right.codes) for left, right in sums.crossed),),
        }
        return {name: shape for name, shape in shapes.items() if math.prod(shape)}

    def _shares(self) -> dict[str, float]:
        sums = self.sums
        shares = {
            "rows": 1.0,
            "moments": OF_MOMENTS * len(sums.numbers),
            "histograms": OF_BINS * len(sums.numbers),
            "categories": float(len(sums.categories)),
            "crossed": float(len(sums.crossed)),
        }
        return {name: shares[name] for name in self._shapes()}

    def of_each(self, rows: Rows, ask: Ask) -> Arrays:  # noqa: ARG002  (there is one sum)
        sums, count = self.sums, len(rows)
        shapes, every = self._shapes(), np.arange(count)
        group = np.zeros(count, np.int64) if sums.group is None else sums.group.positions(rows)
        group = np.where(group == NOBODY, len(sums.groups), group)
        arrays = {name: np.zeros((count, *shape)) for name, shape in shapes.items()}
        arrays["rows"][every, group] = 1.0
        for position, column in enumerate(sums.numbers):
            places, scaled = column.bin_of(rows, sums.section.bins), np.clip(column.scaled(rows), -1.0, 1.0)
            there = np.flatnonzero(places != NOBODY)
            arrays["histograms"][there, position, group[there], places[there]] = 1.0
            for power in range(3):
                arrays["moments"][there, position, group[there], power] = scaled[there] ** power
        first = 0
        for coded in sums.categories:
            positions = coded.positions(rows)
            there = np.flatnonzero(positions != NOBODY)
            arrays["categories"][there, first + positions[there], group[there]] = 1.0
            first += len(coded.codes)
        first = 0
        for left, right in sums.crossed:
            one, other = left.positions(rows), right.positions(rows)
            there = np.flatnonzero((one != NOBODY) & (other != NOBODY))
            arrays["crossed"][there, first + one[there] * len(right.codes) + other[there]] = 1.0
            first += len(left.codes) * len(right.codes)
        return arrays

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:
        return {name: array.sum(axis=0) for name, array in self.of_each(rows, ask).items()}

    def own_tables(self, rows: Rows) -> Mapping[str, Any]:
        """The tables without noise of one hospital's rows, for its own report alone."""
        return self.plain.own_tables(rows)

    def coordinate(self) -> Generator[Ask, Total, Result]:
        total = yield Ask(COUNTS)
        figures = PrivateFigures(self.sums, total)
        tables = private_tables(figures)
        charts = private_charts(figures) if self.sums.section.histograms else ()
        values: dict[str, Any] = {table.name: {"rows": [list(row) for row in table.rows]} for table in tables}
        values |= {"noise": dict(total.noise), "bins": self.sums.section.bins, "rows": figures.rows_in_all}
        return Result("describe", self.study.question.title, tables, charts, values, (privacy_note(self.study), *figures.notes))
