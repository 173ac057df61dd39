"""What one hospital's rows add to a description. One exchange: whole numbers, and moments around the contract's center."""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.protocol import Exchange
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.study.contract import ColumnContract
from wardround.study.declaration import Study
from wardround.study.sections.analysis.analysis import AnalysisSection
from wardround.study.sections.analysis.describe import DescribeSection
from wardround.values.rows import Rows

COUNTS = "counts"
NOBODY = -1


@dataclass(frozen=True)
class Coded:
    """A column with codes: a category, a binary, or the label."""

    name: str
    codes: tuple[str, ...]

    def positions(self, rows: Rows) -> NDArray[np.int64]:
        """(n,) the code of each row; NOBODY where its value is missing."""
        return np.nan_to_num(rows[self.name], nan=float(NOBODY)).astype(np.int64)


@dataclass(frozen=True)
class Numbered:
    """A column of numbers. center, scale: public; `low` and `high` are its range."""

    name: str
    unit: str
    low: float
    high: float
    center: float

    @property
    def scale(self) -> float:
        """The largest distance from the center: scaled values lie within -1 and 1."""
        return max(self.high - self.center, self.center - self.low)

    def scaled(self, rows: Rows) -> NDArray[np.float64]:
        """(n,), NaN where missing."""
        return (rows[self.name] - self.center) / self.scale

    def bin_of(self, rows: Rows, bins: int) -> NDArray[np.int64]:
        """(n,) the bin of each row; NOBODY where its value is missing."""
        share = (rows[self.name] - self.low) / (self.high - self.low)
        places = np.clip(np.floor(np.nan_to_num(share) * bins), 0, bins - 1).astype(np.int64)
        return np.where(np.isnan(share), NOBODY, places)


@dataclass(frozen=True)
class DescribeSums:
    """The sums of a study's description."""

    settings: AnalysisSection
    section: DescribeSection
    numbers: tuple[Numbered, ...]
    categories: tuple[Coded, ...]
    group: Coded | None
    value: Coded | None
    crossed: tuple[tuple[Coded, Coded], ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups; one of all rows where the study names none. Behind them comes who belongs to none."""
        return self.group.codes if self.group is not None else ("all",)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Of the correlated columns, by their positions."""
        return tuple(combinations(range(len(self.correlated)), 2)) if self.section.correlation else ()

    @property
    def correlated(self) -> tuple[Numbered | Coded, ...]:
        return (*self.numbers, *(column for column in self.categories if len(column.codes) == 2))

    @property
    def columns(self) -> tuple[str, ...]:
        others = [self.group, self.value, *(column for pair in self.crossed for column in pair)]
        coded = [*self.categories, *(column for column in others if column is not None)]
        return tuple(dict.fromkeys([column.name for column in self.numbers] + [column.name for column in coded]))

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        groups, bins = len(self.groups) + 1, self.section.bins
        codes, numbers = sum(len(column.codes) for column in self.categories), len(self.numbers)
        largest = float(self.settings.largest_hospital)
        quantities = {
            "rows": Quantity((groups,)),
            "patients": Quantity(()),
            "histograms": Quantity((numbers, groups, bins)),
            "moments": Quantity((numbers, groups, 2), largest),
            "categories": Quantity((codes, groups)),
        }
        if self.pairs:
            quantities |= {"pair_rows": Quantity((len(self.pairs),)), "pair_moments": Quantity((len(self.pairs), 5), largest)}
        if self.crossed:
            quantities["crossed"] = Quantity((sum(len(left.codes) * len(right.codes) for left, right in self.crossed),))
        if self.value is not None:
            quantities |= {
                "value_rows": Quantity((2,)),
                "value_histograms": Quantity((numbers, 2, bins)),
                "value_categories": Quantity((codes, 2)),
            }
        return (Exchange(COUNTS, {name: one for name, one in quantities.items() if one.size}),)

    def contribution(self, rows: Rows) -> Arrays:
        groups = len(self.groups) + 1
        group = np.zeros(len(rows), np.int64) if self.group is None else self.group.positions(rows)
        group = np.where(group == NOBODY, groups - 1, group)
        sums: dict[str, NDArray[np.generic]] = {
            "rows": np.bincount(group, minlength=groups),
            "patients": np.array(rows.patient_count),
            "histograms": self._histograms(rows, group, groups),
            "moments": self._moments(rows, group, groups),
            "categories": self._categories(rows, group, groups),
        }
        if self.pairs:
            sums["pair_rows"], sums["pair_moments"] = self._pairs(rows)
        if self.crossed:
            sums["crossed"] = np.concatenate([_crossed(left, right, rows).reshape(-1) for left, right in self.crossed])
        if self.value is not None:
            told = self.value.positions(rows)
            known_rows = rows.select(told != NOBODY)
            told = told[told != NOBODY]
            sums["value_rows"] = np.bincount(told, minlength=2)
            sums["value_histograms"] = self._histograms(known_rows, told, 2)
            sums["value_categories"] = self._categories(known_rows, told, 2)
        return {name: array for name, array in sums.items() if array.size}

    def _histograms(self, rows: Rows, group: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
        bins = self.section.bins
        counts = np.zeros((len(self.numbers), groups, bins), np.int64)
        for position, column in enumerate(self.numbers):
            places = column.bin_of(rows, bins)
            there = places != NOBODY
            np.add.at(counts[position], (group[there], places[there]), 1)
        return counts

    def _moments(self, rows: Rows, group: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
        moments = np.zeros((len(self.numbers), groups, 2))
        for position, column in enumerate(self.numbers):
            scaled = column.scaled(rows)
            there = ~np.isnan(scaled)
            for power in (1, 2):
                weights = scaled[there] ** power
                moments[position, :, power - 1] = np.bincount(group[there], weights, minlength=groups)
        return moments

    def _categories(self, rows: Rows, group: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
        parts = [np.zeros((0, groups), np.int64)]
        for column in self.categories:
            counts = np.zeros((len(column.codes), groups), np.int64)
            positions = column.positions(rows)
            there = positions != NOBODY
            np.add.at(counts, (positions[there], group[there]), 1)
            parts.append(counts)
        return np.concatenate(parts)

    def _pairs(self, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Pairwise complete: how many rows, and the sums of x, y, xx, yy, xy."""
        columns = [column.scaled(rows) if isinstance(column, Numbered) else rows[column.name] - 0.5 for column in self.correlated]
        counts, moments = np.zeros(len(self.pairs), np.int64), np.zeros((len(self.pairs), 5))
        for position, (left, right) in enumerate(self.pairs):
            there = ~(np.isnan(columns[left]) | np.isnan(columns[right]))
            x, y = columns[left][there], columns[right][there]
            counts[position] = len(x)
            moments[position] = [x.sum(), y.sum(), x @ x, y @ y, x @ y]
        return counts, moments


def _crossed(left: Coded, right: Coded, rows: Rows) -> NDArray[np.int64]:
    """(codes, codes) counts of rows in which both are known."""
    first, second = left.positions(rows), right.positions(rows)
    there = (first != NOBODY) & (second != NOBODY)
    counts = np.zeros((len(left.codes), len(right.codes)), np.int64)
    np.add.at(counts, (first[there], second[there]), 1)
    return counts


def sums_of(study: Study) -> DescribeSums:
    """The sums of the description that a study asks for."""
    assert study.analysis is not None and study.analysis.describe is not None
    section = study.analysis.describe
    contracts = {column.name: column for column in study.data.columns}

    def coded(name: str) -> Coded:
        column = contracts.get(name)
        return Coded(name, column.codes if column is not None else ("no", "yes"))

    names = section.columns or tuple(contracts)
    described = [name for name in names if name != section.group]
    numbers = tuple(_numbered(contracts[name]) for name in described if name in contracts and contracts[name].kind == "number")
    categories = tuple(coded(name) for name in described if name not in contracts or contracts[name].kind != "number")
    return DescribeSums(
        study.analysis,
        section,
        numbers,
        categories,
        None if section.group is None else coded(section.group),
        None if section.value_for is None else coded(section.value_for),
        tuple((coded(left), coded(right)) for left, right in section.cross_tables),
    )


def _numbered(column: ColumnContract) -> Numbered:
    assert column.range is not None
    low, high = column.range
    center = (low + high) / 2 if column.center is None or column.log else min(max(column.center, low), high)
    return Numbered(column.name, column.unit, low, high, center)
