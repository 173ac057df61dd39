"""The marks of a sheet of an old .xls: records of bytes (BIFF5, BIFF8) in one stream of a compound file.

    kind (2 bytes)   size (2 bytes)   size bytes

Source: [MS-XLS], records BoundSheet8, Row, ColInfo, Number, RK, MulRk, BoolErr, Formula, MergeCells, Format, XF.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from wardround.sources.tables.workbooks.compound_file import stream_of
from wardround.sources.tables.workbooks.number_formats import BUILT_IN, PLAIN, NumberFormat, format_of
from wardround.sources.tables.workbooks.sheet_marks import LARGEST_SHEET, SheetMarks, error_word

_FORMULA, _END, _COLUMNS, _SHEET, _MERGED, _ERROR, _ROW, _BEGIN = 0x06, 0x0A, 0x7D, 0x85, 0xE5, 0x0205, 0x0208, 0x0809
_NUMBER, _SHORT_NUMBER, _SHORT_NUMBERS, _FORMAT, _STYLE = 0x0203, 0x027E, 0xBD, 0x041E, 0xE0
_BIFF8 = 0x0600
_ROW_HIDDEN = 0x20


def xls_marks(path: Path, sheet: str) -> SheetMarks:
    """The marks of one sheet; none where the file is no .xls."""
    try:
        if path.stat().st_size > LARGEST_SHEET:
            return SheetMarks()
        book = stream_of(path.read_bytes(), ("workbook", "book"))
        start = next((at for name, at in _sheets(book) if name == sheet), None)
        return SheetMarks() if start is None else _marks(book, start, _styles(book))
    except (OSError, IndexError, UnicodeDecodeError, struct.error):
        return SheetMarks()


def _sheets(book: bytes) -> Iterator[tuple[str, int]]:
    """The name of each sheet, and where its records begin."""
    biff8 = _is_biff8(book)
    for kind, start, _ in _records(book, 0):
        if kind == _SHEET:
            yield _text(book, start + 6, 1, biff8), struct.unpack_from("<I", book, start)[0]


def _is_biff8(book: bytes) -> bool:
    return len(book) > 6 and bool(struct.unpack_from("<H", book, 4)[0] == _BIFF8)


def _text(book: bytes, start: int, size: int, biff8: bool) -> str:
    """A text that begins with its length, of `size` bytes."""
    letters = int.from_bytes(book[start : start + size], "little")
    wide = biff8 and book[start + size] & 1
    begins = start + size + (1 if biff8 else 0)
    text = book[begins : begins + letters * (2 if wide else 1)]
    return text.decode("utf-16-le" if wide else "latin-1" if biff8 else "cp1252")


def _styles(book: bytes) -> dict[int, NumberFormat]:
    """The number of each style of cells whose format shows something else than the number."""
    codes, styles, biff8 = dict(BUILT_IN), dict[int, NumberFormat](), _is_biff8(book)
    number = 0
    for kind, start, _ in _records(book, 0):
        if kind == _FORMAT:
            codes[struct.unpack_from("<H", book, start)[0]] = _text(book, start + 2, 2 if biff8 else 1, biff8)
        elif kind == _STYLE:
            look = format_of(codes.get(struct.unpack_from("<H", book, start + 2)[0], ""))
            styles |= {number: look} if look != PLAIN else {}
            number += 1
    return styles


def _marks(book: bytes, begins: int, styles: dict[int, NumberFormat]) -> SheetMarks:
    formats: list[tuple[int, int, NumberFormat]] = []
    errors: list[tuple[int, int, str]] = []
    hidden_rows: list[int] = []
    hidden_columns: list[tuple[int, int]] = []
    merged: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for kind, start, size in _records(book, begins):
        if styles:
            formats += [
                (row, column, styles[style]) for row, column, style in _numbers(book, kind, start, size) if style in styles
            ]
        if kind == _ROW and book[start + 12] & _ROW_HIDDEN:
            hidden_rows.append(struct.unpack_from("<H", book, start)[0] + 1)
        elif kind == _COLUMNS and book[start + 8] & 1:
            first, last = struct.unpack_from("<HH", book, start)
            hidden_columns.append((first + 1, last + 1))
        elif kind == _MERGED:
            for number in range(struct.unpack_from("<H", book, start)[0]):
                top, bottom, left, right = struct.unpack_from("<HHHH", book, start + 2 + 8 * number)
                merged.append(((top, left), (bottom, right)))
        elif (code := _error_code(book, kind, start)) is not None:
            row, column = struct.unpack_from("<HH", book, start)
            errors.append((row + 1, column + 1, error_word(code)))
    return SheetMarks(tuple(errors), tuple(hidden_rows), tuple(hidden_columns), tuple(merged), tuple(formats))


def _numbers(book: bytes, kind: int, start: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Row and column, from 1, and the style of each number that a record holds."""
    if kind in (_NUMBER, _SHORT_NUMBER) or (kind == _FORMULA and book[start + 12 : start + 14] != b"\xff\xff"):
        row, column, style = struct.unpack_from("<HHH", book, start)
        yield row + 1, column + 1, style
    elif kind == _SHORT_NUMBERS:
        row, first = struct.unpack_from("<HH", book, start)
        for at in range((size - 6) // 6):
            yield row + 1, first + at + 1, struct.unpack_from("<H", book, start + 4 + 6 * at)[0]


def _error_code(book: bytes, kind: int, start: int) -> int | None:
    """The code of a cell whose value, or whose formula's value, is an error."""
    if kind == _ERROR and book[start + 7] == 1:
        return book[start + 6]
    if kind == _FORMULA and book[start + 12 : start + 14] == b"\xff\xff" and book[start + 6] == 2:
        return book[start + 8]
    return None


def _records(book: bytes, begins: int) -> Iterator[tuple[int, int, int]]:
    """Kind, place and size of each record from one BOF to its EOF, without those of charts that lie inside."""
    at, depth = begins, 0
    while at + 4 <= len(book):
        kind, size = struct.unpack_from("<HH", book, at)
        depth += (kind == _BEGIN) - (kind == _END)
        if not depth:
            return
        if depth == 1:
            yield kind, at + 4, size
        at += 4 + size
