"""One column of a table, prepared by the contract's public constants alone. Needs numpy only, and serves one record as well as a
whole table:

    cell --codes--> value or missing --range, categories--> number --(x - center) / scale--> feature [, missing indicator]
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.cell_codes import LARGEST, LARGEST_SCALED, missing_codes
from wardround.study.contract import ColumnContract, canonical_value, is_number

Cells = list[str]
"""Cells of one column in canonical spelling; "" where a cell is empty."""

_HINT_CELLS = "correct them, or name their codes under missing in the contract"


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


def cell_of(value: Any) -> str:
    """A raw value as canonical text: "" for None and NaN, "1" and "0" for booleans.

    >>> cell_of(None), cell_of(float("nan")), cell_of(True), cell_of(1.0), cell_of(" F ")
    ('', '', '1', '1', 'f')
    """
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None or (isinstance(plain, float) and np.isnan(plain)):
        return ""
    if isinstance(plain, bool):
        return str(int(plain))
    return canonical_value(plain if isinstance(plain, (int, float)) else str(plain))


def prepare_column(column: ColumnContract, cells: Cells) -> PreparedColumn:
    """Every cell on its own: what one row becomes does not depend on the others."""
    codes = missing_codes(column)
    missing = np.array([cell in codes for cell in cells], dtype=bool).reshape(len(cells))
    prepared = _numbers(column, cells, missing) if column.kind == "number" else _coded(column, cells, missing)
    if column.max_missing == 0:
        return prepared
    indicator = prepared.missing[:, None].astype(np.float32)
    features = np.concatenate([prepared.features, indicator], axis=1)
    return PreparedColumn(features, prepared.missing, prepared.outside, prepared.measured, prepared.faults)


def _numbers(column: ColumnContract, cells: Cells, missing: NDArray[np.bool_]) -> PreparedColumn:
    number = {cell: float(cell) if is_number(cell) else np.nan for cell in set(cells)}
    values = np.where(missing, 0.0, np.array([number[cell] for cell in cells], np.float64))
    wrong = ~np.isfinite(values) | (np.abs(values) > LARGEST)
    values[wrong] = 0.0
    raw, absent = values, missing
    text = f"Column {column.name!r} has cells that are not numbers"
    faults = [CellFault(f"not-a-number:{column.name}", text, _HINT_CELLS, np.flatnonzero(wrong))]
    outside = np.zeros(len(cells), bool)
    if column.range is not None:
        low, high = column.range
        outside = ~missing & ~wrong & ((values < low) | (values > high))
        if column.outside == "refuse":
            unit = f" {column.unit}" if column.unit else ""
            text = f"Column {column.name!r} has values outside {low:g} to {high:g}{unit}"
            hint = "check the unit, or correct the values"
            faults.append(CellFault(f"outside:{column.name}", text, hint, np.flatnonzero(outside)))
        if column.outside == "clip":
            values = np.clip(values, low, high)
    missing = missing | (outside & (column.outside == "missing"))
    center, scale = column.constants
    with np.errstate(over="ignore"):
        plain = np.where(missing | wrong, 0.0, (values - center) / scale)
    huge = np.abs(plain) > LARGEST_SCALED
    text = f"Column {column.name!r} has numbers that are too large after scaling"
    hint = "correct them, or give the column a larger scale in the contract"
    faults.append(CellFault(f"too-large:{column.name}", text, hint, np.flatnonzero(huge)))
    plain = np.where(huge, 0.0, plain)[:, None]
    return PreparedColumn(plain.astype(np.float32), missing, outside, raw[~absent & ~wrong & ~huge], _met(faults))


def _coded(column: ColumnContract, cells: Cells, missing: NDArray[np.bool_]) -> PreparedColumn:
    """One-hot (n, k) for a category, 0, 0.5 (missing) or 1 for a binary (n, 1)."""
    index = {code: k for k, code in enumerate(column.codes)}
    positions = np.array([index.get(cell, -1) for cell in cells], dtype=np.int64).reshape(len(cells))
    text = f"Column {column.name!r} has values the contract does not name"
    fault = CellFault(f"category:{column.name}", text, _HINT_CELLS, np.flatnonzero((positions < 0) & ~missing))
    if column.kind == "binary":
        plain = np.where(missing, 0.5, positions.astype(np.float64))[:, None]
    else:
        plain = ((positions[:, None] == np.arange(len(index))) & ~missing[:, None]).astype(np.float64)
    outside = np.zeros(len(cells), bool)
    return PreparedColumn(plain.astype(np.float32), missing, outside, np.zeros(0), _met([fault]))


def _met(faults: list[CellFault]) -> tuple[CellFault, ...]:
    return tuple(fault for fault in faults if len(fault.rows))
