"""The disclosure rules: what totals of all hospitals may be shown. One place, called where a result is made.

A total is not safe because it was summed under a mask: a cell of one patient is that patient. So counts below a smallest cell are
withheld, and so is what would give them away.
"""

import numpy as np
from numpy.typing import NDArray

WITHHELD = "withheld"


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
