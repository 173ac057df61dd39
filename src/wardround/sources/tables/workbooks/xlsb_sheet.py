"""The marks of a sheet of an .xlsb, whose parts are records of bytes in a zip.

    kind (1 or 2 bytes of 7 bits)   size (1 to 4 bytes of 7 bits)   size bytes

Source: [MS-XLSB], records BrtBundleSh, BrtRowHdr, BrtColInfo, BrtCellRk, BrtCellReal, BrtCellError, BrtFmlaNum, BrtFmlaError,
BrtMergeCell, BrtFmt, BrtBeginCellXFs, BrtXF.
"""

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

from wardround.sources.files.damage import DAMAGE
from wardround.sources.tables.workbooks.number_formats import BUILT_IN, PLAIN, NumberFormat, format_of
from wardround.sources.tables.workbooks.sheet_marks import LARGEST_SHEET, SheetMarks, error_word
from wardround.sources.tables.workbooks.xlsx_sheet import linked_part

_BOOK, _STYLES = "xl/workbook.bin", "xl/styles.bin"
_ROW, _ERROR, _ERROR_FORMULA, _COLUMNS, _SHEET, _MERGED = 0, 3, 11, 60, 156, 176
_NUMBERS = frozenset({2, 5, 9})
_FORMAT, _STYLE, _BEGIN_STYLES, _END_STYLES = 44, 47, 617, 618
_TOLD = frozenset({_ROW, _ERROR, _ERROR_FORMULA, _COLUMNS, _MERGED}) | _NUMBERS
_ROW_HIDDEN = 0x10
_CUT_SHORT: tuple[type[BaseException], ...] = (*DAMAGE, IndexError, struct.error)


def xlsb_marks(path: Path, sheet: str) -> SheetMarks:
    """The marks of one sheet; none where the file is no .xlsb."""
    try:
        if not zipfile.is_zipfile(path):
            return SheetMarks()
        with zipfile.ZipFile(path) as parts:
            member = _member(parts, sheet) if _BOOK in parts.namelist() else ""
            if not member or parts.getinfo(member).file_size > LARGEST_SHEET:
                return SheetMarks()
            return _marks(parts.read(member), _styles(parts.read(_STYLES)) if _STYLES in parts.namelist() else {})
    except _CUT_SHORT:
        return SheetMarks()


def _member(parts: zipfile.ZipFile, sheet: str) -> str:
    """The part of a sheet inside the workbook; "" where it has none of that name."""
    book = parts.read(_BOOK)
    for kind, start in _records(book):
        if kind == _SHEET:
            key, after = _text(book, start + 8)
            if _text(book, after)[0] == sheet:
                return linked_part(parts, "xl/_rels/workbook.bin.rels", key)
    return ""


def _text(content: bytes, start: int) -> tuple[str, int]:
    """A text that begins with its length, and where it ends."""
    (letters,) = struct.unpack_from("<I", content, start)
    end = start + 4 + 2 * (0 if letters == 0xFFFFFFFF else letters)
    return content[start + 4 : end].decode("utf-16-le"), end


def _styles(content: bytes) -> dict[int, NumberFormat]:
    """The number of each style of cells whose format shows something else than the number."""
    codes, styles = dict(BUILT_IN), dict[int, NumberFormat]()
    number, within = 0, False
    for kind, start in _records(content):
        if kind == _FORMAT:
            codes[struct.unpack_from("<H", content, start)[0]] = _text(content, start + 2)[0]
        elif kind in (_BEGIN_STYLES, _END_STYLES):
            within = kind == _BEGIN_STYLES
        elif kind == _STYLE and within:
            look = format_of(codes.get(struct.unpack_from("<H", content, start + 2)[0], ""))
            styles |= {number: look} if look != PLAIN else {}
            number += 1
    return styles


def _marks(content: bytes, styles: dict[int, NumberFormat]) -> SheetMarks:
    formats: list[tuple[int, int, NumberFormat]] = []
    errors: list[tuple[int, int, str]] = []
    hidden_rows: list[int] = []
    hidden_columns: list[tuple[int, int]] = []
    merged: list[tuple[tuple[int, int], tuple[int, int]]] = []
    row = 0
    for kind, start in _records(content):
        if kind not in _TOLD:
            continue
        if kind == _ROW:
            row = struct.unpack_from("<I", content, start)[0] + 1
            if content[start + 11] & _ROW_HIDDEN:
                hidden_rows.append(row)
        elif kind == _COLUMNS:
            first, last = struct.unpack_from("<II", content, start)
            if content[start + 16] & 1:
                hidden_columns.append((first + 1, last + 1))
        elif kind == _MERGED:
            top, bottom, left, right = struct.unpack_from("<IIII", content, start)
            merged.append(((top, left), (bottom, right)))
        elif kind in _NUMBERS:
            if styles and (look := styles.get(int.from_bytes(content[start + 4 : start + 7], "little"))):
                formats.append((row, struct.unpack_from("<I", content, start)[0] + 1, look))
        else:
            errors.append((row, struct.unpack_from("<I", content, start)[0] + 1, error_word(content[start + 8])))
    return SheetMarks(tuple(errors), tuple(hidden_rows), tuple(hidden_columns), tuple(merged), tuple(formats))


def _records(content: bytes) -> Iterator[tuple[int, int]]:
    """The kind of each record, and where what it holds begins."""
    at = 0
    while at < len(content):
        kind, at = content[at], at + 1
        if kind & 0x80:
            kind, at = kind & 0x7F | (content[at] & 0x7F) << 7, at + 1
        size = 0
        for shift in (0, 7, 14, 21):
            byte, at = content[at], at + 1
            size |= (byte & 0x7F) << shift
            if not byte & 0x80:
                break
        yield kind, at
        at += size
