"""CSV, CSV.gz and Parquet as a frame of columns, through polars. It is large, and starts threads when it is imported: only this
module, `frame_rows` and `excel` do so.

    file --csv_text--> form --polars--> frame of text --frame_rows--> TableRows

Cells are read as text, so that "?" and -9 mean what the contract says and no type is guessed.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.sources.files.damage import DAMAGE
from wardround.sources.files.density import require_bearable
from wardround.sources.progress import tell
from wardround.sources.tables.column_names import clean_name, require_single
from wardround.sources.tables.csv_text import (
    CsvForm,
    CsvSettings,
    form_of,
    header_candidate,
    open_csv,
    open_quote,
    ragged,
    stray_zeros,
    swallows_rows,
    title_above,
    why_broken,
)
from wardround.sources.tables.table import LineOf
from wardround.study.contract import DataContract
from wardround.values.errors import DataError

_UNREADABLE: tuple[type[BaseException], ...] = (pl.exceptions.PolarsError, pl.exceptions.PanicException, *DAMAGE)
"""polars is written in Rust, whose assertions on a damaged Parquet file surface as PanicException."""

_CHUNK = 2**22


def parquet_frame(path: Path, used: Sequence[str]) -> pl.DataFrame:
    """The columns of a Parquet file, as typed as they are there."""
    try:
        _require_bearable(path)
        frame = pl.read_parquet(path)
    except DataError:
        raise
    except _UNREADABLE:
        raise DataError("The table cannot be read", expected="a whole Parquet file", hint="copy or export it again") from None
    require_single(frame.columns, used)
    return frame.rename(dict(zip(frame.columns, _unlike(frame.columns), strict=True)))


def _require_bearable(path: Path) -> None:
    """A billion equal rows of Parquet take some kilobytes, and a machine's memory once they are read."""
    lazy = pl.scan_parquet(path)
    cells = int(lazy.select(pl.len()).collect().item()) * len(lazy.collect_schema())
    require_bearable(path.stat().st_size, cells * 8)


def _unlike(names: list[str]) -> list[str]:
    """Clean names; of names that nobody uses and that are equal once cleaned, the second keeps its spelling."""
    taken: set[str] = set()
    unlike: list[str] = []
    for name in names:
        unlike.append(name if clean_name(name) in taken else clean_name(name))
        taken.add(unlike[-1])
    return unlike


def csv_frame(path: Path, contract: DataContract, settings: CsvSettings, used: Sequence[str]) -> tuple[pl.DataFrame, LineOf]:
    """The cells of a CSV as text, and the line of each row. Lines in which every cell is empty are no rows."""
    try:
        form = form_of(path, used, contract.header, settings)
    except DAMAGE:
        raise DataError("The table cannot be read", expected="a whole CSV file", hint="copy or export it again") from None
    if form.names is not None:
        require_single(form.names, used)
    tell(f"reading {path.stat().st_size / 1e6:.0f} MB")
    frame = _parsed(path, form, contract, used)
    if form.names is not None:
        if not set(frame.columns) & set(used) and (line := header_candidate(path, form, used)):
            raise title_above(line)
    elif frame.width != len(contract.header):
        raise DataError(
            "The table has another number of columns than the contract's header",
            expected=str(len(contract.header)),
            found=str(frame.width),
            hint="correct header under [data]",
        )
    else:
        frame = frame.rename(dict(zip(frame.columns, contract.header, strict=True)))
    if not frame.height:
        raise DataError("The table has a header and no row below it", hint="export it again with its rows")
    return _without_empty_rows(path, form, _without_text_formulas(path, frame))


def _without_text_formulas(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """A cell ="0117" is how programs make a spreadsheet keep a text as it is: it means that text."""
    with open_csv(path) as file:
        head = file.read(_CHUNK)
    if b'="' not in head and b'=\0"' not in head:
        return frame
    return frame.with_columns(pl.col(pl.String).str.replace(r'(?s)^\s*="(.*)"\s*$', "$1"))


def _parsed(path: Path, form: CsvForm, contract: DataContract, used: Sequence[str]) -> pl.DataFrame:
    names = form.names
    try:
        return pl.read_csv(
            path if form.encoding in ("utf-8", "utf-8-sig") else _as_utf8(path, form.encoding),
            separator=form.separator,
            has_header=False,
            skip_rows=form.header_line,
            new_columns=None if names is None else _numbered(names),
            schema=None if names is None else dict.fromkeys(_numbered(names), pl.String),
            infer_schema=False,
        )
    except pl.exceptions.NoDataError:
        raise DataError("The table has a header and no row below it", hint="export it again with its rows") from None
    except _UNREADABLE:
        if names is not None and (line := header_candidate(path, form, used)):
            raise title_above(line) from None
        width = len(contract.header) if names is None else len(names)
        try:
            raise why_broken(path, form, width) from None
        except DAMAGE:
            raise DataError("The table cannot be read", expected="a whole CSV file", hint="copy or export it again") from None


def _numbered(names: tuple[str, ...]) -> list[str]:
    """The names of a header; one that is not used may stand there twice, and nobody asks for it."""
    seen: set[str] = set()
    unlike: list[str] = []
    for position, name in enumerate(names, 1):
        unlike.append(name if name and name not in seen else f"{name} (column {position})")
        seen.add(name)
    return unlike


def _as_utf8(path: Path, encoding: str) -> io.BytesIO:
    with open_csv(path) as file:
        return io.BytesIO(file.read().decode(encoding).encode("utf-8"))


def _without_empty_rows(path: Path, form: CsvForm, frame: pl.DataFrame) -> tuple[pl.DataFrame, LineOf]:
    """Rows with a cell, and the line of each. DataError where a row is short, or holds other rows between quotation marks."""
    marks = _marks(path, form)
    lines: NDArray[np.int64] | None = None
    short = frame.get_column(frame.columns[-1]).null_count() > 0
    fewer = marks.separators < (frame.width - 1) * (frame.height + (form.header_line > 0))
    if (short and (marks.quotes or fewer)) or (marks.quotes and marks.newlines > frame.height + form.header_line):
        lines = _scanned(path, form, frame.width)
    empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series() if short else None
    if empty is not None and empty.any():
        rows = np.flatnonzero(~empty.to_numpy())
        frame = frame.filter(~empty)
        lines = rows + form.header_line + 1 if lines is None or len(lines) != len(empty) else lines[rows]
        if not frame.height:
            raise DataError("The table has a header and no row below it", hint="export it again with its rows")
    if lines is not None and len(lines) == frame.height:
        known_lines = lines
        return frame, lambda row: int(known_lines[row])
    return frame, lambda row: row + form.header_line + 1


class _Marks:
    """How often a newline, the separator and a quotation mark stand in a file."""

    def __init__(self, newlines: int, separators: int, quotes: int) -> None:
        self.newlines, self.separators, self.quotes = newlines, separators, quotes


def _marks(path: Path, form: CsvForm) -> _Marks:
    marks = [ord(sign) for sign in ("\n", form.separator, '"')]
    counts = [0, 0, 0]
    bytewise = not form.encoding.casefold().replace("_", "-").startswith(("utf-16", "utf-32"))
    with open_csv(path) as file:
        while chunk := file.read(_CHUNK):
            if bytewise and b"\0" in chunk:
                raise stray_zeros(chunk, counts[0])
            signs = np.frombuffer(chunk, np.uint8)
            counts = [count + int(np.count_nonzero(signs == mark)) for count, mark in zip(counts, marks, strict=True)]
    return _Marks(*counts)


def _scanned(path: Path, form: CsvForm, width: int) -> NDArray[np.int64]:
    """The line on which each row begins, by the slow way through the file. DataError for the first row that is no row."""
    lines: list[int] = []
    short: list[tuple[int, int]] = []
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with open_csv(path) as raw, io.TextIOWrapper(raw, encoding=form.encoding, newline="") as file:
            above = max(form.header_line - 1, 0)
            for _ in range(above):
                file.readline()
            reader = csv.reader(file, delimiter=form.separator)
            if form.header_line:
                next(reader, None)  # a name may stand on two lines
            line = above + reader.line_num + 1
            for row in reader:
                if len(row) not in (0, width):
                    short.append((line, len(row)))
                if swallowed := next((cell for cell in row if swallows_rows(cell, form.separator, width)), None):
                    raise open_quote(line, swallowed)
                lines.append(line)
                line = above + reader.line_num + 1
    finally:
        csv.field_size_limit(limit)
    if short:
        raise ragged([line for line, _ in short], width, [cells for _, cells in short])
    return np.array(lines, np.int64)
