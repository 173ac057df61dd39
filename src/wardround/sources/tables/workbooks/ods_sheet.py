"""The marks of a sheet of an .ods, from its XML.

Source: OpenDocument 1.2, part 1, chapters 9 (tables) and 16.27 (data styles); errors are marked by LibreOffice's
calcext:value-type.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from wardround.sources.files.damage import DAMAGE
from wardround.sources.tables.workbooks.number_formats import PLAIN, NumberFormat
from wardround.sources.tables.workbooks.sheet_marks import LARGEST_SHEET, SheetMarks

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_ERROR = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
_OFFICE, _STYLE, _DATA = (f"{{urn:oasis:names:tc:opendocument:xmlns:{name}:1.0}}" for name in ("office", "style", "datastyle"))
_HIDDEN = frozenset({"collapse", "filter"})
_MOST_REPEATED = 2**20
"""Rows of a sheet; a repeated empty row at its end says more."""


@dataclass
class _Marks:
    errors: list[tuple[int, int, str]] = field(default_factory=list)
    hidden_rows: list[int] = field(default_factory=list)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    merged: list[tuple[tuple[int, int], tuple[int, int]]] = field(default_factory=list)
    formats: list[tuple[int, int, NumberFormat]] = field(default_factory=list)


@dataclass
class _Styles:
    """Styles of the document, of columns and of rows, as far as they say how a number is shown."""

    data: dict[str, NumberFormat] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    columns: list[tuple[int, str]] = field(default_factory=list)

    def note(self, element: ElementTree.Element) -> None:
        if element.tag in (f"{_DATA}number-style", f"{_DATA}currency-style"):
            number = element.find(f"{_DATA}number")
            digits = {} if number is None else number.attrib
            zeros = int(digits.get(f"{_DATA}min-integer-digits", "0"))
            look = NumberFormat(
                thousandths=float(digits.get(f"{_DATA}display-factor", "1")) >= 1000,
                zeros=zeros if zeros > 1 and digits.get(f"{_DATA}decimal-places", "0") == "0" else 0,
            )
            if look != PLAIN:
                self.data[element.get(f"{_STYLE}name", "")] = look
        elif element.tag == f"{_STYLE}style":
            self.cells[element.get(f"{_STYLE}name", "")] = element.get(f"{_STYLE}data-style-name", "")

    def of(self, style: str) -> NumberFormat:
        return self.data.get(self.cells.get(style, ""), PLAIN)

    def of_column(self, column: int) -> str:
        """The style of a column, from 0."""
        return next((style for end, style in self.columns if column < end), "")


def ods_marks(path: Path, sheet: str) -> SheetMarks:
    """The marks of one sheet; none where the file is no .ods."""
    try:
        with zipfile.ZipFile(path) as parts:
            if "content.xml" not in parts.namelist() or parts.getinfo("content.xml").file_size > LARGEST_SHEET:
                return SheetMarks()
            with parts.open("content.xml") as content:
                marks = _read(content, sheet)
    except DAMAGE:  # an error of XML is a SyntaxError
        return SheetMarks()
    return SheetMarks(
        tuple(marks.errors), tuple(marks.hidden_rows), tuple(marks.hidden_columns), tuple(marks.merged), tuple(marks.formats)
    )


def _read(content: IO[bytes], sheet: str) -> _Marks:
    """Goes through the document once; an element is forgotten as soon as it has been looked at."""
    marks, styles = _Marks(), _Styles()
    table, rows, columns = "", 0, 0
    for event, element in ElementTree.iterparse(content, events=("start", "end")):
        if element.tag == f"{_TABLE}table" and event == "start":
            table, rows, columns, styles.columns = element.get(f"{_TABLE}name", ""), 0, 0, []
        elif event == "end" and element.tag == f"{_TABLE}table-column":
            times = _times(element, "columns")
            if table == sheet and element.get(f"{_TABLE}visibility") in _HIDDEN:
                marks.hidden_columns.append((columns + 1, columns + times))
            columns += times
            styles.columns.append((columns, element.get(f"{_TABLE}default-cell-style-name", "")))
        elif event == "end" and element.tag == f"{_TABLE}table-row":
            times = _times(element, "rows")
            if table == sheet:
                _note_row(marks, styles, element, rows, times)
            rows += times
            element.clear()
        elif event == "end":
            styles.note(element)
    return marks


def _times(element: ElementTree.Element, side: str) -> int:
    return min(int(element.get(f"{_TABLE}number-{side}-repeated", "1")), _MOST_REPEATED)


def _note_row(marks: _Marks, styles: _Styles, row: ElementTree.Element, above: int, times: int) -> None:
    """A row that stands `times` times below `above` others."""
    if row.get(f"{_TABLE}visibility") in _HIDDEN and any("".join(cell.itertext()) for cell in row):
        marks.hidden_rows += range(above + 1, above + times + 1)
    for column, look in _shown_numbers(row, styles):
        marks.formats += [(line + 1, column + 1, look) for line in range(above, above + times)]
    for column, word, rows, columns in _told_cells(row):
        for line in range(above, above + times):
            if word:
                marks.errors.append((line + 1, column + 1, word))
            if rows > 1 or columns > 1:
                marks.merged.append(((line, column), (line + rows - 1, column + columns - 1)))


def _told_cells(row: ElementTree.Element) -> Iterator[tuple[int, str, int, int]]:
    """Of each cell that is told: its column from 0, the word of its error, the rows and columns over which it is merged."""
    before = 0
    for cell in row:
        times = _times(cell, "columns")
        word = "".join(cell.itertext()).strip() or "#ERROR" if cell.get(_ERROR) == "error" else ""
        rows, columns = (int(cell.get(f"{_TABLE}number-{side}-spanned", "1")) for side in ("rows", "columns"))
        if word or rows > 1 or columns > 1:
            yield from ((before + at, word, rows, columns) for at in range(times))
        before += times


def _shown_numbers(row: ElementTree.Element, styles: _Styles) -> Iterator[tuple[int, NumberFormat]]:
    """The column, from 0, of each number of a row that is shown as something else."""
    before = 0
    for cell in row:
        times, kind = _times(cell, "columns"), cell.get(f"{_OFFICE}value-type")
        for column in range(before, before + times) if kind in ("float", "percentage", "currency") else ():
            style = cell.get(f"{_TABLE}style-name") or row.get(f"{_TABLE}default-cell-style-name") or styles.of_column(column)
            look = replace(
                styles.of(style),
                percent=kind == "percentage",
                unit=cell.get(f"{_OFFICE}currency", "") if kind == "currency" else "",
            )
            if look != PLAIN:
                yield column, look
        before += times
