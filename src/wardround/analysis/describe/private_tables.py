"""Tables of a description with noise: every figure with an interval that holds the patients' spread and the noise.

A share is a count over the known, both with noise: its error is that of the delta method. A mean is sum / count, in the same way.
A quantile's interval is what is read off the histogram where its count lies as far from the share as rank and noise allow.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from wardround.analysis.describe.sums import DescribeSums, Numbered
from wardround.analysis.protocol import Total
from wardround.analysis.result import Bars, Cell, Column, Table
from wardround.privacy.disclosure import shown_count

Floats = NDArray[np.float64]
Z = 1.959963984540054
ALL, NO_GROUP = "all", "group missing"
_DRAWN = 4000
_SEED = 2_026
_SEEN = 2.0
"""Of a count: so many deviations of its noise are needed for a mean or a share over it to say anything."""


@dataclass(frozen=True)
class PrivateFigures:
    """sums: of the study. total: their total, with noise."""

    sums: DescribeSums
    total: Total

    @property
    def smallest(self) -> int:
        return self.sums.settings.smallest_cell

    @property
    def groups(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """(name, places): all rows first where there are several groups. Those without a group stand only in `all`."""
        names = self.sums.groups
        every = (ALL, tuple(range(len(names) + 1)))
        if self.sums.group is None:
            return (every,)
        rows, noise = self.total["rows"], self.total.noise["rows"]
        several = [(f"{self.sums.group.name} = {name}", (position,)) for position, name in enumerate(names)]
        if rows[-1] > _SEEN * noise:
            several.append((NO_GROUP, (len(names),)))
        return (every, *several)

    @property
    def rows_in_all(self) -> int:
        return max(0, round(float(self.total["rows"].sum())))

    @property
    def notes(self) -> tuple[str, ...]:
        said = {"rows": "rows", "moments": "values of numbers", "categories": "categories", "crossed": "cross-tables"}
        parts = [f"{self.total.noise[name]:.3g} in counts of {words}" for name, words in said.items() if name in self.total.noise]
        if "histograms" in self.total.noise:
            parts.append(f"{self.total.noise['histograms']:.3g} in each of {self.sums.section.bins} bins")
        return (
            f"Every count has noise, of standard deviation {', '.join(parts)}; sums of several counts have more. Intervals "
            f"(95 %) hold it. Counts do not add up. Below {self.smallest} a count is written < {self.smallest}.",
        )

    def shown(self, count: float) -> str:
        """A count with noise as text: below the smallest cell nothing says whether there is anybody."""
        whole = round(count)
        return f"< {self.smallest}" if whole < self.smallest else shown_count(whole, self.smallest)

    def of(self, name: str, array: Floats, places: tuple[int, ...]) -> tuple[Floats, float]:
        """(numbers over the groups at `places`, on the last axis, and the variance of their noise)."""
        return array[..., list(places)].sum(axis=-1), len(places) * self.total.noise[name] ** 2


@dataclass(frozen=True)
class Estimated:
    """A figure and its interval; None where noise leaves nothing of it."""

    value: float | None
    low: float | None = None
    high: float | None = None


NOTHING = Estimated(None)


def share_of(count: float, whole: float, noises: tuple[float, float], seen: float) -> Estimated:
    """count / whole with the interval of both their noises, whose variances are `noises`, and of the patients. Within 0 and 1.

    seen: whole must be more than so many deviations of its noise."""
    if whole <= max(seen * math.sqrt(noises[1]), 1.0):
        return NOTHING
    share = min(max(count / whole, 0.0), 1.0)
    # Wilson's centre keeps the spread of a share near 0 or 1 from vanishing (Agresti and Coull, Am. Stat. 1998).
    smooth = (share * whole + 2.0) / (whole + 4.0)
    variance = smooth * (1 - smooth) / whole + (noises[0] + share**2 * noises[1]) / whole**2
    half = Z * math.sqrt(variance)
    return Estimated(share, max(0.0, share - half), min(1.0, share + half))


def mean_of(column: Numbered, moments: Floats, noise: float) -> tuple[Estimated, float | None]:
    """The mean with its interval, and the standard deviation. moments: count, sum and sum of squares of the scaled values; noise:
    the variance of each."""
    count = float(moments[0])
    if count <= max(_SEEN * math.sqrt(noise), 2.0):
        return NOTHING, None
    mean = min(max(float(moments[1]) / count, -1.0), 1.0)
    spread = min(max(float(moments[2]) / count - mean**2, 0.0), 1.0)
    half = Z * math.sqrt(spread / count + noise * (1 + mean**2) / count**2)

    def reported(value: float) -> float:
        return column.center + column.scale * min(max(value, -1.0), 1.0)

    of_spread = 2.0 * math.sqrt(noise) / count  # spread below the noise in it is none
    deviation = column.scale * math.sqrt(spread) if spread > of_spread else None
    return Estimated(reported(mean), reported(mean - half), reported(mean + half)), deviation


def quantile_of(column: Numbered, bins: Floats, share: float, noise: float) -> Estimated:
    """From bins with noise of this variance each. The curve of counts so far is made to rise first."""
    reached = np.cumsum(bins)
    whole = float(reached[-1])
    size = len(bins)
    if whole <= _SEEN * math.sqrt(noise * size):
        return NOTHING
    # Noise in the count up to bin k beside share times the whole: (1 - share) of k bins, share of the others.
    up_to = np.arange(1, size + 1)
    spread = share * (1 - share) * whole + noise * (up_to * (1 - share) ** 2 + (size - up_to) * share**2)
    apart = np.maximum.accumulate(reached) / 2 + np.minimum.accumulate(reached[::-1])[::-1] / 2 - share * whole
    half = Z * np.sqrt(spread)

    def crossed(line: Floats) -> float:
        position = int(np.argmax(line >= 0)) if (line >= 0).any() else size - 1
        before = float(line[position - 1]) if position else -share * whole
        rise = float(line[position]) - before
        within = min(max(-before / rise, 0.0), 1.0) if rise > 0 else 0.5
        return column.low + (column.high - column.low) / size * (position + within)

    return Estimated(crossed(apart), crossed(np.maximum.accumulate(apart + half)), crossed(np.maximum.accumulate(apart - half)))


def private_tables(figures: PrivateFigures) -> tuple[Table, ...]:
    """Rows by group, numbers, categories, cross-tables and their tests; those that the study asks for."""
    tables = [_row_table(figures), _number_table(figures), _category_table(figures), *_cross_tables(figures)]
    return tuple(table for table in tables if table.rows)


def _row_table(figures: PrivateFigures) -> Table:
    rows = []
    for name, places in figures.groups:
        count, noise = figures.of("rows", figures.total["rows"], places)
        rows.append((name, figures.shown(float(count)), Z * math.sqrt(noise)))
    columns = (Column("group", "text"), Column("rows", "text"), Column("±", digits=2))
    return Table("rows", "Rows", columns, tuple(rows), ("±: 95 % of the noise in the count.",))


def _number_table(figures: PrivateFigures) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for position, column in enumerate(figures.sums.numbers):
        moments, bins = figures.total["moments"][position], figures.total["histograms"][position]
        for name, places in figures.groups:
            own, noise = figures.of("moments", np.moveaxis(moments, 0, -1), places)
            own_bins, bin_noise = figures.of("histograms", np.moveaxis(bins, 0, -1), places)
            mean, deviation = mean_of(column, own, noise)
            median = quantile_of(column, own_bins, 0.5, bin_noise)
            ends = [quantile_of(column, own_bins, share, bin_noise).value for share in (0.25, 0.75)]
            figures_of_group = (mean.value, mean.low, mean.high, deviation, median.value, median.low, median.high, *ends)
            few = round(float(own[0])) < figures.smallest
            hidden: tuple[Cell, ...] = (None,) * len(figures_of_group)
            unit = f", {column.unit}" if column.unit else ""
            shown: tuple[Cell, ...] = hidden if few else figures_of_group
            rows.append((f"{column.name}{unit}", name, figures.shown(float(own[0])), *shown))
    columns = (
        Column("column", "text"),
        Column("group", "text"),
        Column("n", "text"),
        Column("mean"),
        Column("low"),
        Column("high"),
        Column("deviation"),
        Column("median"),
        Column("median low"),
        Column("median high"),
        Column("lower quartile"),
        Column("upper quartile"),
    )
    return Table("numbers", "Numbers", columns, tuple(rows), ("n: rows with a value.",))


def _category_table(figures: PrivateFigures) -> Table:
    rows: list[tuple[Cell, ...]] = []
    first = 0
    for coded in figures.sums.categories:
        counts = figures.total["categories"][first : first + len(coded.codes)]
        first += len(coded.codes)
        for name, places in figures.groups:
            own, noise = figures.of("categories", counts, places)
            for code, count in zip(coded.codes, own, strict=True):
                # The whole holds the count itself: count / whole moves by (1 - share) with its noise, by share with the others'.
                share = share_of(float(count), float(own.sum()), (noise, noise * (len(own) - 2)), _SEEN)
                few = round(float(count)) < figures.smallest
                cells: tuple[Cell, ...] = (None,) * 3 if few else (share.value, share.low, share.high)
                rows.append((coded.name, code, name, figures.shown(float(count)), *cells))
    columns = (
        Column("column", "text"),
        Column("value", "text"),
        Column("group", "text"),
        Column("n", "text"),
        Column("share", "percent"),
        Column("low", "percent"),
        Column("high", "percent"),
    )
    return Table("categories", "Categories", columns, tuple(rows), ("share: of the rows with a value.",))


def _cross_tables(figures: PrivateFigures) -> list[Table]:
    tables: list[Table] = []
    tests: list[tuple[Cell, ...]] = []
    first = 0
    for number, (left, right) in enumerate(figures.sums.crossed, 1):
        size = len(left.codes) * len(right.codes)
        counts = figures.total["crossed"][first : first + size].reshape(len(left.codes), len(right.codes))
        first += size
        cells = tuple((code, *(figures.shown(float(one)) for one in row)) for code, row in zip(left.codes, counts, strict=True))
        columns = (Column(left.name, "text"), *(Column(f"{right.name} = {code}", "text") for code in right.codes))
        tables.append(Table(f"crossed_{number}", f"{left.name} by {right.name}", columns, cells))
        tests.append((f"{left.name} by {right.name}", *independence(counts, figures.total.noise["crossed"])))
    if tests:
        columns = (Column("", "text"), Column("chi-square", digits=6), Column("p", "p"))
        note = f"p: the share of {_DRAWN} tables without a connection, with the same margins and noise, that look as connected."
        tables.append(Table("cross_tests", "Tests of the cross-tables", columns, tuple(tests), (note,)))
    return tables


def independence(counts: Floats, noise: float) -> tuple[float | None, float | None]:
    """(chi-square, p) of a table with noise; None where margins are lost in it. Without noise p is Pearson's.

    p by Monte Carlo from the fitted margins (Gaboardi, Lim, Rogers, Vadhan: Differentially private chi-squared hypothesis
    testing, ICML 2016), from a fixed seed: nothing of it is secret."""
    statistic = _chi_square(counts, noise)
    if statistic is None:
        return None, None
    if noise == 0:
        return statistic, float(chdtrc((counts.shape[0] - 1) * (counts.shape[1] - 1), statistic))
    kept = np.maximum(counts, 0.0)
    whole = kept.sum()
    chances = np.outer(kept.sum(axis=1), kept.sum(axis=0)) / whole**2
    generator = np.random.default_rng(_SEED)
    drawn = generator.multinomial(round(whole), chances.reshape(-1) / chances.sum(), _DRAWN).reshape(_DRAWN, *counts.shape)
    noisy = drawn + generator.normal(0.0, noise, drawn.shape)
    others = [one for table in noisy if (one := _chi_square(table, noise)) is not None]
    return statistic, (1 + sum(one >= statistic for one in others)) / (1 + len(others))


def _chi_square(counts: Floats, noise: float) -> float | None:
    """The squared distance from independence, each cell over the variance of its count and of its noise."""
    kept = np.maximum(counts, 0.0)
    rows, columns, whole = kept.sum(axis=1), kept.sum(axis=0), kept.sum()
    if min(counts.shape) < 2 or min(rows.min(), columns.min()) <= _SEEN * noise:
        return None
    expected = np.outer(rows, columns) / whole
    return float(((counts - expected) ** 2 / (expected + noise**2)).sum())


def private_charts(figures: PrivateFigures) -> tuple[Bars, ...]:
    """A histogram of each number over all rows; bins below the noise stand at 0."""
    charts = []
    for position, column in enumerate(figures.sums.numbers):
        counts = np.maximum(figures.total["histograms"][position].sum(axis=0), 0.0)
        edges = np.linspace(column.low, column.high, len(counts) + 1)
        unit = f" ({column.unit})" if column.unit else ""
        title = f"{column.name}: rows of all hospitals, with noise"
        heights = tuple(float(round(count)) if count >= figures.smallest else 0.0 for count in counts)
        name = f"histogram_{position + 1}"
        charts.append(Bars(name, title, f"{column.name}{unit}", "rows for each bin", tuple(map(float, edges)), heights))
    return tuple(charts)
