"""The marks of a sheet of an .xlsx, from its XML.

Source: ECMA-376, part 1, 18.3.1 (worksheets).
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from wardround.sources.files.damage import DAMAGE
from wardround.sources.tables.number_faults import FORMULA
from wardround.sources.tables.workbooks.sheet_marks import LARGEST_SHEET, SheetMarks

_BOOK = "xl/workbook.xml"
_CELL = re.compile(rb'<c\b[^>]*?\br="([A-Z]+)(\d+)"[^>]*>(?:(?!</c>).)*?</c>', re.DOTALL)
_HIDDEN_ROW = re.compile(rb'<row\b(?=[^>]*\bhidden="(?:1|true)")[^>]*?\br="(\d+)"')
_HIDDEN_COLUMN = re.compile(rb'<col\b(?=[^>]*\bhidden="(?:1|true)")(?=[^>]*\bmin="(\d+)")(?=[^>]*\bmax="(\d+)")')


def xlsx_marks(path: Path, sheet: str) -> SheetMarks:
    """The marks of one sheet; none where the file is no .xlsx. Merged cells are told by the library."""
    content = _content(path, sheet)
    return SheetMarks(
        tuple(_error_cells(content)),
        tuple(int(match[1]) for match in _HIDDEN_ROW.finditer(content)),
        tuple((int(match[1]), int(match[2])) for match in _HIDDEN_COLUMN.finditer(content)),
    )


def _content(path: Path, sheet: str) -> bytes:
    try:
        if not zipfile.is_zipfile(path):
            return b""
        with zipfile.ZipFile(path) as parts:
            member = _member(parts, sheet) if _BOOK in parts.namelist() else None
            return b"" if member is None or parts.getinfo(member).file_size > LARGEST_SHEET else parts.read(member)
    except DAMAGE:
        return b""


def _member(parts: zipfile.ZipFile, sheet: str) -> str | None:
    """The file of a sheet inside the workbook."""
    for element in ElementTree.fromstring(parts.read(_BOOK)).iter():
        if element.tag.endswith("}sheet") and element.get("name") == sheet:
            key = next((value for name, value in element.items() if name.endswith("}id")), "")
            return linked_part(parts, "xl/_rels/workbook.xml.rels", key)
    return None


def linked_part(parts: zipfile.ZipFile, links: str, key: str) -> str:
    """The part of a workbook that a link leads to."""
    targets = {link.get("Id"): link.get("Target", "") for link in ElementTree.fromstring(parts.read(links))}
    return "xl/" + targets.get(key, "").removeprefix("/xl/")


def _error_cells(content: bytes) -> Iterator[tuple[int, int, str]]:
    """Cells that hold an error, or a formula without the value that it has."""
    for match in _CELL.finditer(content):
        text, value = match[0], re.search(rb"<v>(.*?)</v>", match[0], re.DOTALL)
        if b't="e"' in text[: text.index(b">")]:
            yield int(match[2]), _column(match[1]), value[1].decode("utf-8", "replace") if value else "#ERROR"
        elif b"<f" in text and value is None and b"<is>" not in text:
            yield int(match[2]), _column(match[1]), FORMULA


def _column(letters: bytes) -> int:
    """
    >>> _column(b"A"), _column(b"AB")
    (1, 28)
    """
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
