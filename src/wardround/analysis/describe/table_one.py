"""Table 1, the same in numbers, and histograms: what may be shown of counts and moments by group."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.describe.figures import (
    Moments,
    Test,
    analysis_of_variance,
    chi_square,
    moments_of,
    quantile,
    standardised_difference,
    standardised_difference_of_codes,
)
from wardround.analysis.describe.sums import Coded, DescribeSums, Numbered
from wardround.analysis.protocol import Total
from wardround.analysis.result import Bars, Cell, Column, Table
from wardround.privacy.disclosure import (
    Withheld,
    free_cells,
    joined_bins,
    may_show_quantile,
    shown_count,
    withheld_of_list,
    withheld_of_table,
)

Counts = NDArray[np.int64]
ALL, NO_GROUP = "all", "group missing"
HIDDEN = "withheld"
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Groups:
    """The groups that have rows. places: in the arrays of the sums. hidden: groups too small to say anything of, and those that
    hide them. several: whether a column of all rows stands beside them."""

    names: tuple[str, ...]
    places: tuple[int, ...]
    rows: Counts
    hidden: Withheld
    smallest: int
    column: str = ""

    @classmethod
    def of(cls, total: Total, sums: DescribeSums) -> "Groups":
        names = (*sums.groups, NO_GROUP)
        places = tuple(at for at in range(len(names)) if total["rows"][at] > 0 or at < len(sums.groups))
        rows = total["rows"][list(places)]
        smallest, column = sums.settings.smallest_cell, "" if sums.group is None else sums.group.name
        return cls(tuple(names[at] for at in places), places, rows, withheld_of_list(rows, smallest), smallest, column)

    @property
    def several(self) -> bool:
        return len(self.names) > 1

    @property
    def heads(self) -> tuple[str, ...]:
        """Of the columns of a table, each with its number of rows."""
        counts = [shown(int(count), hide, self.smallest) for count, hide in zip(self.rows, self.hidden, strict=True)]
        whole = f"{ALL} ({shown_count(int(self.rows.sum()), self.smallest)})"
        named = (name if name == NO_GROUP else f"{self.column} = {name}" for name in self.names)
        parts = tuple(f"{name} ({count})" for name, count in zip(named, counts, strict=True))
        return (whole, *parts) if self.several else (whole,)


def shown(count: int, hide: bool, smallest: int) -> str:
    """A count as text. All that are withheld read alike: whoever knew which of two is below 5, and their sum, might know both."""
    return HIDDEN if hide else shown_count(count, smallest)


def _shown_all(counts: Counts, hidden: Withheld, smallest: int) -> list[str]:
    return [shown(int(count), bool(hide), smallest) for count, hide in zip(counts, hidden, strict=True)]


@dataclass(frozen=True)
class NumberFacts:
    """One column of numbers. there, missing: by group, behind the first, which is all rows together. hidden: of moments and
    quartiles; hidden_there, hidden_missing: of the counts."""

    column: Numbered
    there: Counts
    missing: Counts
    hidden: Withheld
    hidden_there: Withheld
    hidden_missing: Withheld
    moments: tuple[Moments, ...]
    quartiles: tuple[tuple[float | None, ...], ...]
    test: Test | None
    difference: float | None


def number_facts(total: Total, sums: DescribeSums, groups: Groups, position: int) -> NumberFacts:
    """What may be shown of a column of numbers. all rows come first, then the groups where there are several."""
    column, places, smallest = sums.numbers[position], list(groups.places), groups.smallest
    histogram = total["histograms"][position][places]
    sums_of_column = total["moments"][position][places]
    there = histogram.sum(axis=1)
    missing = groups.rows - there
    cells = withheld_of_table(np.stack([there, missing]), smallest)
    hidden = groups.hidden | withheld_of_list(there, smallest)
    moments = [moments_of(column, int(count), own) for count, own in zip(there, sums_of_column, strict=True)]
    whole = moments_of(column, int(there.sum()), sums_of_column.sum(axis=0))
    tested = moments if groups.several and not (hidden.any() or cells.any()) and (there > 0).all() else []
    compared = moments if groups.several and not hidden.any() else []
    few = np.array([0 < there.sum() < smallest, 0 < missing.sum() < smallest])
    if not groups.several:
        return NumberFacts(
            column, there, missing, few[:1], few[:1], few[1:], (whole,), (_quartiles(column, histogram[0], smallest),), None, None
        )
    # Where counts of groups are withheld, the mean of all rows would be the equation that tells them.
    whole_hidden = few[:1] | cells.any()
    return NumberFacts(
        column,
        np.concatenate([[there.sum()], there]),
        np.concatenate([[missing.sum()], missing]),
        np.concatenate([whole_hidden, hidden]),
        np.concatenate([few[:1], hidden | cells[0]]),
        np.concatenate([few[1:], hidden | cells[1]]),
        (whole, *moments),
        tuple(_quartiles(column, counts, smallest) for counts in (histogram.sum(axis=0), *histogram)),
        analysis_of_variance(tested) if len(tested) > 1 else None,
        standardised_difference(compared),
    )


def _quartiles(column: Numbered, counts: Counts, smallest: int) -> tuple[float | None, ...]:
    held = int(counts.sum())
    return tuple(
        quantile(column, counts, share) if held and may_show_quantile(held, share, smallest) else None for share in QUARTILES
    )


@dataclass(frozen=True)
class CategoryFacts:
    """One column with codes. counts (k, 1 + groups), all rows first; hidden: of the same shape."""

    column: Coded
    counts: Counts
    known: Counts
    hidden: Withheld
    test: Test | None
    difference: float | None


def category_facts(total: Total, sums: DescribeSums, groups: Groups, position: int) -> CategoryFacts:
    """What may be shown of a column with codes."""
    column, places, smallest = sums.categories[position], list(groups.places), groups.smallest
    first = sum(len(before.codes) for before in sums.categories[:position])
    counts = total["categories"][first : first + len(column.codes)][:, places]
    missing = groups.rows - counts.sum(axis=0)
    table = np.concatenate([counts, missing[None]])  # the rows of a group are in the head: who is missing is one of its cells
    hidden = withheld_of_table(table, smallest) | groups.hidden
    whole = withheld_of_list(table.sum(axis=1), smallest)
    free = free_cells(hidden) if hidden.any() else 0
    test = chi_square(counts) if groups.several and free != 1 else None
    difference = standardised_difference_of_codes(counts) if groups.several and not hidden.any() else None
    both = np.concatenate([table.sum(axis=1)[:, None], table], axis=1) if groups.several else table
    both_hidden = np.concatenate([whole[:, None], hidden], axis=1) if groups.several else hidden
    known_rows = both[:-1].sum(axis=0)
    return CategoryFacts(column, both, known_rows, both_hidden, test, difference)


def table_one(total: Total, sums: DescribeSums, groups: Groups) -> Table:
    """The table of a paper: text, rounded."""
    columns = [Column("", "text"), *(Column(head, "text") for head in groups.heads)]
    tested = groups.several
    if tested:
        columns += [Column("p", "p"), Column("difference", digits=2)]
    rows: list[tuple[Cell, ...]] = []
    for position, number in enumerate(sums.numbers):
        rows += _number_rows(number_facts(total, sums, groups, position), number, groups, tested=tested)
    for position, coded in enumerate(sums.categories):
        rows += _category_rows(category_facts(total, sums, groups, position), coded, groups, tested=tested)
    notes = ["Numbers: mean (standard deviation), and median (quartiles). Categories: count (share of those known)."]
    if tested:
        notes.append(
            "p: Welch's t of two groups, F of more, chi-square of categories. difference: standardised, of two groups. Neither "
            "is shown where a count would show by it."
        )
    return Table("table_one", "Patients", tuple(columns), tuple(rows), tuple(notes))


def _number_rows(facts: NumberFacts, number: Numbered, groups: Groups, *, tested: bool) -> list[tuple[Cell, ...]]:
    unit = f", {number.unit}" if number.unit else ""
    means = [
        HIDDEN if hide or one.count < 2 else f"{_plain(one.mean, one.deviation)} ({_plain(one.deviation, one.deviation)})"
        for one, hide in zip(facts.moments, facts.hidden, strict=True)
    ]
    spreads = [one.deviation for one in facts.moments]
    medians = [
        HIDDEN if hide or three[1] is None else _median(three, spread)
        for three, hide, spread in zip(facts.quartiles, facts.hidden, spreads, strict=True)
    ]
    last: tuple[Cell, ...] = (None if facts.test is None else facts.test.p, facts.difference) if tested else ()
    nothing: tuple[Cell, ...] = (None, None) if tested else ()
    rows: list[tuple[Cell, ...]] = [(f"{number.name}{unit}", *means, *last), ("  median", *medians, *nothing)]
    if facts.missing.any():
        missing = _shown_all(facts.missing, facts.hidden_missing, groups.smallest)
        rows.append(("  missing", *missing, *nothing))
    return rows


def _median(quartiles: tuple[float | None, ...], spread: float) -> str:
    low, middle, high = quartiles
    inner = "" if low is None or high is None else f" ({_plain(low, spread)} to {_plain(high, spread)})"
    return f"{_plain(middle or 0.0, spread)}{inner}"


def _plain(value: float, spread: float) -> str:
    """A number with the decimals that its deviation makes meaningful."""
    size = np.floor(np.log10(spread)) if spread > 0 else 0
    return f"{value:.{int(min(6, max(0, 2 - size)))}f}" if size < 2 else f"{value:.0f}"


def _category_rows(facts: CategoryFacts, coded: Coded, groups: Groups, *, tested: bool) -> list[tuple[Cell, ...]]:
    last: tuple[Cell, ...] = (None if facts.test is None else facts.test.p, facts.difference) if tested else ()
    nothing: tuple[Cell, ...] = (None, None) if tested else ()
    rows: list[tuple[Cell, ...]] = []
    for number, code in enumerate(coded.codes):
        cells = [
            _share(int(count), int(held), hide, groups.smallest)
            for count, held, hide in zip(facts.counts[number], facts.known, facts.hidden[number], strict=True)
        ]
        rows.append((f"{coded.name} = {code}", *cells, *(last if number == 0 else nothing)))
    if facts.counts[-1].any():
        missing = _shown_all(facts.counts[-1], facts.hidden[-1], groups.smallest)
        rows.append(("  missing", *missing, *nothing))
    return rows


def _share(count: int, held: int, hide: bool, smallest: int) -> str:
    if hide or not held:
        return shown(count, hide, smallest)
    return f"{count} ({100 * count / held:.1f} %)"


def number_table(total: Total, sums: DescribeSums, groups: Groups) -> Table:
    """The same of numbers, with all digits: a row for each column and group."""
    names = (ALL, *groups.names) if groups.several else (ALL,)
    rows: list[tuple[Cell, ...]] = []
    for position, number in enumerate(sums.numbers):
        facts = number_facts(total, sums, groups, position)
        for at, name in enumerate(names):
            hide, one = bool(facts.hidden[at]), facts.moments[at]
            figures = (None, None) if hide or one.count < 2 else (one.mean, one.deviation)
            quartiles: tuple[float | None, ...] = (None, None, None) if hide else facts.quartiles[at]
            there = shown(int(facts.there[at]), bool(facts.hidden_there[at]), groups.smallest)
            missing = shown(int(facts.missing[at]), bool(facts.hidden_missing[at]), groups.smallest)
            rows.append((number.name, name, there, missing, *figures, *quartiles))
    columns = (
        Column("column", "text"),
        Column("group", "text"),
        Column("n", "text"),
        Column("missing", "text"),
        Column("mean"),
        Column("deviation"),
        Column("lower quartile"),
        Column("median"),
        Column("upper quartile"),
    )
    return Table("numbers", "Numbers", columns, tuple(rows))


def category_table(total: Total, sums: DescribeSums, groups: Groups) -> Table:
    """The same of categories, with all digits."""
    names = (ALL, *groups.names) if groups.several else (ALL,)
    rows: list[tuple[Cell, ...]] = []
    for position, coded in enumerate(sums.categories):
        facts = category_facts(total, sums, groups, position)
        for number, code in enumerate((*coded.codes, "missing")):
            for at, name in enumerate(names):
                hide, count = bool(facts.hidden[number, at]), int(facts.counts[number, at])
                held = int(facts.known[at])
                share = None if hide or not held or code == "missing" else count / held
                rows.append((coded.name, code, name, shown(count, hide, groups.smallest), share))
    columns = (
        Column("column", "text"),
        Column("value", "text"),
        Column("group", "text"),
        Column("n", "text"),
        Column("share", "percent"),
    )
    return Table("categories", "Categories", columns, tuple(rows))


SHOWN_BINS = 32


def histograms(total: Total, sums: DescribeSums) -> tuple[Bars, ...]:
    """A histogram of each number over all rows; neighbouring bins are joined until none holds fewer than the rule allows."""
    charts = []
    for position, column in enumerate(sums.numbers):
        counts = total["histograms"][position].sum(axis=0)
        step = max(1, len(counts) // SHOWN_BINS)
        coarse = np.array([int(counts[start : start + step].sum()) for start in range(0, len(counts), step)])
        bins = joined_bins(coarse, sums.settings.smallest_cell)
        width = (column.high - column.low) / len(counts) * step
        edges = [column.low + width * first for first, _ in bins]
        ends = min(column.high, column.low + width * len(coarse))
        heights = [float(coarse[first:behind].sum()) / (behind - first) for first, behind in bins]
        unit = f" ({column.unit})" if column.unit else ""
        title = f"{column.name}: rows of all hospitals"
        charts.append(
            Bars(f"histogram_{position + 1}", title, f"{column.name}{unit}", "rows for each bin", (*edges, ends), tuple(heights))
        )
    return tuple(charts)
