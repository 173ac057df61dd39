"""The public grid of times that counts are made on: cells, and which of them may stand apart.

    ends 91, 182, 273, ...     cell 0: 0 to 91, with both     cell k: after ends[k - 1], up to and with ends[k]     beyond: later

Days are whole numbers, so a cell one day wide is one day, and what is computed from such cells is what the rows themselves give.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class TimeGrid:
    """ends: rising, the first one at least 0. whole: whether times are whole numbers.

    >>> grid = TimeGrid.every(91, 365)
    >>> grid.ends
    (91.0, 182.0, 273.0, 365.0)
    >>> grid.cell_of(np.array([0, 91, 92, 365, 366, 9000])).tolist()  # the last two lie beyond
    [0, 0, 1, 3, 4, 4]
    >>> TimeGrid.every(1, 3).ends  # days
    (0.0, 1.0, 2.0, 3.0)
    """

    ends: tuple[float, ...]
    whole: bool = True

    def __post_init__(self) -> None:
        if not self.ends or self.ends[0] < 0 or any(low >= high for low, high in pairwise(self.ends)):
            raise ValueError("a time grid has rising ends of cells, at least one")
        if not self.whole and self.ends[0] == 0:
            raise ValueError("where times are not whole numbers the first cell needs some width")

    @classmethod
    def every(cls, width: float, until: float, named: tuple[float, ...] = (), *, whole: bool = True) -> "TimeGrid":
        """Cells of one width up to `until`. A cell ends at each named time, in place of the ends less than half a width away."""
        first = 0.0 if whole and width == 1 else width
        fixed = np.array(sorted({*map(float, named), float(until)}))
        regular = np.arange(first, until, width)
        far = (np.abs(regular[:, None] - fixed) * 2 >= width).all(axis=1)
        return cls(tuple(float(end) for end in np.union1d(regular[far], fixed)), whole)

    @property
    def cells(self) -> int:
        """Without what lies beyond."""
        return len(self.ends)

    @property
    def starts(self) -> Floats:
        """(cells,), the first time of each cell; of a day, the day."""
        starts: Floats = np.r_[0.0, np.array(self.ends[:-1]) + (1.0 if self.whole else 0.0)]
        return starts

    @property
    def widths(self) -> Floats:
        """(cells,), how many whole times, or how long."""
        widths: Floats = np.array(self.ends) + (1.0 if self.whole else 0.0) - self.starts
        return widths

    def cell_of(self, times: Floats) -> Counts:
        """The cell of each time (n,); `cells` for those beyond."""
        return np.searchsorted(self.ends, times, side="left").astype(np.int64)

    def cells_until(self, time: float) -> int:
        """How many cells end at `time` or before it."""
        return int(np.searchsorted(self.ends, time, side="right"))

    @property
    def before(self) -> Floats:
        """(cells,): of two patients who leave in a cell at times as likely as any, the chance that one leaves before the other.

        Whole times can be the same: in a cell one day wide nobody leaves before anybody.
        """
        return (self.widths - 1) / (2 * self.widths) if self.whole else np.full(self.cells, 0.5)

    def merged(self, kept: NDArray[np.bool_]) -> "TimeGrid":
        """The grid of the ends (cells,) that are kept, at least one."""
        return TimeGrid(tuple(end for end, stays in zip(self.ends, kept, strict=True) if stays), self.whole)
