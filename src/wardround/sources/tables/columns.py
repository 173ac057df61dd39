"""One column of a table, prepared by the contract's public constants alone. Needs numpy only, and serves one record as well as a
whole table:

    cell --codes--> value or missing --range, categories--> number --(x - center) / scale--> feature [, missing indicator]
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.sources.tables.cells import Cells, cell_of
from wardround.sources.tables.number_faults import (
    COMMA_UNCLEAR,
    DECIMAL_COMMA,
    ERROR_CELL,
    NumberFault,
    commas_unclear,
    fault_of,
)
from wardround.study.cell_codes import LARGEST, LARGEST_SCALED, category_codes, is_missing, missing_codes
from wardround.study.cell_values import Codes
from wardround.study.contract import ColumnContract
from wardround.study.missing_words import is_spreadsheet_error

__all__ = ["CellFault", "Cells", "PreparedColumn", "cell_of", "measured_values", "prepare_column", "words_that"]

_HINT_CATEGORY = (
    "correct them, or say in a mapping (wardround data map) which of the contract's codes each of them means; where they mean "
    "missing, name them under missing in the contract"
)


@dataclass(frozen=True)
class CellFault:
    """What is wrong with the cells of some rows (positions from 0); a text without any value."""

    code: str
    text: str
    hint: str
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class PreparedColumn:
    """n cells prepared. features: float32 (n, f), f = len(column.features). missing, outside: bool (n,).

    measured: the numbers before clipping, of cells that are neither missing nor faulty; empty for categories.
    """

    features: NDArray[np.float32]
    missing: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    measured: NDArray[np.float64]
    faults: tuple[CellFault, ...]


def prepare_column(column: ColumnContract, cells: Cells | Sequence[str]) -> PreparedColumn:
    """Every cell on its own: what one row becomes does not depend on the others."""
    table_cells = cells if isinstance(cells, Cells) else Cells.of_list(cells)
    prepared = _numbers(column, table_cells) if column.kind == "number" else _coded(column, table_cells)
    if column.max_missing == 0:
        return prepared
    indicator = prepared.missing[:, None].astype(np.float32)
    features = np.concatenate([prepared.features, indicator], axis=1)
    return PreparedColumn(features, prepared.missing, prepared.outside, prepared.measured, prepared.faults)


def _numbers(column: ColumnContract, cells: Cells) -> PreparedColumn:
    """Words are judged first, each once; then rows take what their word became."""
    missing = words_that(is_missing, missing_codes(column), cells)
    wrong = ~missing & ~(np.abs(cells.numbers) <= LARGEST)
    faults = _no_numbers(column, cells, wrong)
    usable = ~(missing | wrong)
    values = measured = cells.numbers if usable.all() else np.where(usable, cells.numbers, 0.0)
    outside = np.zeros(len(values), bool)
    if column.range is not None:
        low, high = column.range
        outside = usable & ((values < low) | (values > high))
        if column.outside == "refuse":
            faults.append(_outside(column, low, high, cells.rows_of(outside)))
        if column.outside == "clip":
            values = np.clip(values, low, high)
    missing = missing | (outside & (column.outside == "missing"))
    if column.log:
        without = usable & ~missing & (values <= 0)
        faults.append(_no_logarithm(column, cells.rows_of(without & ~outside)))
        values = np.log(np.where(missing | wrong | (values <= 0), 1.0, values))
    center, scale = column.constants
    with np.errstate(over="ignore"):
        scaled = (values - center) / scale
    scaled[missing | wrong] = 0.0
    huge = np.abs(scaled) > LARGEST_SCALED
    text = f"Column {column.name!r} has numbers that are too large after scaling"
    hint = "correct them, or give the column a larger scale in the contract"
    faults.append(CellFault(f"too-large:{column.name}", text, hint, cells.rows_of(huge)))
    scaled[huge] = 0.0
    measured = cells.by_row(measured)[cells.by_row(usable & ~huge)]
    features = cells.by_row(scaled.astype(np.float32))[:, None]
    return PreparedColumn(features, cells.by_row(missing), cells.by_row(outside), measured, _met(faults))


def measured_values(column: ColumnContract, cells: Cells) -> NDArray[np.float64]:
    """What each cell says, (n,): a number in the unit of the contract, after its rule for values outside the range, or the
    position of a code; NaN where nothing is said. No logarithm and no scale."""
    missing = words_that(is_missing, missing_codes(column), cells)
    if column.kind != "number":
        accepted = category_codes(column)
        positions = [accepted.position(word) for word in cells.words]
        other = len(column.categories) if column.other else np.nan
        values = np.array([other if position is None else position for position in positions], np.float64).reshape(len(missing))
        return cells.by_row(np.where(missing, np.nan, values))
    values = np.where(missing | ~(np.abs(cells.numbers) <= LARGEST), np.nan, cells.numbers)
    if column.range is not None and column.outside == "clip":
        values = np.clip(values, *column.range)
    if column.range is not None and column.outside == "missing":
        low, high = column.range
        values = np.where((values < low) | (values > high), np.nan, values)
    return cells.by_row(values)


def words_that(means: Callable[[str, Codes], bool], codes: Codes, cells: Cells) -> NDArray[np.bool_]:
    """Which words (u,) mean one of the codes: all that are no numbers are looked at, and the numbers that may be a code."""
    looked_at = ~np.isfinite(cells.numbers)
    for number in codes.number_candidates():
        looked_at |= cells.numbers == number
    chosen = np.zeros(len(cells.words), bool)
    for position in np.flatnonzero(looked_at).tolist():
        chosen[position] = means(cells.words[position], codes)
    return chosen


def _no_numbers(column: ColumnContract, cells: Cells, wrong: NDArray[np.bool_]) -> list[CellFault]:
    """One fault for each cause."""
    causes: dict[NumberFault, NDArray[np.bool_]] = {}
    for position in np.flatnonzero(wrong).tolist():
        cause = fault_of(cells.words[position])
        causes.setdefault(cause, np.zeros(len(wrong), bool))[position] = True
    if DECIMAL_COMMA in causes and commas_unclear(cells.words[at] for at in np.flatnonzero(causes[DECIMAL_COMMA]).tolist()):
        causes[COMMA_UNCLEAR] = causes.pop(DECIMAL_COMMA)
    return [
        CellFault(f"{cause.code}:{column.name}", f"Column {column.name!r} has {cause.text}", cause.hint, cells.rows_of(words))
        for cause, words in causes.items()
    ]


def _outside(column: ColumnContract, low: float, high: float, rows: NDArray[np.int64]) -> CellFault:
    unit = f" {column.unit}" if column.unit else ""
    text = f"Column {column.name!r} has values outside {low:g} to {high:g}{unit}"
    return CellFault(f"outside:{column.name}", text, "check the unit, or correct the values", rows)


def _no_logarithm(column: ColumnContract, rows: NDArray[np.int64]) -> CellFault:
    text = f"Column {column.name!r} has values of 0 or less, which have no logarithm"
    return CellFault(f"no-logarithm:{column.name}", text, "correct them, or name 0 under missing in the contract", rows)


def _coded(column: ColumnContract, cells: Cells) -> PreparedColumn:
    """One-hot (n, k) for a category, 0, 0.5 (missing) or 1 for a binary (n, 1)."""
    accepted = category_codes(column)
    missing = words_that(is_missing, missing_codes(column), cells)
    places = [accepted.position(word) for word in cells.words]
    positions = np.array([-1 if position is None else position for position in places], np.int64).reshape(len(places))
    broken = (
        np.array([is_spreadsheet_error(word) for word in cells.words], bool).reshape(len(places)) & (positions < 0) & ~missing
    )
    if column.other:
        positions[(positions < 0) & ~missing & ~broken] = len(column.categories)
    text = f"Column {column.name!r} has values the contract does not name"
    fault = CellFault(f"category:{column.name}", text, _HINT_CATEGORY, cells.rows_of((positions < 0) & ~missing & ~broken))
    errors = CellFault(
        f"{ERROR_CELL.code}:{column.name}",
        f"Column {column.name!r} has {ERROR_CELL.text}",
        ERROR_CELL.hint,
        cells.rows_of(broken),
    )
    if column.kind == "binary":
        plain = np.where(missing, 0.5, positions.astype(np.float64))[:, None]
    else:
        plain = ((positions[:, None] == np.arange(len(column.codes))) & ~missing[:, None]).astype(np.float64)
    features = cells.by_row(plain.astype(np.float32))
    return PreparedColumn(features, cells.by_row(missing), np.zeros(len(cells), bool), np.zeros(0), _met([fault, errors]))


def _met(faults: list[CellFault]) -> tuple[CellFault, ...]:
    return tuple(fault for fault in faults if len(fault.rows))
