"""CSV, CSV.gz and Parquet tables through polars, prepared by the contract's public constants alone.

    cell --codes--> value or missing --range, categories--> number --(x - center) / scale--> feature [, missing indicator]

Cells are read as text, so that "?" and -9 mean what the contract says and no type is guessed.
"""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.sources.damage import DAMAGE
from wardround.sources.file_tree import separator_in
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.read_result import ColumnFacts, Problem, ReadResult, collect
from wardround.sources.readiness.units import likely_factor
from wardround.study.contract import ColumnContract, DataContract, canonical_value, is_number
from wardround.values.errors import DataError

Cells = list[str]
_UNREADABLE: tuple[type[BaseException], ...] = (pl.exceptions.PolarsError, pl.exceptions.PanicException, *DAMAGE)
"""polars is written in Rust, whose assertions on a damaged Parquet file surface as PanicException."""

LARGEST = 1e30
"""A number beyond it does not fit the network's float32 after scaling, and is no measurement."""

ALWAYS_MISSING = frozenset({"", "nan"})


def read_table(path: Path, contract: DataContract) -> ReadResult:
    """Every row of the table; raises DataError where the file is damaged or lacks a column."""
    return table_result(_frame(path, contract), contract)


def table_result(frame: pl.DataFrame, contract: DataContract) -> ReadResult:
    """The rows of a table already read."""
    wanted = {column.name: _cells(frame, column.name) for column in contract.columns}
    labels = _cells(frame, contract.label.column)
    counter = ProblemCounter("of the rows in the order of the file")
    kept = np.ones(frame.height, bool)
    for column in contract.columns:
        codes = {canonical_value(code) for code in column.left_out}
        kept &= np.array([cell not in codes for cell in wanted[column.name]], dtype=bool)
    left_out = int(np.sum(~kept))
    outcomes, judged = _outcomes(labels, kept, contract, counter)
    rows = np.flatnonzero(judged)
    features, facts, problems = _features(contract, wanted, rows)
    return collect(
        features,
        outcomes[rows],
        patients=_names(frame, contract.patient.column, rows, counter),
        declared=[counter.split(word, row + 1) for word, row in zip(_optional(frame, "split", rows), rows.tolist(), strict=True)],
        sites=_optional(frame, contract.site.column, rows),
        problems=(*counter.problems(), *problems),
        columns=facts,
        left_out=left_out,
    )


def _outcomes(
    labels: Cells, kept: NDArray[np.bool_], contract: DataContract, counter: ProblemCounter
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Each row's target, and which rows have one: not those that are left out or have a label outside the contract."""
    targets = {cell: contract.label.judge(cell) for cell in set(labels)}
    outcomes, judged = np.zeros(len(labels), contract.label.dtype), np.zeros(len(labels), bool)
    for row in np.flatnonzero(kept).tolist():
        outcome = targets[labels[row]]
        if outcome is None:
            counter.unknown_label(row + 1)
        else:
            outcomes[row], judged[row] = outcome, True
    return outcomes, judged


def _frame(path: Path, contract: DataContract) -> pl.DataFrame:
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        if parquet:
            return pl.read_parquet(path)
        frame = pl.read_csv(path, separator=_separator(path), has_header=not contract.header, infer_schema=False)
    except _UNREADABLE:
        raise DataError(
            "The table cannot be read",
            expected="CSV (also gzipped) or Parquet, the same number of cells in every row, UTF-8",
            hint="export it again; for a CSV without a header line, name its columns in header under [data]",
        ) from None
    if not contract.header:
        return frame
    if frame.width != len(contract.header):
        raise DataError(
            "The table has another number of columns than the contract's header",
            expected=str(len(contract.header)),
            found=str(frame.width),
            hint="correct header under [data]",
        )
    return frame.rename(dict(zip(frame.columns, contract.header, strict=True)))


def _separator(path: Path) -> str:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else path.open("rb") as file:
        return separator_in(file.readline().decode())


def _cells(frame: pl.DataFrame, name: str) -> Cells:
    """A column as canonical text; "" where it is empty."""
    if name not in frame.columns:
        raise DataError(f"The table lacks the column {name!r}", hint="add it, or correct its name in the contract")
    column = frame.get_column(name)
    if column.dtype == pl.Boolean:
        column = column.cast(pl.Int8)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    spelled = {value: "" if value is None else canonical_value(_plain(value)) for value in column.unique().to_list()}
    return [spelled[value] for value in column.to_list()]


def _plain(value: Any) -> str | int | float:
    return value if isinstance(value, (int, float)) else str(value)


def _optional(frame: pl.DataFrame, name: str, rows: NDArray[np.int64]) -> list[str]:
    if name not in frame.columns:
        return [""] * len(rows)
    column = ["" if value is None else str(value).strip() for value in frame.get_column(name).to_list()]
    return [column[row] for row in rows]


def _names(frame: pl.DataFrame, name: str, rows: NDArray[np.int64], counter: ProblemCounter) -> list[str] | None:
    if name not in frame.columns:
        return None
    names = _optional(frame, name, rows)
    for row, patient in zip(rows.tolist(), names, strict=True):
        if not patient:
            counter.error("patient-absent", "Rows name no patient", "name the patient of every row", row + 1)
    return names


def _features(
    contract: DataContract, cells: dict[str, Cells], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], list[ColumnFacts], list[Problem]]:
    parts: list[NDArray[np.float32]] = []
    facts: list[ColumnFacts] = []
    problems: list[Problem] = []
    for column in contract.columns:
        counter = ProblemCounter("of the rows in the order of the file")
        part, fact = _column_features(column, [cells[column.name][row] for row in rows], rows, counter)
        parts.append(part)
        facts.append(fact)
        problems.extend(counter.problems())
    return np.concatenate(parts, axis=1), facts, problems


def _column_features(
    column: ColumnContract, cells: Cells, rows: NDArray[np.int64], counter: ProblemCounter
) -> tuple[NDArray[np.float32], ColumnFacts]:
    """The prepared features (n, f) of one column, f = len(column.features), and what it held."""
    codes = {canonical_value(code) for code in column.missing} | ALWAYS_MISSING
    missing = np.array([cell in codes for cell in cells], dtype=bool).reshape(len(cells))
    outside, factor = np.zeros(len(cells), bool), None
    if column.kind == "number":
        values, outside, factor = _numbers(column, cells, missing, rows, counter)
        missing = missing | (outside & (column.outside == "missing"))
        center, scale = column.constants
        plain = np.where(missing, 0.0, (values - center) / scale)[:, None]
    else:
        plain = _coded(column, cells, missing, rows, counter)
    share = float(missing.mean()) if len(cells) else 0.0
    if share > column.max_missing:
        for row in rows[missing]:
            text = (
                f"Column {column.name!r} has more missing values than the contract allows ({column.max_missing:.0%} of the rows)"
            )
            counter.error(
                f"missing:{column.name}", text, "fill them at the source, or raise max_missing for everyone", int(row) + 1
            )
    if column.max_missing > 0:
        plain = np.concatenate([plain, missing[:, None].astype(np.float64)], axis=1)
    fact = ColumnFacts(column.name, column.unit, len(cells), int(missing.sum()), int(outside.sum()), factor)
    return plain.astype(np.float32), fact


def _numbers(
    column: ColumnContract, cells: Cells, missing: NDArray[np.bool_], rows: NDArray[np.int64], counter: ProblemCounter
) -> tuple[NDArray[np.float64], NDArray[np.bool_], float | None]:
    """Numbers with 0 for missing ones, which are outside the range, and the unit factor that would mend it."""
    number = {cell: float(cell) if is_number(cell) else np.nan for cell in set(cells)}
    values = np.where(missing, 0.0, np.array([number[cell] for cell in cells], np.float64))
    wrong = ~np.isfinite(values) | (np.abs(values) > LARGEST)
    for row in rows[wrong]:
        counter.error(
            f"not-a-number:{column.name}", f"Column {column.name!r} has cells that are not numbers", _HINT_CELLS, int(row) + 1
        )
    values[wrong] = 0.0
    if column.range is None:
        return values, np.zeros(len(cells), bool), None
    low, high = column.range
    outside = ~missing & ~wrong & ((values < low) | (values > high))
    factor = likely_factor(values[~missing & ~wrong], low, high, column.name)
    if column.outside == "refuse":
        unit = f" {column.unit}" if column.unit else ""
        for row in rows[outside]:
            text = f"Column {column.name!r} has values outside {low:g} to {high:g}{unit}"
            counter.error(f"outside:{column.name}", text, "check the unit, or correct the values", int(row) + 1)
    return np.clip(values, low, high) if column.outside == "clip" else values, outside, factor


_HINT_CELLS = "correct them, or name their codes under missing in the contract"


def _coded(
    column: ColumnContract, cells: Cells, missing: NDArray[np.bool_], rows: NDArray[np.int64], counter: ProblemCounter
) -> NDArray[np.float64]:
    """One-hot (n, k) for a category, 0, 0.5 (missing) or 1 for a binary (n, 1)."""
    index = {code: k for k, code in enumerate(column.codes)}
    found = np.array([index.get(cell, -1) for cell in cells], dtype=np.int64).reshape(len(cells))
    for row in rows[(found < 0) & ~missing]:
        counter.error(
            f"category:{column.name}", f"Column {column.name!r} has values the contract does not name", _HINT_CELLS, int(row) + 1
        )
    if column.kind == "binary":
        return np.where(missing, 0.5, found.astype(np.float64))[:, None]
    hot: NDArray[np.float64] = ((found[:, None] == np.arange(len(index))) & ~missing[:, None]).astype(np.float64)
    return hot
