"""The marks of a sheet of an .xlsx, from its XML.

Source: ECMA-376, part 1, 18.3.1 (worksheets), 18.8 (styles).
"""

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from wardround.sources.files.damage import DAMAGE
from wardround.sources.tables.number_faults import FORMULA
from wardround.sources.tables.workbooks.number_formats import BUILT_IN, PLAIN, NumberFormat, format_of
from wardround.sources.tables.workbooks.sheet_marks import LARGEST_SHEET, SheetMarks

_BOOK, _STYLES = "xl/workbook.xml", "xl/styles.xml"
_CELL = re.compile(rb"<c\b([^>]*)(?<!/)>(.*?)</c>", re.DOTALL)
_ATTRIBUTE = {key: re.compile(rb"\b%s=[\"']([^\"']*)" % key.encode()) for key in ("r", "s", "t")}
_PLACE = re.compile(rb"([A-Z]+)(\d+)")
_HIDDEN_ROW = re.compile(rb"<row\b(?=[^>]*\bhidden=[\"'](?:1|true))[^>]*?\br=[\"'](\d+)")
_HIDDEN_COLUMN = re.compile(rb"<col\b(?=[^>]*\bhidden=[\"'](?:1|true))(?=[^>]*\bmin=[\"'](\d+))(?=[^>]*\bmax=[\"'](\d+))")
_PREFIX = re.compile(rb"<(/?)\w+:(?=(?:c|row|col|v|f|is|t)\b)")
_START = re.compile(rb"<(c|row)\b([^>]*)>")


def xlsx_marks(path: Path, sheet: str) -> SheetMarks:
    """The marks of one sheet; none where the file is no .xlsx. Merged cells are told by the library."""
    content, styles = _content(path, sheet)
    content = _with_places(_PREFIX.sub(rb"<\1", content) if b":row" in content else content)
    errors, formats = _told_cells(content, styles)
    return SheetMarks(
        tuple(errors),
        tuple(int(match[1]) for match in _HIDDEN_ROW.finditer(content)),
        tuple((int(match[1]), int(match[2])) for match in _HIDDEN_COLUMN.finditer(content)),
        formats=tuple(formats),
    )


def _content(path: Path, sheet: str) -> tuple[bytes, dict[bytes, NumberFormat]]:
    """The XML of a sheet, and the formats of the styles that say something."""
    try:
        if not zipfile.is_zipfile(path):
            return b"", {}
        with zipfile.ZipFile(path) as parts:
            member = _member(parts, sheet) if _BOOK in parts.namelist() else None
            if member is None or parts.getinfo(member).file_size > LARGEST_SHEET:
                return b"", {}
            return parts.read(member), _styles(parts)
    except DAMAGE:
        return b"", {}


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


def _styles(parts: zipfile.ZipFile) -> dict[bytes, NumberFormat]:
    """The number of each style of cells whose format shows something else than the number."""
    if _STYLES not in parts.namelist():
        return {}
    codes = dict(BUILT_IN)
    styles: dict[bytes, NumberFormat] = {}
    for element in ElementTree.fromstring(parts.read(_STYLES)):
        if element.tag.endswith("}numFmts"):
            codes |= {int(own.get("numFmtId", "0")): own.get("formatCode", "") for own in element}
        elif element.tag.endswith("}cellXfs"):
            looks = [format_of(codes.get(int(style.get("numFmtId", "0")), "")) for style in element]
            styles = {str(number).encode(): look for number, look in enumerate(looks) if look != PLAIN}
    return styles


def _with_places(content: bytes) -> bytes:
    """The same sheet with the place of each row and cell, which programs may leave out where none is skipped."""
    if not re.search(rb"<c(?:\s(?![^>]*\br=)[^>]*)?>", content):
        return content
    row = column = 0

    def placed(match: re.Match[bytes]) -> bytes:
        nonlocal row, column
        said = _ATTRIBUTE["r"].search(match[2])
        if match[1] == b"row":
            row, column = int(said[1]) if said else row + 1, 0
            return match[0] if said else b'<row r="%d"%s>' % (row, match[2])
        letters = _PLACE.fullmatch(said[1]) if said else None
        column = _column(letters[1]) if letters else column + 1
        return match[0] if said else b'<c r="%s%d"%s>' % (_letters(column), row, match[2])

    return _START.sub(placed, content)


def _told_cells(
    content: bytes, styles: dict[bytes, NumberFormat]
) -> tuple[list[tuple[int, int, str]], list[tuple[int, int, NumberFormat]]]:
    """Cells that hold an error, or a formula without the value that it has; and numbers that are shown otherwise."""
    errors: list[tuple[int, int, str]] = []
    formats: list[tuple[int, int, NumberFormat]] = []
    for match in _CELL.finditer(content):
        head, body = match[1], match[2]
        kind = _ATTRIBUTE["t"].search(head)
        if kind is not None and kind[1] == b"e":
            value = re.search(rb"<v\b[^>]*>(.*?)</v>", body, re.DOTALL)
            errors.append((*_place(head), value[1].decode("utf-8", "replace") if value else "#ERROR"))
        elif b"<f" in body and b"<v" not in body and b"<is>" not in body:
            errors.append((*_place(head), FORMULA))
        elif styles and (kind is None or kind[1] == b"n"):
            style = _ATTRIBUTE["s"].search(head)
            if style is not None and style[1] in styles:
                formats.append((*_place(head), styles[style[1]]))
    return errors, formats


def _place(head: bytes) -> tuple[int, int]:
    """Row and column, from 1, of a cell whose tag is this; 0, 0 where it says none."""
    said = _ATTRIBUTE["r"].search(head)
    cell = _PLACE.fullmatch(said[1]) if said else None
    return (int(cell[2]), _column(cell[1])) if cell else (0, 0)


def _column(letters: bytes) -> int:
    """
    >>> _column(b"A"), _column(b"AB"), _letters(28)
    (1, 28, b'AB')
    """
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _letters(column: int) -> bytes:
    letters = b""
    while column:
        column, letter = divmod(column - 1, 26)
        letters = bytes([65 + letter]) + letters
    return letters
