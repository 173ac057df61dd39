"""A frame as the rows of a table: its columns as cells, and what its rows and columns show beside their values."""

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.sources.places import Place, RowPlaces
from wardround.sources.read_result import Problem
from wardround.sources.tables.cells import Cells
from wardround.sources.tables.column_names import near_twins, require_single, used_names
from wardround.sources.tables.csv_text import CsvSettings, is_parquet
from wardround.sources.tables.header_again import without_headers
from wardround.sources.tables.table import ROWS, LineOf, TableRows
from wardround.sources.tables.table_frame import csv_frame, parquet_frame
from wardround.study.contract import DataContract
from wardround.values.errors import DataError


def read_rows(path: Path, contract: DataContract, settings: CsvSettings | None = None) -> TableRows:
    """The table in a file; DataError where it is damaged or where a name that is used stands over two columns."""
    if is_parquet(path):
        return rows_of_frame(parquet_frame(path, used_names(contract)), contract)
    used = used_names(contract)
    frame, line_of = without_headers(*csv_frame(path, contract, settings or CsvSettings(), used), used)
    return rows_of_frame(frame, contract, line_of)


def rows_of_frame(
    frame: pl.DataFrame,
    contract: DataContract,
    line_of: LineOf | None = None,
    *,
    problems: Sequence[Problem] = (),
    spellings_settled: bool = False,
) -> TableRows:
    """A frame as the rows of a table. DataError where a column that is used holds lists or other nested values."""
    used = used_names(contract)
    require_single(frame.columns, used)
    for name in used:
        if name in frame.columns:
            require_flat(frame.get_column(name))
    columns = {name: frame.get_column(name) for name in frame.columns}
    numbers = {column.name for column in contract.columns if column.kind == "number"}
    each_row = np.arange(frame.height)
    return TableRows(
        frame.height,
        tuple(columns),
        lambda name: cells_in(columns.get(name), each_row=each_row if name in numbers else None),
        lambda name: words_in(columns.get(name)),
        line_of,
        (*problems, *_row_problems(frame, contract, line_of)),
        spellings_settled,
        lambda name: columns.pop(name, None),
    )


def require_flat(column: pl.Series) -> None:
    """DataError where a column holds several values in a cell, bytes, or spans of time."""
    kind = column.dtype
    if kind.is_nested() or kind in (pl.Binary, pl.Object):
        words = "bytes" if kind in (pl.Binary, pl.Object) else "lists or groups of values"
        raise DataError(
            f"Column {column.name!r} holds {words} where one value is promised",
            found=str(kind),
            hint="export it as text"
            if words == "bytes"
            else "export one value in each row: the first, the last or the mean of the list, as the study says",
        )
    if kind == pl.Duration:
        raise DataError(
            f"Column {column.name!r} holds durations, which have no unit",
            found=str(kind),
            hint="export them as a number in the contract's unit, such as hours or days",
        )


def _row_problems(frame: pl.DataFrame, contract: DataContract, line_of: LineOf | None) -> list[Problem]:
    """Copied rows, rows alike but for the label, and columns of nearly the same name."""
    twins: dict[str, list[Place]] = {}
    for name, other in near_twins(frame.columns, used_names(contract)):
        twins.setdefault(name, []).append(Place(column=other))
    hint = "make sure that the contract names the right one"
    problems = [
        Problem(
            "warning", f"near-name:{name}", f"Other columns have nearly the name of {name!r} and are not used", hint, len(p), p
        )
        for name, p in twins.items()
    ]
    if contract.patient.column not in frame.columns or not frame.height:
        return problems
    plain = frame.select(pl.col(name) for name, kind in frame.schema.items() if not kind.is_nested() and kind != pl.Object)
    label_columns = [name for name in contract.label.columns if name in plain.columns]
    labelled = bool(label_columns) and plain.width > len(label_columns)
    alike = _repeated(plain.drop(label_columns) if labelled else plain)
    copies = alike if not len(alike) or not labelled else _repeated(plain)
    if len(copies):
        text, hint = "Rows that copy another one in every cell, the patient's too", "keep one of each"
        problems.append(Problem("warning", "copied-rows", text, hint, len(copies), RowPlaces(copies, "", line_of), ROWS))
    relabelled = np.setdiff1d(alike, copies)
    if len(relabelled):
        text, hint = "Rows that are alike in every cell, the patient's too, but have different labels", "find the right label"
        problems.append(
            Problem("warning", "rows-other-label", text, hint, len(relabelled), RowPlaces(relabelled, "", line_of), ROWS)
        )
    return problems


def _repeated(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Rows that are equal to an earlier one."""
    hashes = frame.hash_rows().to_numpy()
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return np.zeros(0, np.int64)
    rows = np.flatnonzero(np.isin(hashes, twice))
    part = frame[rows].with_row_index("wardround row")
    first = part.group_by(frame.columns, maintain_order=True).agg(pl.col("wardround row").first()).get_column("wardround row")
    later = np.ones(len(rows), bool)
    later[first.to_numpy()] = False
    return rows[later]


def cells_in(column: pl.Series | None, *, each_row: NDArray[np.int64] | None = None) -> Cells | None:
    """A column as cells; None where the table has no such column.

    each_row: 0, 1, 2, ... for numbers: each row has a word of its own, and all are parsed at once.
    """
    if column is None:
        return None
    text = text_of(column)
    if each_row is not None:
        return Cells(_Words(text), each_row, _parsed_numbers(text), one_a_row=True)
    distinct = text.unique(maintain_order=True)
    position = pl.Series(range(len(distinct)), dtype=pl.Int64)
    index = text.replace_strict(distinct, position, return_dtype=pl.Int64).to_numpy().astype(np.int64)
    cells = Cells.of_list([str(word).strip() for word in distinct.to_list()])
    return Cells(cells.words, cells.index[index], cells.numbers)


class _Words(Sequence[str]):
    """The words of a column, made into Python text one at a time."""

    def __init__(self, text: pl.Series) -> None:
        self._text = text

    def __len__(self) -> int:
        return len(self._text)

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[str]: ...
    def __getitem__(self, position: int | slice) -> str | Sequence[str]:
        if isinstance(position, slice):
            return _Words(self._text[position])
        return str(self._text[position]).strip()


def text_of(column: pl.Series) -> pl.Series:
    """Every value as `cell_of` spells it, "" where there is none."""
    kind = column.dtype
    if kind == pl.Boolean:
        return column.cast(pl.Int8).cast(pl.String).fill_null("")
    if kind.is_float():
        return _float_text(column.cast(pl.Float64))
    if kind == pl.String:
        text = column.fill_null("") if column.null_count() else column
        return text.str.strip_chars() if text.len() < 10_000 else text
    return column.cast(pl.String).fill_null("")


def _float_text(column: pl.Series) -> pl.Series:
    whole = (column.round(0) == column) & (column.abs() <= 2.0**53)
    spelled = pl.when(whole).then(column.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(column.cast(pl.String))
    text = pl.select(spelled).to_series()
    return text.set(column.is_nan().fill_null(True), "").fill_null("")


def _parsed_numbers(text: pl.Series) -> NDArray[np.float64]:
    """NaN where a cell is no plain number."""
    parsed = text.cast(pl.Float64, strict=False)
    if parsed.null_count():
        parsed = text.str.strip_chars().cast(pl.Float64, strict=False)
    numbers = (parsed.fill_null(float("nan")) if parsed.null_count() else parsed).to_numpy()
    if not np.isinf(numbers).any():
        return numbers
    return np.where(np.isfinite(numbers) | _too_large(text, numbers), numbers, np.nan)


def _too_large(text: pl.Series, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Infinite, and written in digits: 1e400, as Python reads it too."""
    infinite = np.flatnonzero(np.isinf(numbers))
    large = np.zeros(len(numbers), bool)
    large[[row for row in infinite.tolist() if str(text[row]).strip().strip("+-")[:1].isdigit()]] = True
    return large


def words_in(column: pl.Series | None) -> list[str] | None:
    """A column of names as they are written, trimmed; None where the table has no such column."""
    return None if column is None else [word.strip() for word in text_of(column).to_list()]
