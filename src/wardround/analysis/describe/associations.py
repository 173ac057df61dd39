"""How columns go together: correlations, cross-tables, and what each tells of a yes or no."""

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.describe.figures import chi_square, correlation, correlation_p, evidence, fisher
from wardround.analysis.describe.sums import DescribeSums, Numbered
from wardround.analysis.describe.table_one import shown
from wardround.analysis.protocol import Total
from wardround.analysis.result import Cell, Column, Table
from wardround.privacy.disclosure import free_cells, withheld_of_table

Counts = NDArray[np.int64]


def correlation_table(total: Total, sums: DescribeSums) -> list[Table]:
    """Pairs of columns, each over the rows that have both. A pair of fewer rows than the rule allows is withheld."""
    if not sums.pairs:
        return []
    smallest = sums.settings.smallest_cell
    rows: list[tuple[Cell, ...]] = []
    for position, (left, right) in enumerate(sums.pairs):
        count = int(total["pair_rows"][position])
        hide = count < 2 * smallest  # of two or three rows a correlation is nearly the rows themselves
        value = None if hide else correlation(count, total["pair_moments"][position])
        names = sums.correlated[left].name, sums.correlated[right].name
        rows.append((*names, shown(count, hide, smallest), value, None if value is None else correlation_p(value, count)))
    columns = (Column("column", "text"), Column("with", "text"), Column("n", "text"), Column("correlation"), Column("p", "p"))
    return [Table("correlations", "Correlations", columns, tuple(rows), ("Pearson's, of the rows that have both values.",))]


def cross_tables(total: Total, sums: DescribeSums) -> list[Table]:
    """Each pair of columns with its counts, and the tests of all pairs in one table."""
    smallest, first = sums.settings.smallest_cell, 0
    tables: list[Table] = []
    tests: list[tuple[Cell, ...]] = []
    for number, (left, right) in enumerate(sums.crossed, 1):
        shape = len(left.codes), len(right.codes)
        counts = total["crossed"][first : first + shape[0] * shape[1]].reshape(shape)
        first += shape[0] * shape[1]
        hidden = withheld_of_table(counts, smallest)
        cells = [
            (code, *(shown(int(count), bool(hide), smallest) for count, hide in zip(row, hides, strict=True)))
            for code, row, hides in zip(left.codes, counts, hidden, strict=True)
        ]
        columns = (Column(left.name, "text"), *(Column(f"{right.name} = {code}", "text") for code in right.codes))
        tables.append(Table(f"crossed_{number}", f"{left.name} by {right.name}", columns, tuple(cells)))
        told = hidden.any() and free_cells(hidden) <= 1  # the test would be the equation that is missing
        test = None if told else chi_square(counts)
        exact = None if hidden.any() else fisher(counts)
        figures = (None, None, None) if test is None else (test.statistic, test.degrees, test.p)
        tests.append((f"{left.name} by {right.name}", *figures, exact))
    if tests:
        columns = (
            Column("", "text"),
            Column("chi-square", digits=6),
            Column("df", "count"),
            Column("p", "p"),
            Column("Fisher's p", "p"),
        )
        tables.append(Table("cross_tests", "Tests of the cross-tables", columns, tuple(tests)))
    return tables


def value_tables(total: Total, sums: DescribeSums) -> list[Table]:
    """Weight of evidence by group of values, and the information value of each column. Groups of a number are of about equal size
    over all hospitals; groups with fewer of either outcome than the rule allows are joined with a neighbour."""
    if sums.value is None:
        return []
    weights: list[tuple[Cell, ...]] = []
    values: list[tuple[Cell, ...]] = []
    for position, column in enumerate(sums.numbers):
        counts = total["value_histograms"][position]
        groups = _equal_groups(counts, sums.section.value_bins, sums.settings.smallest_cell)
        names = [_interval(column, first, behind, counts.shape[1]) for first, behind in groups]
        parts = np.stack([counts[:, first:behind].sum(axis=1) for first, behind in groups])
        _tell(column.name, names, parts, weights, values, few_missing=_few(total, parts, sums))
    first = 0
    for coded in sums.categories:
        counts = total["value_categories"][first : first + len(coded.codes)]
        first += len(coded.codes)
        if coded.name == sums.value.name:
            continue
        names, joined = _joined_codes(coded.codes, counts, sums.settings.smallest_cell)
        _tell(coded.name, names, joined, weights, values, few_missing=_few(total, joined, sums))
    kinds = (Column("column", "text"), Column("values", "text"), Column("yes", "count"), Column("no", "count"), Column("weight"))
    ordered = tuple(sorted(values, key=lambda row: -float(row[1] or 0.0)))
    note = "weight: ln of the group's share of yes over its share of no."
    return [
        Table("information", f"Information value for {sums.value.name}", (Column("column", "text"), Column("value")), ordered),
        Table("evidence", f"Weight of evidence for {sums.value.name}", kinds, tuple(weights), (note,)),
    ]


def _few(total: Total, counts: Counts, sums: DescribeSums) -> bool:
    """Whether of an outcome some rows have no value, and fewer than the rule allows."""
    missing = total["value_rows"] - counts.sum(axis=0)
    return bool(((missing > 0) & (missing < sums.settings.smallest_cell)).any())


def _tell(
    name: str,
    groups: list[str],
    counts: Counts,
    weights: list[tuple[Cell, ...]],
    values: list[tuple[Cell, ...]],
    *,
    few_missing: bool,
) -> None:
    """counts: (groups, 2), no and yes. A column that is one group tells nothing. few_missing: whether so few rows of an outcome
    have no value that the sum of the counts would tell them: then no count is shown, and figures are rounded."""
    if len(groups) < 2 or (counts == 0).any():
        values.append((name, None))
        return
    found_weights, value = evidence(counts[:, 1], counts[:, 0])
    values.append((name, round(value, 2) if few_missing else value))
    digits = 1 if few_missing else 15
    for group, (no, yes), weight in zip(groups, counts.tolist(), found_weights, strict=True):
        shown_counts = (None, None) if few_missing else (int(yes), int(no))
        weights.append((name, group, *shown_counts, round(float(weight), digits)))


def _equal_groups(counts: Counts, wanted_groups: int, smallest: int) -> list[tuple[int, int]]:
    """Bins (2, b) cut into about equal groups, each with enough of both outcomes."""
    least = max(1, smallest)
    size = counts.sum() / wanted_groups
    groups: list[tuple[int, int]] = []
    start, held = 0, np.zeros(2, np.int64)
    for position in range(counts.shape[1]):
        held = held + counts[:, position]
        if held.sum() >= size and (held >= least).all():
            groups.append((start, position + 1))
            start, held = position + 1, np.zeros(2, np.int64)
    if start < counts.shape[1]:
        first = groups.pop()[0] if groups else 0
        groups.append((first, counts.shape[1]))
    return groups


def _interval(column: Numbered, first: int, behind: int, bins: int) -> str:
    width = (column.high - column.low) / bins
    return f"{column.low + width * first:.6g} to {column.low + width * behind:.6g}"


def _joined_codes(codes: tuple[str, ...], counts: Counts, smallest: int) -> tuple[list[str], Counts]:
    """Codes with too few of either outcome together as `others`; with them as many more as they need."""
    small: NDArray[np.bool_] = np.any(counts < max(1, smallest), axis=1)
    while small.any() and not small.all() and (counts[small].sum(axis=0) < max(1, smallest)).any():
        rest = np.flatnonzero(~small)
        small[rest[np.argmin(counts[rest].sum(axis=1))]] = True
    names = [code for code, hide in zip(codes, small, strict=True) if not hide]
    kept = counts[~small]
    if small.any() and counts[small].any():
        names.append("others")
        kept = np.concatenate([kept, counts[small].sum(axis=0)[None]])
    return names, kept
