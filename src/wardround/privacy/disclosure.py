"""The disclosure rules: what totals of all hospitals may be shown. One place, called where a result is made.

A total is not safe because it was summed under a mask: a cell of one patient is that patient. So a count below the smallest cell
is withheld, and so is whatever would give it away together with the sums that stand in the margin:

    counts --smallest cell--> withheld --a line with one of them, or with few in all--> more withheld
                                       --a cell that the other lines determine (no cycle)--> more withheld, until none is

A cell of a table whose margins are shown is determined exactly where, in the graph of rows and columns with the withheld cells as
edges, it lies on no cycle (Gusfield, SIAM J. Comput. 1988). These are rules about one table. Two questions that differ by a few
patients differ by their sums, and only differential privacy stops that altogether: a hospital's register of questions
(`site/question_register.py`) refuses those that it can see.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Withheld = NDArray[np.bool_]


def shown_count(count: int, smallest: int) -> str:
    """A count as it may be shown: `< 5` for one below the smallest cell. 0 is shown: it is of nobody.

    >>> shown_count(3, 5), shown_count(0, 5), shown_count(12, 5)
    ('< 5', '0', '12')
    """
    return f"< {smallest}" if 0 < count < smallest else str(count)


def kept_ends(leaving: NDArray[np.int64], smallest: int, asked_ends: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Which cells of a grid of times may end where they do: (cells,); a cell that may not is joined with its neighbour.

    leaving: (groups, cells + 1), how many leave in each cell; the last column are those beyond the grid. In the grid that is left
    each group has nobody or at least `smallest` in every cell, and beyond. None is kept where there are too few altogether.
    asked_ends: (cells,), ends for whose sake cells before them are joined, rather than these with the next.

    >>> kept_ends(np.array([[3, 4, 0, 9, 2, 0]]), 5)  # 3 and 4 are joined, and the 2 with the 9
    array([False,  True,  True, False,  True])
    """
    cells = leaving.shape[1] - 1
    asked_ends = np.zeros(cells, bool) if asked_ends is None else asked_ends
    until = np.concatenate([np.zeros((len(leaving), 1), np.int64), leaving.cumsum(axis=1)], axis=1)
    kept: list[int] = []

    def may_stand(first: int, last: int) -> bool:
        """Whether the cells from `first` up to, not including, `last` may be one."""
        counts = until[:, last] - until[:, first]
        return bool(((counts == 0) | (counts >= smallest)).all())

    def begins() -> int:
        return kept[-1] + 1 if kept else 0

    for cell in range(cells):
        dropped: list[int] = []
        if asked_ends[cell] or cell == cells - 1:
            while kept and not asked_ends[kept[-1]] and not may_stand(begins(), cell + 1):
                dropped.append(kept.pop())
        if may_stand(begins(), cell + 1):
            kept.append(cell)
        else:
            kept += dropped[::-1]
    while kept and not may_stand(begins(), cells + 1):
        kept.pop()
    mask = np.zeros(cells, bool)
    mask[kept] = True
    return mask


def withheld_of_list(counts: Counts, smallest: int) -> Withheld:
    """Which counts (n,) may not be shown beside their sum: the small ones, and as many more as hide them.

    >>> withheld_of_list(np.array([40, 3, 12, 9]), 5).tolist()
    [False, True, False, True]
    """
    withheld = (counts > 0) & (counts < smallest)
    while withheld.any() and not withheld.all() and (withheld.sum() == 1 or counts[withheld].sum() < smallest):
        withheld[_next_smallest(counts, withheld)] = True
    return withheld


def withheld_of_table(counts: Counts, smallest: int) -> Withheld:
    """Which counts (r, c) may not be shown beside the sums of rows and columns. A line without anybody hides nothing: its cells
    are known to be 0, and stay."""
    rows, columns = (np.flatnonzero(counts.sum(axis=axis) > 0) for axis in (1, 0))
    whole = np.zeros(counts.shape, bool)
    if len(rows) and len(columns):
        whole[np.ix_(rows, columns)] = _withheld_of_filled(counts[np.ix_(rows, columns)], smallest)
    return whole


def _withheld_of_filled(counts: Counts, smallest: int) -> Withheld:
    if min(counts.shape) == 1:
        return withheld_of_list(counts.reshape(-1), smallest).reshape(counts.shape)
    withheld = (counts > 0) & (counts < smallest)
    small = withheld.copy()
    while True:
        _complete_lines(counts, withheld, smallest)
        determined = [cell for cell in _determined(withheld) if small[cell]]
        if not determined:
            return withheld
        if not _withhold_one_more(counts, withheld, determined[0]):
            return np.ones_like(withheld)


def _complete_lines(counts: Counts, withheld: Withheld, smallest: int) -> None:
    """No row or column has a single withheld cell, or withheld cells of fewer patients than the rule allows."""
    changed = True
    while changed:
        changed = False
        for line, hidden in _lines(counts, withheld):
            while hidden.any() and not hidden.all() and (hidden.sum() == 1 or line[hidden].sum() < smallest):
                hidden[_next_smallest(line, hidden)] = True
                changed = True


def _lines(counts: Counts, withheld: Withheld) -> Iterator[tuple[Counts, Withheld]]:
    """Rows and columns, as views of both arrays."""
    yield from zip(counts, withheld, strict=True)
    yield from zip(counts.T, withheld.T, strict=True)


def _next_smallest(counts: Counts, withheld: Withheld) -> int:
    """The smallest count that is still shown; one above 0 where there is any, since a 0 hides little."""
    open_cells = np.flatnonzero(~withheld)
    filled = open_cells[counts[open_cells] > 0]
    among = filled if len(filled) else open_cells
    return int(among[np.argmin(counts[among])])


def _withhold_one_more(counts: Counts, withheld: Withheld, cell: tuple[int, int]) -> bool:
    """Withholds another cell of the row or the column of a determined one; False where all are withheld."""
    row, column = cell
    for line, hidden in ((counts[row], withheld[row]), (counts[:, column], withheld[:, column])):
        if not hidden.all():
            hidden[_next_smallest(line, hidden)] = True
            return True
    return False


def _determined(withheld: Withheld) -> list[tuple[int, int]]:
    """Withheld cells that the margins and the shown cells determine: edges on no cycle."""
    cells = [(int(row), int(column)) for row, column in np.argwhere(withheld)]
    determined = []
    for cell in cells:
        others = [other for other in cells if other != cell]
        if not _connected(others, cell):
            determined.append(cell)
    return determined


def _connected(edges: list[tuple[int, int]], cell: tuple[int, int]) -> bool:
    """Whether the row and the column of a cell are joined by other withheld cells."""
    rows, columns, grown = {cell[0]}, set[int](), True
    while grown:
        reached = {column for row, column in edges if row in rows}
        back = {row for row, column in edges if column in reached}
        grown = not (reached <= columns and back <= rows)
        columns |= reached
        rows |= back
    return cell[1] in columns


def free_cells(withheld: Withheld) -> int:
    """How many withheld cells can be chosen freely with the margins kept: a figure of the whole table, such as chi-square, is one
    more equation, and is withheld itself where this is 1."""
    cells = [(int(row), int(column)) for row, column in np.argwhere(withheld)]
    lines = {("row", row) for row, _ in cells} | {("column", column) for _, column in cells}
    parts, left = 0, set(lines)
    while left:
        parts += 1
        front = [left.pop()]
        while front:
            kind, number = front.pop()
            for row, column in cells:
                if (kind == "row" and row == number) or (kind == "column" and column == number):
                    for line in (("row", row), ("column", column)):
                        if line in left:
                            left.discard(line)
                            front.append(line)
    return len(cells) - len(lines) + parts


def may_show_quantile(count: int, share: float, smallest: int) -> bool:
    """Whether a quantile lies far enough from both ends: at least the smallest cell of patients beyond it on either side.

    >>> may_show_quantile(20, 0.25, 5), may_show_quantile(19, 0.25, 5), may_show_quantile(200, 0.01, 5)
    (True, False, False)
    """
    return count * min(share, 1.0 - share) >= smallest


def joined_bins(counts: Counts, smallest: int) -> list[tuple[int, int]]:
    """Neighbouring bins joined until each holds nobody or at least the smallest cell; (first, one behind the last) of each.

    >>> joined_bins(np.array([9, 2, 0, 7, 1]), 5)
    [(0, 1), (1, 5)]
    """
    groups: list[tuple[int, int]] = []
    start, held = 0, 0
    for position, count in enumerate(counts.tolist(), 1):
        held += count
        if held >= smallest or held == 0:
            groups.append((start, position))
            start, held = position, 0
    if held:
        while groups and held < smallest:
            first, behind = groups.pop()
            held += int(counts[first:behind].sum())
            start = first
        groups.append((start, len(counts)))
    return groups
