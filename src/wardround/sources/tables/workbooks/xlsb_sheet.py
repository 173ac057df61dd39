"""The marks of a sheet of an .xlsb, whose parts are records of bytes in a zip.

    kind (1 or 2 bytes of 7 bits)   size (1 to 4 bytes of 7 bits)   size bytes

Source: [MS-XLSB], records BrtBundleSh, BrtRowHdr, BrtColInfo, BrtCellError, BrtFmlaError, BrtMergeCell.
"""

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

from wardround.sources.files.damage import DAMAGE
from wardround.sources.tables.workbooks.sheet_marks import LARGEST_SHEET, SheetMarks, error_word
from wardround.sources.tables.workbooks.xlsx_sheet import linked_part

_BOOK = "xl/workbook.bin"
_ROW, _ERROR, _ERROR_FORMULA, _COLUMNS, _SHEET, _MERGED = 0, 3, 11, 60, 156, 176
_TOLD = frozenset({_ROW, _ERROR, _ERROR_FORMULA, _COLUMNS, _MERGED})
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
            return _marks(parts.read(member))
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


def _marks(content: bytes) -> SheetMarks:
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
        else:
            errors.append((row, struct.unpack_from("<I", content, start)[0] + 1, error_word(content[start + 8])))
    return SheetMarks(tuple(errors), tuple(hidden_rows), tuple(hidden_columns), tuple(merged))


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
