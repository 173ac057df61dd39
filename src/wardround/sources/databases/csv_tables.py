"""Tables as CSV files in a folder or a zip, read in blocks: a file larger than the memory passes through it.

A name may be in upper or lower case, and a file may be gzipped. Commas, semicolons, bars and tabs are told apart by the header;
tab-separated files, as vocabularies are given out, have no quotes.
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

import numpy as np
import polars as pl

from wardround.sources.databases.events import Tally
from wardround.sources.databases.members import Opener, open_members
from wardround.sources.databases.tables import READ_TABLES, UNREAD_TABLES, RowFilter
from wardround.sources.files.damage import DAMAGE
from wardround.sources.files.known_files import separator_in
from wardround.sources.places import Place
from wardround.sources.read_result import Problem
from wardround.sources.tables.csv_text import open_quote, swallows_rows
from wardround.values.errors import DataError

BLOCK = 32 * 2**20
"""Bytes that are parsed at once."""
LONGEST_LINE = 128 * 2**20
LARGEST_HEADER = 2**20
_SUFFIXES = (".csv", ".csv.gz")
_UNREADABLE: tuple[type[BaseException], ...] = (pl.exceptions.PolarsError, pl.exceptions.PanicException, *DAMAGE)


@dataclass(frozen=True)
class CsvTable:
    """columns: in lower case and in the order of the file."""

    name: str
    columns: tuple[str, ...]
    separator: str
    open: Opener


@dataclass(frozen=True)
class CsvTables:
    """problems: what is said of the files that are none of these tables."""

    tables: dict[str, CsvTable]
    problems: tuple[Problem, ...] = ()

    def columns(self, table: str) -> frozenset[str] | None:
        return frozenset(self.tables[table].columns) if table in self.tables else None

    def batches(
        self,
        table: str,
        columns: tuple[str, ...],
        row_filter: RowFilter | None = None,  # noqa: ARG002  every row of a file passes by anyway
    ) -> Iterator[pl.DataFrame]:
        described = self.tables[table]
        positions = [described.columns.index(name) for name in columns]
        try:
            with described.open() as file:
                file.readline(LARGEST_HEADER)
                line = 2
                for block in _blocks(file, described):
                    _require_whole_rows(block, described, line)
                    line += block.count(b"\n")
                    yield _parsed(block, described, positions).select(list(columns))
        except DataError:
            raise
        except _UNREADABLE:
            raise DataError(
                f"The table {table} cannot be read",
                expected="CSV in UTF-8, the same number of cells in every row, text with line breaks in double quotes",
                hint="export it again",
            ) from None


def _parsed(block: bytes, table: CsvTable, positions: list[int]) -> pl.DataFrame:
    ordered = sorted(positions)
    frame = pl.read_csv(
        block,
        has_header=False,
        columns=ordered,
        separator=table.separator,
        quote_char=None if table.separator == "\t" else '"',
        infer_schema=False,
    )
    return frame.rename(dict(zip(frame.columns, (table.columns[position] for position in ordered), strict=True)))


def _require_whole_rows(block: bytes, table: CsvTable, first_line: int) -> None:
    """DataError where a row has too few cells, which the parser would fill with nothing: its values would be missing ones."""
    width = len(table.columns)
    if _separators_missing(block, table, width) <= 0:
        return
    quoting: Literal[0, 3] = csv.QUOTE_NONE if table.separator == "\t" else csv.QUOTE_MINIMAL
    limit = csv.field_size_limit(2**31 - 1)
    try:
        reader = csv.reader(io.StringIO(block.decode("utf-8"), newline=""), delimiter=table.separator, quoting=quoting)
        before = 0
        for row in reader:
            if swallowed := next((cell for cell in row if swallows_rows(cell, table.separator, len(row))), None):
                raise open_quote(first_line + before, swallowed)
            if 0 < len(row) < width:
                raise DataError(
                    f"A row of the table {table.name} has fewer cells than its header",
                    expected=f"{width} cells", found=f"{len(row)} in line {first_line + before}",
                    hint="export the table again, or write the separators of empty cells too",
                )  # fmt: skip
            before = reader.line_num
    finally:
        csv.field_size_limit(limit)


def _separators_missing(block: bytes, table: CsvTable, width: int) -> int:
    """How many separators whole rows would have beyond those that are there, outside quotes. A row that is too long is refused by
    the parser, so that none makes up for a short one."""
    newlines, separators = block.count(b"\n"), block.count(table.separator.encode())
    if table.separator != "\t" and b'"' in block:
        letters = np.frombuffer(block, np.uint8)
        outside = (np.cumsum(letters == ord('"'), dtype=np.uint8) & 1) == 0
        newlines, separators = (int(np.count_nonzero(outside & (letters == ord(s)))) for s in ("\n", table.separator))
    return (newlines + (not block.endswith(b"\n"))) * (width - 1) - separators


def _blocks(file: IO[bytes], table: CsvTable) -> Iterator[bytes]:
    """Whole lines, about BLOCK bytes at a time. A line break between quotes ends no line."""
    rest = b""
    while read := file.read(BLOCK):
        block = rest + read
        end = _end_of_lines(block, quoted=table.separator != "\t")
        if end == 0 and len(block) > LONGEST_LINE:
            raise DataError(f"A line of the table {table.name} has no end", hint="look for a quote that is never closed")
        if end:
            yield block[:end]
        rest = block[end:]
    if rest.strip():
        yield rest


def _end_of_lines(block: bytes, *, quoted: bool) -> int:
    """Where the last whole line ends. Between an odd number of quotes, a line break belongs to a cell."""
    end = block.rfind(b"\n") + 1
    odd = quoted and block.count(b'"', 0, end) % 2
    while end and odd:
        earlier = block.rfind(b"\n", 0, end - 1) + 1
        odd ^= block.count(b'"', earlier, end) % 2
        end = earlier
    return end


@contextmanager
def open_csv_tables(path: Path) -> Iterator[CsvTables]:
    """The CSV files of a folder or zip, each by its name. DataError where two have one name, or a header one column twice."""
    with open_members(path) as files:
        yield _tables(files)


def table_name(file: str) -> str | None:
    """The table in a CSV file, by the file's name; None where it is no CSV.

    >>> table_name("cdm/PERSON.csv"), table_name("concept.CSV.gz"), table_name("readme.txt")
    ('person', 'concept', None)
    """
    name = PurePosixPath(file).name.casefold()
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), None)


def _tables(files: dict[str, Opener]) -> CsvTables:
    tables: dict[str, CsvTable] = {}
    others: list[str] = []
    for file, opener in files.items():
        name = table_name(file)
        if name not in READ_TABLES:
            others.append(file)
            continue
        if name in tables:
            raise DataError(f"Two files hold the table {name}", hint="keep one of them in this folder or zip")
        tables[name] = _described(name, opener)
    return CsvTables(tables, _told(others))


_PART = re.compile(rf"({'|'.join(sorted(READ_TABLES, key=len, reverse=True))})([^a-z].*)")


def _told(files: list[str]) -> tuple[Problem, ...]:
    """What is said of files that are not read. Under the name of a table and something more, half of it may lie there."""
    tally = Tally()
    for file in files:
        spot = [Place(file=file)]
        bare = PurePosixPath(file).name.casefold()
        if table_name(file) in UNREAD_TABLES:
            text = "Tables of OMOP that no cohort asks for were not read"
            tally.add("note", "unused-tables", text, "", places=spot)
        elif _PART.fullmatch(bare):
            tally.add(
                "error", "table-in-parts", "Files have the name of a table and something more, and were not read",
                "join the parts of a table into one CSV that has its name alone, such as measurement.csv; move other files away",
                places=spot,
            )  # fmt: skip
        else:
            text = "Files that are no CSV with the name of a table of OMOP were not read"
            tally.add("warning", "other-files", text, "nothing is to be done unless tables are missing", places=spot)
    return tally.problems()


def _described(name: str, opener: Opener) -> CsvTable:
    try:
        with opener() as file:
            header = file.readline(LARGEST_HEADER).decode("utf-8-sig").strip("\r\n")
        separator = separator_in(header)
        cells = tuple(cell.strip().casefold() for cell in next(csv.reader([header], delimiter=separator), []))
    except DAMAGE:
        text = f"The header of the table {name} cannot be read"
        raise DataError(text, expected="CSV in UTF-8", hint="export it again") from None
    if twice := sorted({cell for cell in cells if cells.count(cell) > 1}):
        text = f"The table {name} has a column twice"
        raise DataError(text, found=", ".join(twice), hint="take one of them out, or name it otherwise")
    return CsvTable(name, cells, separator, opener)
