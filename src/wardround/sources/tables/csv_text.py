"""A CSV file before it is parsed: its encoding, its separator, the line of its header, and, where it cannot be parsed, why.

What is certain is used: a byte order mark, the separator that gives the header its names. What would be a guess (which of the
many old encodings, which line holds the names) is refused with the setting of the mapping that says it.
"""

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wardround.sources.files.density import require_bearable_gzip
from wardround.sources.tables.column_names import clean_name
from wardround.values.errors import DataError

PARQUET, GZIP = b"PAR1", b"\x1f\x8b"
"""First bytes."""

SEPARATORS = (",", ";", "\t", "|")
_HEAD = 256 * 1024
_LONGEST_HEAD = 2**26
_LETTERS_FOR_A_ZERO = 4
"""A text has more letters than this for each stray zero byte; UTF-16 has about one."""
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1f]")
_LINE_END = re.compile(r"\r?\n")
_LINES_LOOKED_AT = 30
_MAP = "wardround data map writes a mapping that says it"
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class CsvSettings:
    """What a hospital's mapping says of its file; "" and 0 where it says nothing. header_line: from 1."""

    encoding: str = ""
    separator: str = ""
    header_line: int = 0


@dataclass(frozen=True)
class CsvForm:
    """How a file is to be parsed. names: as the header writes them, None where the file has no header line."""

    encoding: str
    separator: str
    header_line: int
    names: tuple[str, ...] | None


def is_parquet(path: Path) -> bool:
    return _begins(path, PARQUET)


def open_csv(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where it is gzipped."""
    return gzip.open(path) if _begins(path, GZIP) else path.open("rb")  # type: ignore[return-value]


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def looks_like_text(head: bytes) -> bool:
    """Whether bytes are text: without a zero byte, with a byte order mark, with every second byte zero, as in UTF-16, or with a
    few zero bytes among letters, as a program leaves them that died while it wrote."""
    wide = len(head) >= 8 and (not any(head[0:64:2]) or not any(head[1:64:2]))
    return b"\0" not in head or bool(mark_of(head)) or wide or _holds_stray_zeros(head)


def _holds_stray_zeros(head: bytes) -> bool:
    letters = head.replace(b"\0", b"")
    return len(letters) > _LETTERS_FOR_A_ZERO * (len(head) - len(letters)) and not _CONTROL.search(letters)


def mark_of(head: bytes) -> str:
    """The encoding that a byte order mark names; "" without one."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "")


def form_of(path: Path, used: Sequence[str], header: Sequence[str], settings: CsvSettings) -> CsvForm:
    """How to parse a file. used: names that the contract asks for. header: the contract's, for a file without a header line.

    DataError where the file's encoding is not known, or where there is nothing in it.
    """
    require_bearable_gzip(path)
    head, whole = _head_of(path, settings.header_line or 1)
    if head.startswith((GZIP, PARQUET)):
        packed = "is packed twice" if head.startswith(GZIP) else "is a Parquet file inside a .gz"
        raise DataError(f"The table {packed}", hint="unpack it once (gunzip FILE), and name the file that comes out")
    encoding = settings.encoding or mark_of(head) or "utf-8"
    text = _decoded(head, encoding, whole=whole)
    if not text.strip():
        raise DataError("The table is empty", hint="export it again")
    if "\n" not in text and text.count("\r") > 1:
        raise DataError(
            "The lines of the table end as on a Macintosh before 2001 (CR alone)",
            hint="save it again as CSV with Windows or Unix line ends",
        )
    lines = _LINE_END.split(text)[: max(_LINES_LOOKED_AT, settings.header_line)]
    header_line = settings.header_line or 1
    if header_line > len(lines):
        raise DataError(
            "The mapping says that the header stands below the last line", expected=f"a header_line up to {len(lines)}",
            found=str(header_line), hint="correct header_line under [source]",
        )  # fmt: skip
    separator = settings.separator or separator_of(lines[header_line - 1], used)
    if header:
        return CsvForm(encoding, separator, 0, None)
    rows = _rows(io.StringIO("\n".join(lines[header_line - 1 :])), separator)
    names = tuple(clean_name(name) for name in next(rows, []))
    _require_plain_marks(names, used)
    return CsvForm(encoding, separator, header_line, names)


def _require_plain_marks(names: Sequence[str], used: Sequence[str]) -> None:
    """DataError where the names that are asked for are there, in quotation marks that are none to a reader of CSV."""
    asked = {clean_name(name).casefold() for name in used}
    marked = [name for name in names if name.casefold() not in asked and name.strip(_OTHER_MARKS).casefold() in asked]
    if marked and len(marked) >= len(asked & {name.casefold() for name in names}):
        raise DataError(
            "The cells of the table stand in quotation marks that are not read as such",
            expected='cells in plain double marks, "...", right behind the separator, or in none',
            found=f"{marked[0]} in the line of the column names",
            hint="export it again with such marks, or take the marks, and spaces between separator and mark, out",
        )


_OTHER_MARKS = " '\"\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb`"


def _head_of(path: Path, lines: int) -> tuple[bytes, bool]:
    """The beginning of a file with at least so many lines, of which one may name thousands of columns; and whether it is all."""
    with open_csv(path) as file:
        head = file.read(_HEAD)
        while head.count(b"\n") < lines and len(head) < _LONGEST_HEAD and (more := file.read(_HEAD)):
            head += more
        return head, not file.read(1)


def _decoded(head: bytes, encoding: str, *, whole: bool) -> str:
    if encoding in ("utf-8", "utf-8-sig") and b"\0" in head:
        raise (
            stray_zeros(head)
            if _holds_stray_zeros(head)
            else DataError(
                "The table is not in UTF-8: zero bytes stand between its letters, as in UTF-16 without a byte order mark",
                hint=f'save it as CSV UTF-8, or write encoding = "utf-16-le" under [source] of a mapping; {_MAP}',
            )
        )
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head, final=whole)
    except UnicodeDecodeError as error:
        raise other_encoding(encoding, head.count(b"\n", 0, error.start) + 1) from None
    except LookupError:
        raise DataError(
            f"There is no encoding called {encoding!r}", expected="utf-8, cp1252, utf-16, ...",
            hint="correct encoding under [source] in the mapping",
        ) from None  # fmt: skip


def stray_zeros(head: bytes, lines_before: int = 0) -> DataError:
    """The error of a part of a file in which zero bytes stand."""
    line = lines_before + head.count(b"\n", 0, head.index(b"\0")) + 1
    return DataError(
        "Zero bytes (NUL) stand in the table, which are no letters: a program or a disk failed while it was written",
        found=f"{head.count(0)} of them{'' if lines_before else ' in its beginning'}, the first in line {line}",
        hint="export it again, and compare the number of rows; where only the zero bytes are wrong, take them out, in Python: "
        'from pathlib import Path; Path("table.csv").write_bytes(Path("FILE").read_bytes().replace(bytes(1), b""))',
    )


def other_encoding(encoding: str, line: int) -> DataError:
    """The error of a file that is in another encoding than said or, unsaid, than UTF-8."""
    if encoding in ("utf-8", "utf-8-sig"):
        return DataError(
            "The table is not in UTF-8",
            expected="UTF-8, or an encoding that the hospital's mapping names",
            found=f"a letter of another encoding in line {line}; exports of Excel in Western Europe are often in cp1252",
            hint=f'save it as "CSV UTF-8", or write encoding = "cp1252" under [source] of a mapping; {_MAP}',
        )
    return DataError(
        f"The table is not in {encoding}, as the mapping says", found=f"a letter of another encoding in line {line}",
        hint="correct encoding under [source]",
    )  # fmt: skip


def separator_of(line: str, used: Sequence[str] = ()) -> str:
    """The separator that divides a header into the most names that are asked for; of equal ones the commonest.

    >>> separator_of("file;label"), separator_of("age,in years;label", ["label"]), separator_of("file")
    (';', ';', ',')
    """
    asked = {clean_name(name).casefold() for name in used}

    def fits(separator: str) -> tuple[int, int]:
        names = next(_rows(io.StringIO(line), separator), [])
        return len(asked & {clean_name(name).casefold() for name in names}), line.count(separator)

    return max(SEPARATORS, key=fits)


def _rows(file: io.StringIO | io.TextIOWrapper, separator: str) -> Iterator[list[str]]:
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield from csv.reader(file, delimiter=separator)
    except csv.Error:
        return
    finally:
        csv.field_size_limit(limit)


def header_candidate(path: Path, form: CsvForm, used: Sequence[str]) -> int:
    """A line other than the header's that holds more of the names asked for; 0 where there is none."""
    with open_csv(path) as file:
        lines = _LINE_END.split(_decoded(file.read(_HEAD), form.encoding, whole=False))[:_LINES_LOOKED_AT]
    asked = {clean_name(name).casefold() for name in used}

    def hits(line: str) -> int:
        words = next(_rows(io.StringIO(line), separator_of(line, used)), [])
        return len(asked & {clean_name(word).casefold() for word in words})

    best = max(range(len(lines)), key=lambda at: hits(lines[at]), default=0)
    return best + 1 if lines and hits(lines[best]) > max(1, hits(lines[form.header_line - 1])) else 0


def title_above(header_line: int) -> DataError:
    """The error of a table whose header is not where it was looked for."""
    return DataError(
        "The names of the columns do not stand in the first line of the table: a title stands above them",
        found=f"names of the contract's columns in line {header_line}",
        hint=f"delete the lines above it, or write header_line = {header_line} under [source] of a mapping; {_MAP}",
    )


def why_broken(path: Path, form: CsvForm, width: int) -> DataError:
    """Why the parser gave up on a file, with the first line that shows it."""
    try:
        with open_csv(path) as raw, io.TextIOWrapper(raw, encoding=form.encoding, newline="") as file:
            broken = _first_fault(file, form, width)
        return (
            broken
            or _quote_within(path, form)
            or DataError("The table cannot be read", expected="CSV or Parquet", hint="export it again")
        )
    except UnicodeDecodeError:
        with open_csv(path) as raw:
            return other_encoding(form.encoding, _bad_line(raw, form.encoding))


def _bad_line(raw: IO[bytes], encoding: str) -> int:
    for number, line in enumerate(raw, 1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError:
            return number
    return 0


def _first_fault(file: io.TextIOWrapper, form: CsvForm, width: int) -> DataError | None:
    for _ in range(max(form.header_line - 1, 0)):
        file.readline()
    line_before, text = max(form.header_line - 1, 0), file
    reader = csv.reader(text, delimiter=form.separator, strict=True)
    started = line_before
    try:
        for row in reader:
            line = line_before + reader.line_num
            if swallowed := next((cell for cell in row if swallows_rows(cell, form.separator, width)), None):
                return open_quote(started + 1, swallowed)
            if len(row) == width + 1 and not row[-1]:
                return ends_with_separator(started + 1)
            if row and len(row) != width:
                return ragged([started + 1], width, [len(row)])
            started = line
    except csv.Error:
        return open_quote(started + 1, "")
    return None


def _quote_within(path: Path, form: CsvForm) -> DataError | None:
    """The error of the first cell that holds a quotation mark and does not stand in quotes: 5" tube."""
    inside = re.compile(rf'(?:^|{re.escape(form.separator)})[^"{re.escape(form.separator)}]+"')
    with open_csv(path) as raw, io.TextIOWrapper(raw, encoding=form.encoding, newline="") as file:
        for number, line in enumerate(file, 1):
            if line.count('"') % 2 and inside.search(line):
                return DataError(
                    "A quotation mark stands inside a cell that is not in quotes",
                    found=f"line {number}",
                    hint='take the mark out, or write it twice and the cell in quotes: "5"" tube"',
                )
    return None


def swallows_rows(cell: str, separator: str, width: int) -> bool:
    """Whether whole rows of the table stand in one cell."""
    return "\n" in cell and any(line.count(separator) >= max(width - 2, 1) for line in cell.splitlines()[1:])


def open_quote(line: int, cell: str) -> DataError:
    lines = f"; {cell.count(chr(10))} more lines stand in that one cell" if cell else ""
    return DataError(
        "A quotation mark in the table is opened and not closed before the next rows",
        found=f"line {line}{lines}",
        hint='close it, or take it out; a quotation mark inside a cell is written twice, and the cell in quotes: "5"" tube"',
    )


def ends_with_separator(line: int) -> DataError:
    return DataError(
        "A row of the table ends with a separator, and its header does not",
        found=f"line {line}",
        hint="where every row ends so, write a separator at the end of the header line, too; else take it out of the line",
    )


def ragged(lines: Sequence[int], width: int, widths: Sequence[int]) -> DataError:
    shown = ", ".join(f"line {line} has {cells}" for line, cells in zip(lines[:5], widths, strict=False))
    more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
    return DataError(
        "The rows of the table do not all have as many cells as its header",
        expected=f"{width} cells in every row",
        found=f"{shown}{more}",
        hint="correct these lines: put a cell that holds the separator in quotes, and write the separators of empty cells too; "
        "take out a line that is no row, such as a note at the end",
    )
