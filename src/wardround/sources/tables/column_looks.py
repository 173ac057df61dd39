"""What a column looks like beside the label and the other columns: constant, a copy, a leak of the label, a fill code.

Nothing here makes a table unusable by itself; each is a warning with its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.places import Place, RowPlaces
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.tables.cells import Cells
from wardround.sources.tables.columns import PreparedColumn
from wardround.sources.tables.number_faults import may_hold_thousands, points_look_like_thousands
from wardround.study.contract import ColumnContract

FEWEST = 20
"""Rows below which a pattern is chance."""
FEWEST_OF_CLASS = 5
_SAMPLE = 2000

FILL_CODES = (
    -1.0, -7.0, -8.0, -9.0, -77.0, -88.0, -99.0, -777.0, -888.0, -999.0, -9999.0, -99999.0, 0.0, 77.0, 88.0, 99.0, 99.9, 777.0,
    888.0, 997.0, 998.0, 999.0, 999.9, 7777.0, 8888.0, 9998.0, 9999.0, 9999.9, 99999.0, 999999.0, 32767.0, -32768.0, 65535.0,
    2147483647.0, -2147483648.0, 4294967295.0,
)  # fmt: skip
_FAR = 20
HUGE = 1e15
"""No measurement is beyond it; netCDF's 9.96921e36 and its kin, 1e20 and 1e30 are."""


@dataclass(frozen=True)
class TableSpots:
    """Where the records of a table stand. rows: of the file, from 0, one for each record."""

    rows: NDArray[np.int64]
    cells: Cells
    line_of: Any = None

    def places(self, records: NDArray[np.int64], column: str) -> RowPlaces:
        """Records counted from 0, with the cell that stands there."""
        record_of = {int(self.rows[record]): int(record) for record in records.tolist()} if len(records) < _SAMPLE else None

        def value(row: int) -> str:
            return self.cells.word(int(np.searchsorted(self.rows, row)) if record_of is None else record_of[row])

        return RowPlaces(self.rows[records], column, self.line_of, value)


@dataclass
class ColumnCopies:
    """Columns that hold the same cells in every row, by their fingerprints."""

    _prints: dict[int, str] = field(default_factory=dict)

    def note(self, name: str, fingerprint: int | None, counter: ProblemCounter) -> None:
        """Tell of a column that copies an earlier one."""
        other = name if fingerprint is None else self._prints.setdefault(fingerprint, name)
        if other != name:
            text = f"Columns {other!r} and {name!r} hold the same values in every row"
            hint = "check the export: one of them may have been filled with the other"
            counter.warning(f"copy:{name}", text, hint, Place(column=name))


def look_at(
    column: ColumnContract,
    cells: Cells,
    prepared: PreparedColumn,
    outcomes: NDArray[Any],
    spots: TableSpots,
    counter: ProblemCounter,
) -> int | None:
    """Tell what is strange about one column, and give its fingerprint. outcomes: the label's target of each record (n,)."""
    if len(cells) < 2:
        return None
    where = Place(column=column.name)
    constant = len(cells) >= FEWEST and bool((prepared.features == prepared.features[0]).all())
    if constant and sum(len(fault.rows) for fault in prepared.faults) < len(cells):
        text = f"Column {column.name!r} holds one and the same value in every row"
        counter.warning(f"constant:{column.name}", text, "check the export; the network learns nothing from it", where)
    if _leaks(prepared, outcomes):
        text = f"Column {column.name!r} tells the label by itself: every value stands with one outcome only"
        hint = "find out whether it was written after the outcome was known; then take it out of the study"
        counter.warning(f"leak:{column.name}", text, hint, where)
    if column.kind == "number":
        _fill_codes(column, cells, prepared, spots, counter)
        _thousands(column, cells, prepared, spots, counter)
        _far_from_center(column, prepared, counter)
    return None if constant else _fingerprint(cells)


def _leaks(prepared: PreparedColumn, outcomes: NDArray[Any]) -> bool:
    """Whether the column determines a yes-or-no label: each value has one outcome, or one threshold divides the outcomes."""
    classes = np.unique(outcomes[:_SAMPLE]) if len(outcomes) >= FEWEST else np.zeros(0)
    if len(classes) != 2 or outcomes.dtype.kind not in "iub":
        return False
    if not _determines(prepared.features[:_SAMPLE], outcomes[:_SAMPLE]):
        return False
    return len(outcomes) <= _SAMPLE or _determines(prepared.features, outcomes)


def _fingerprint(cells: Cells) -> int:
    numbers = cells.by_row(cells.numbers)
    if np.isfinite(numbers[:_SAMPLE]).any():
        return hash(numbers.tobytes())
    words = np.array([hash(word) for word in cells.words], np.int64)
    return hash(cells.by_row(words).tobytes())


def _determines(features: NDArray[np.float32], outcomes: NDArray[Any]) -> bool:
    """Of prepared features (n, f): whether each distinct row of them has one outcome, and stands often enough to mean it."""
    yes = outcomes == outcomes.max()
    if min(int(yes.sum()), int((~yes).sum())) < FEWEST_OF_CLASS:
        return False
    first = features[:, 0]
    if features.shape[1] <= 2 and (first[yes].min() > first[~yes].max() or first[yes].max() < first[~yes].min()):
        return True
    _, group = np.unique(features, axis=0, return_inverse=True)
    group = group.reshape(-1)
    total = np.bincount(group)
    larger = np.bincount(group, weights=yes)
    pure = bool(np.all((larger == 0) | (larger == total)))
    return pure and len(total) * FEWEST_OF_CLASS <= len(outcomes)


def _fill_codes(
    column: ColumnContract, cells: Cells, prepared: PreparedColumn, spots: TableSpots, counter: ProblemCounter
) -> None:
    values = prepared.measured
    if len(values) < FEWEST_OF_CLASS:
        return
    suspects = fill_values(values)
    if len(suspects):
        records = np.flatnonzero(~prepared.missing & np.isin(cells.by_row(cells.numbers), suspects))
        text = f"Column {column.name!r} has a number far from its others that stands there again and again, as a fill code does"
        hint = "where it means that nothing was measured, name it under missing in the contract, or leave these cells empty"
        counter.rows("warning", f"fill-code:{column.name}", text, hint, spots.places(records, column.name))


def _thousands(
    column: ColumnContract, cells: Cells, prepared: PreparedColumn, spots: TableSpots, counter: ProblemCounter
) -> None:
    """A point between thousands reads as one before decimals: 1.234 becomes a little more than one, beside 850."""
    first = np.flatnonzero(~prepared.missing[:_SAMPLE]).tolist()
    if not all(may_hold_thousands(cells.word(record)) for record in first):
        return  # most columns, after a word or two
    values = prepared.measured
    broken = values[values != np.rint(values)] * 1000
    if not len(broken) or np.abs(values).max() >= 1000 or bool(np.any(np.abs(broken - np.rint(broken)) > 1e-6)):
        return
    if points_look_like_thousands(cells.word(record) for record in np.flatnonzero(~prepared.missing).tolist()):
        numbers = cells.by_row(cells.numbers)
        records = np.flatnonzero(np.isfinite(numbers) & np.array(["." in cells.word(at) for at in range(len(cells))], bool))
        text = f"Column {column.name!r} has points before three digits, and none in smaller numbers, as between thousands"
        hint = (
            'where 1.234 means more than a thousand, write a mapping with wardround data map, and in it decimal = "," and '
            'thousands = "."; else nothing is to be done'
        )
        counter.rows("warning", f"thousands-points:{column.name}", text, hint, spots.places(records, column.name))


def _far_from_center(column: ColumnContract, prepared: PreparedColumn, counter: ProblemCounter) -> None:
    """Without a range nothing else says that a column holds another unit, or another thing."""
    values = prepared.measured
    if column.range is not None or len(values) < FEWEST_OF_CLASS or (column.log and bool((values <= 0).any())):
        return
    center, scale = column.constants
    middle = float(np.median(values))
    if abs((np.log(middle) if column.log else middle) - center) > _FAR * scale:
        text = f"Column {column.name!r} lies far from what the contract expects: its middle is over {_FAR} scales from the center"
        hint = (
            "make sure that it is the right column in the right unit; where it is in another unit, write a mapping with "
            "wardround data map, and in it factor"
        )
        counter.warning(f"far-from-center:{column.name}", text, hint, Place(column=column.name))


def fill_values(values: NDArray[np.float64]) -> Sequence[float]:
    """Numbers that stand for "not measured": any beyond HUGE, and one of FILL_CODES far from the middle of the others.

    >>> list(fill_values(np.array([2.1, 3.4, 2.8, 9.96921e29, 2.2, -999.0, -999.0, 3.0])))
    [-999.0, 9.96921e+29]
    >>> list(fill_values(np.array([97.0, 99.0, 99.0, 98.0, 96.0])))
    []
    >>> list(fill_values(np.array([140.0, 0.0, 120.0, 0.0, 95.0]))), list(fill_values(np.array([10.0, 0.0, 1.0, 0.0, 3.0])))
    ([0.0], [])
    """
    low, high = float(values.min()), float(values.max())
    huge = sorted(set(values[np.abs(values) >= HUGE].tolist())) if max(-low, high) >= HUGE else []
    codes = [code for code in FILL_CODES if low <= code <= high and np.count_nonzero(values == code) >= 2]
    if not codes:
        return huge
    others = values[(np.abs(values) < HUGE) & ~np.isin(values, codes)]
    if len(others) < 3:
        return huge
    low, middle, high = np.quantile(others[:: max(1, len(others) // 10_000)], (0.05, 0.5, 0.95))
    far = 5 * max(high - low, abs(middle) * 0.2, 1e-12)
    codes = [code for code in codes if _lies_apart(code, others) or (code and abs(code - middle) > far)]
    return sorted({*codes, *huge})


def _lies_apart(code: float, others: NDArray[np.float64]) -> bool:
    """Of 0 and below: whether all others are far from 0, on the other side, as pressures are that were measured."""
    least, most = float(np.abs(others).min()), float(np.abs(others).max())
    return code <= 0 and least * 3 > most and bool((others > 0).all() or (code == 0 and (others < 0).all()))
