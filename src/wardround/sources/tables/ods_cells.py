"""What the reader of workbooks does not tell of an .ods: cells that hold an error, and cells that are merged.

Source: OpenDocument 1.2, part 1, chapter 9 (tables); errors are marked by LibreOffice's calcext:value-type.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from wardround.sources.files.damage import DAMAGE

LARGEST = 2**29
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_ERROR = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
_MOST_REPEATED = 2**20
"""Rows of a sheet; a repeated empty row at its end says more."""


@dataclass(frozen=True)
class OdsCell:
    """row, column: from 1. error: its word, "" where it holds none. rows, columns: over which it is merged."""

    row: int
    column: int
    error: str
    rows: int = 1
    columns: int = 1


def ods_cells(path: Path, sheet: str) -> list[OdsCell]:
    """The cells of a sheet that hold an error or are merged; none where the file is no .ods."""
    try:
        with zipfile.ZipFile(path) as parts:
            if "content.xml" not in parts.namelist() or parts.getinfo("content.xml").file_size > LARGEST:
                return []
            with parts.open("content.xml") as content:
                return [cell for row in _rows(content, sheet) for cell in row]
    except DAMAGE:  # an error of XML is a SyntaxError
        return []


def _rows(content: IO[bytes], sheet: str) -> Iterator[list[OdsCell]]:
    """The told cells of each row of one sheet; an element is forgotten as soon as it has been looked at."""
    table, number = "", 0
    for event, element in ElementTree.iterparse(content, events=("start", "end")):
        if element.tag == f"{_TABLE}table" and event == "start":
            table, number = element.get(f"{_TABLE}name", ""), 0
        if event == "end" and element.tag == f"{_TABLE}table-row":
            times = min(int(element.get(f"{_TABLE}number-rows-repeated", "1")), _MOST_REPEATED)
            cells = _told(element, number) if table == sheet else []
            for above in range(times if cells else 0):
                yield [OdsCell(cell.row + above, cell.column, cell.error, cell.rows, cell.columns) for cell in cells]
            number += times
            element.clear()


def _told(row: ElementTree.Element, above: int) -> list[OdsCell]:
    cells: list[OdsCell] = []
    before = 0
    for cell in row:
        times = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        error = "".join(cell.itertext()).strip() or "#ERROR" if cell.get(_ERROR) == "error" else ""
        rows, columns = (int(cell.get(f"{_TABLE}number-{side}-spanned", "1")) for side in ("rows", "columns"))
        if error or rows > 1 or columns > 1:
            cells += [OdsCell(above + 1, before + at + 1, error, rows, columns) for at in range(min(times, _MOST_REPEATED))]
        before += times
    return cells
