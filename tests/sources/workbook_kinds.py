"""One small sheet as each kind of workbook, byte by byte: with errors, a hidden row, a hidden column and merged cells.

The library that reads the values is the independent reader of what is written here.
"""

import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .workbooks import FIRST_FORMAT, Shown, codes_in, write_ods, write_workbook

_CODES = {"#DIV/0!": 0x07, "#REF!": 0x17, "#N/A": 0x2A}
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


@dataclass(frozen=True)
class SheetLook:
    """hidden_row, hidden_column: from 1, 0 for none. merged: rows of the first column, first and last from 1."""

    hidden_row: int = 0
    hidden_column: int = 0
    merged: tuple[int, int] | None = None


Rows = list[list[object]]


def xlsx(path: Path, rows: Rows, look: SheetLook) -> None:
    write_workbook(path, {"S": rows})
    column = f'<cols><col min="{look.hidden_column}" max="{look.hidden_column}" hidden="1"/></cols>' if look.hidden_column else ""
    merged = f'<mergeCells count="1"><mergeCell ref="A{look.merged[0]}:A{look.merged[1]}"/></mergeCells>' if look.merged else ""
    with zipfile.ZipFile(path) as parts:
        contents = {name: parts.read(name).decode() for name in parts.namelist()}
    sheet = contents["xl/worksheets/sheet1.xml"].replace(
        f'<row r="{look.hidden_row}">', f'<row r="{look.hidden_row}" hidden="1">'
    )
    contents["xl/worksheets/sheet1.xml"] = sheet.replace("<sheetData>", f"{column}<sheetData>").replace(
        "</sheetData>", f"</sheetData>{merged}"
    )
    _zip(path, contents)


def ods(path: Path, rows: Rows, look: SheetLook) -> None:
    if look.merged:
        first, last = look.merged
        rows = [[[row[0], last - first + 1], *row[1:]] if at == first else row for at, row in enumerate(rows, 1)]
    write_ods(path, rows)
    with zipfile.ZipFile(path) as parts:
        contents = {name: parts.read(name).decode() for name in parts.namelist()}
    before, *lines = contents["content.xml"].split("<table:table-row>")
    shown = ["<table:table-row>"] * len(lines)
    if look.hidden_row:
        shown[look.hidden_row - 1] = '<table:table-row table:visibility="filter">'
    if look.hidden_column:
        before += f'<table:table-column table:number-columns-repeated="{look.hidden_column - 1}"/>' * (look.hidden_column > 1)
        before += '<table:table-column table:visibility="collapse"/>'
    contents["content.xml"] = before + "".join(tag + line for tag, line in zip(shown, lines, strict=True))
    _zip(path, contents)


def xlsb(path: Path, rows: Rows, look: SheetLook) -> None:
    codes = codes_in(rows)
    sheet = _record12(129) + _record12(148, struct.pack("<IIII", 0, len(rows) - 1, 0, len(rows[0]) - 1))
    if look.hidden_column:
        at = look.hidden_column - 1
        sheet += _record12(390) + _record12(60, struct.pack("<IIIIH", at, at, 2304, 0, 1)) + _record12(391)
    sheet += _record12(145)
    for number, row in enumerate(rows):
        hidden = 0x10 if number + 1 == look.hidden_row else 0
        sheet += _record12(0, struct.pack("<IIHBBBI", number, 0, 300, 0, hidden, 0, 0))
        sheet += b"".join(_cell12(column, value, codes) for column, value in enumerate(row) if value is not None)
    sheet += _record12(146)
    if look.merged:
        first, last = look.merged
        sheet += (
            _record12(177, struct.pack("<I", 1))
            + _record12(176, struct.pack("<IIII", first - 1, last - 1, 0, 0))
            + _record12(178)
        )
    book = _record12(131) + _record12(143) + _record12(156, struct.pack("<II", 0, 1) + _wide("rId1") + _wide("S"))
    link = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
    links = "http://schemas.openxmlformats.org/package/2006/relationships"
    _zip(path, {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "xl/workbook.bin": book + _record12(144) + _record12(132),
        "xl/_rels/workbook.bin.rels": f'<Relationships xmlns="{links}"><Relationship Id="rId1" Type="{link}" '
        f'Target="worksheets/sheet1.bin"/><Relationship Id="rId9" Type="{link.replace("worksheet", "styles")}" '
        'Target="styles.bin"/></Relationships>',
        "xl/worksheets/sheet1.bin": sheet + _record12(130),
        "xl/styles.bin": _styles12(codes),
    })  # fmt: skip


def _record12(kind: int, content: bytes = b"") -> bytes:
    head = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size = len(content)
    return head + (bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])) + content


def _styles12(codes: list[str]) -> bytes:
    """Styles of cells, the first plain, then one for each code; before them a named style, which does not count."""
    formats = b"".join(_record12(44, struct.pack("<H", FIRST_FORMAT + at) + _wide(code)) for at, code in enumerate(codes))
    cells = b"".join(_record12(47, struct.pack("<HH", 0, FIRST_FORMAT + at) + bytes(12)) for at in range(len(codes)))
    plain = _record12(47, bytes(16))
    named = _record12(626, struct.pack("<I", 1)) + plain + _record12(627)
    every = _record12(617, struct.pack("<I", len(codes) + 1)) + plain + cells + _record12(618)
    return (
        _record12(278) + _record12(615, struct.pack("<I", len(codes))) + formats + _record12(616) + named + every + _record12(279)
    )


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _cell12(column: int, value: object, codes: list[str]) -> bytes:
    if isinstance(value, Shown):
        return _record12(5, struct.pack("<IId", column, 1 + codes.index(value.code), value.number))
    head = struct.pack("<II", column, 0)
    if isinstance(value, (int, float)):
        return _record12(5, head + struct.pack("<d", value))
    if value == "#DIV/0!":  # as a formula has it
        return _record12(11, head + bytes([_CODES["#DIV/0!"]]) + struct.pack("<HIBB", 0, 2, 0x1C, 7) + bytes(4))
    return _record12(3, head + bytes([_CODES[value]])) if value in _CODES else _record12(6, head + _wide(str(value)))


def xls(path: Path, rows: Rows, look: SheetLook) -> None:
    sheet = _record8(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0))
    if look.hidden_column:
        at = look.hidden_column - 1
        sheet += _record8(0x7D, struct.pack("<HHHHHH", at, at, 2304, 0, 1, 0))
    sheet += _record8(0x0200, struct.pack("<IIHHH", 0, len(rows), 0, len(rows[0]), 0))
    codes = codes_in(rows)
    for number, row in enumerate(rows):
        hidden = 0x20 if number + 1 == look.hidden_row else 0
        sheet += _record8(0x0208, struct.pack("<HHHHHHI", number, 0, len(row), 300, 0, 0, 0x0100 | hidden))
        sheet += b"".join(_cell8(number, column, value, codes) for column, value in enumerate(row) if value is not None)
    if look.merged:
        sheet += _record8(0xE5, struct.pack("<HHHHH", 1, look.merged[0] - 1, look.merged[1] - 1, 0, 0))
    sheet += _record8(0x0A)
    begin = _record8(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0))
    named = struct.pack("<HBB", 0, 1, 0) + b"S"
    begin += _styles8(codes)
    offset = len(begin) + 4 + 4 + len(named) + 4
    book = begin + _record8(0x85, struct.pack("<I", offset) + named) + _record8(0x0A) + sheet
    path.write_bytes(compound(book))


def _record8(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def _styles8(codes: list[str]) -> bytes:
    formats = b"".join(
        _record8(0x041E, struct.pack("<HHB", FIRST_FORMAT + at, len(code), 1) + code.encode("utf-16-le"))
        for at, code in enumerate(codes)
    )
    cells = b"".join(_record8(0xE0, struct.pack("<HH", 0, FIRST_FORMAT + at) + bytes(16)) for at in range(len(codes)))
    return formats + _record8(0xE0, bytes(20)) + cells if codes else b""


def _cell8(row: int, column: int, value: object, codes: list[str]) -> bytes:
    if isinstance(value, Shown):
        return _record8(0x0203, struct.pack("<HHHd", row, column, 1 + codes.index(value.code), value.number))
    head = struct.pack("<HHH", row, column, 0)
    if isinstance(value, (int, float)):
        return _record8(0x0203, head + struct.pack("<d", value))
    if value == "#DIV/0!":  # as a formula has it
        saved = bytes([2, 0, _CODES["#DIV/0!"], 0, 0, 0, 0xFF, 0xFF])
        return _record8(0x06, head + saved + struct.pack("<HIHBB", 0, 0, 2, 0x1C, 7))
    if value in _CODES:
        return _record8(0x0205, head + bytes([_CODES[str(value)], 1]))
    return _record8(0x0204, head + struct.pack("<HB", len(str(value)), 0) + str(value).encode("latin-1"))


def compound(book: bytes, short: bool = False) -> bytes:
    """A compound file with the stream Workbook; short: as it is, among the small streams, else filled up to 4096 bytes."""
    size = len(book) if short else max(len(book), 4096)
    sectors = -(-size // 512)
    stream = book.ljust(sectors * 512, b"\0")
    small = -(-size // 64) if short else 0
    fat = [_FAT, _END, *range(3, sectors + 2), _END] + ([_END] if short else [])
    entries = _entry("Root Entry", 5, 2 if short else _END, small * 64) + _entry("Workbook", 2, 0 if short else 2, size)
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(10)
    first_small = sectors + 2 if short else _END
    header += struct.pack("<IIIIIIII", 1, 1, 0, 4096, first_small, int(short), _END, 0) + struct.pack("<109I", 0, *[_FREE] * 108)
    table = struct.pack("<128I", *fat, *[_FREE] * (128 - len(fat)))
    chain = struct.pack("<128I", *range(1, small), _END, *[_FREE] * (128 - small)) if short else b""
    return header + table + entries.ljust(512, b"\0") + stream + chain


def _entry(name: str, kind: int, start: int, size: int) -> bytes:
    letters = name.encode("utf-16-le")
    links = struct.pack("<III", _FREE, 1 if kind == 2 and name == "" else _FREE, 1 if kind == 5 else _FREE)
    head = letters.ljust(64, b"\0") + struct.pack("<HBB", len(letters) + 2, kind, 1) + links
    return head + bytes(36) + struct.pack("<IQ", start, size)


def _zip(path: Path, contents: "dict[str, str] | dict[str, str | bytes]") -> None:
    with zipfile.ZipFile(path, "w") as parts:
        for name, content in contents.items():
            parts.writestr(name, content)


KINDS: dict[str, Callable[[Path, Rows, SheetLook], None]] = {".xlsx": xlsx, ".xlsb": xlsb, ".xls": xls, ".ods": ods}
"""A writer for each suffix of a workbook."""
