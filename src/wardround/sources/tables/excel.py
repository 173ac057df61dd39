"""Workbooks (.xlsx, .xls, .xlsb, .ods) as tables of text, through calamine; an extra, since few hospitals' machines need it.

A number is written in its shortest spelling, a share that is shown as a percentage with its sign (45%), a date as 2020-12-31, a
duration as 26:30:00, a formula as the value that was saved with it. An error in a cell (#N/A, #DIV/0!) stays that word, so that
it counts as missing only where the contract says so.

    file --calamine--> values --SheetMarks: errors, formats--> text
    file --SheetMarks--> what is hidden, merged, or shown otherwise
"""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround.sources.files.candidate import Candidate, candidate_at
from wardround.sources.files.density import require_bearable_zip
from wardround.sources.places import PLACES_KEPT, Place
from wardround.sources.read_result import Labels, Problem, ReadResult, Values
from wardround.sources.reader import Reader
from wardround.sources.tables.cells import cell_of
from wardround.sources.tables.column_names import clean_name, require_single, used_names
from wardround.sources.tables.csv_text import title_above
from wardround.sources.tables.workbooks.compound_file import MARK
from wardround.sources.tables.workbooks.number_formats import NumberFormat
from wardround.sources.tables.workbooks.ods_sheet import ods_marks
from wardround.sources.tables.workbooks.sheet_marks import SheetMarks
from wardround.sources.tables.workbooks.shown_otherwise import shown_otherwise
from wardround.sources.tables.workbooks.xls_sheet import xls_marks
from wardround.sources.tables.workbooks.xlsb_sheet import xlsb_marks
from wardround.sources.tables.workbooks.xlsx_sheet import xlsx_marks
from wardround.study.cell_values import is_number
from wardround.study.contract import DataContract
from wardround.values.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import polars as pl

    from wardround.sources.tables.table import LineOf

SUFFIXES = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"})
_LINES_LOOKED_AT = 30
_ISO_DURATION = re.compile(r"PT(\d+)H(\d\d)M(\d\d(?:\.\d+)?)S")
"""How an .ods keeps times and durations."""


def is_workbook(path: Path) -> bool:
    with candidate_at(path) as candidate:
        return holds_workbook(candidate)


def holds_workbook(candidate: Candidate) -> bool:
    """A workbook by what it holds: parts of one in a zip, or the mark of an old .xls."""
    parts = candidate.members or frozenset()
    if candidate.head.startswith(MARK) or parts & {"xl/workbook.xml", "xl/workbook.bin"}:
        return True
    return any(b"opendocument.spreadsheet" in head for _, head in candidate.heads(100, lambda name: name == "mimetype"))


def read_workbook(path: Path, contract: DataContract, labels: Labels = "required", values: Values = "prepared") -> ReadResult:
    """Every row of the only sheet; a mapping says which of several, and where its header stands."""
    from wardround.sources.tables.frame_rows import rows_of_frame
    from wardround.sources.tables.header_again import without_headers
    from wardround.sources.tables.table import records_of

    used = used_names(contract)
    frame, line_of = without_headers(*workbook_frame(path, used), used)
    problems = hidden_parts(path, frame.columns, used)
    return records_of(rows_of_frame(frame, contract, line_of, problems=problems), contract, labels, values)


def workbook_frame(path: Path, used: Sequence[str], sheet: str = "", header_line: int = 0) -> "tuple[pl.DataFrame, LineOf]":
    """A sheet as a frame of text, and the line of each row. used: names that are asked for. DataError where it is no table."""
    import polars as pl

    rows = sheet_rows(path, sheet)
    line = header_line or 1
    if line > len(rows):
        raise DataError("The sheet is empty, or its header stands below its last line", hint="correct header_line, or the sheet")
    names = [clean_name(name) for name in rows[line - 1]]
    require_single(names, used)
    asked = {clean_name(name).casefold() for name in used}
    if not header_line and (better := _header_line(rows, asked)) not in (0, line):
        raise title_above(better)
    _require_unmerged(path, sheet, line, [at for at, name in enumerate(names) if name.casefold() in asked])
    body = [(number, row) for number, row in enumerate(rows[line:], line + 1) if any(row)]
    if not body:
        raise DataError("The table has a header and no row below it", hint="export it again with its rows")
    first = {name: at for at, name in reversed(list(enumerate(names)))}
    unlike = [name if name and first[name] == at else f"{name} (column {at + 1})" for at, name in enumerate(names)]
    lines = [number for number, _ in body]
    columns = {name: [row[at] for _, row in body] for at, name in enumerate(unlike)}
    return pl.DataFrame(columns, schema=dict.fromkeys(unlike, pl.String)), lambda row: lines[row]


def _require_unmerged(path: Path, sheet: str, header_line: int, columns: Sequence[int]) -> None:
    """DataError where cells below the header are merged in a column that is asked for: all but the first of them are empty."""
    book = _opened(path)
    sheets = [sheet] if sheet else [str(name) for name in book.sheet_names]
    for name in sheets:
        for (top, left), (bottom, right) in _merged(path, book, name):
            if bottom >= header_line and any(left <= column <= right for column in columns):
                raise DataError(
                    "Cells of the table are merged, so that all but the first of them are empty",
                    found=f"lines {top + 1} to {bottom + 1}",
                    hint="unmerge them in the spreadsheet, write its own value into every row, and save it",
                )


def _merged(path: Path, book: Any, sheet: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """First and last row and column, from 0, of the merged cells of a sheet."""
    ranges = book.get_sheet_by_name(sheet).merged_cell_ranges
    return list(sheet_marks(path, sheet).merged if ranges is None else ranges)


def _header_line(rows: Sequence[Sequence[str]], asked: set[str]) -> int:
    hits = [len(asked & {clean_name(cell).casefold() for cell in row}) for row in rows[:_LINES_LOOKED_AT]]
    return 1 + hits.index(max(hits)) if hits and max(hits) > max(1, hits[0]) else 0


def hidden_parts(
    path: Path, names: Sequence[str], used: Sequence[str], sheet: str = "", header_line: int = 0
) -> tuple[Problem, ...]:
    """Warnings of rows below the header that a filter hides, and of hidden columns that are used: nobody sees them, and they are
    read; and of numbers that are shown otherwise than they are read. names: of the sheet's columns, in order."""
    lines: list[int] = []
    hidden: set[str] = set()
    shown: dict[str, list[tuple[int, NumberFormat]]] = {}
    for name in [sheet] if sheet else sheet_names(path):
        marks = sheet_marks(path, name)
        lines += [line for line in marks.hidden_rows if line > max(header_line, 1)]
        for first, last in marks.hidden_columns:
            hidden.update(names[first - 1 : last])
        for line, column, look in marks.formats:
            if line > max(header_line, 1) and column <= len(names) and names[column - 1] in used:
                shown.setdefault(names[column - 1], []).append((line, look))
    return (
        *_hidden_rows(lines),
        *_hidden_columns([name for name in names if name in hidden and name in used]),
        *(problem for name, looks in shown.items() for problem in shown_otherwise(name, looks)),
    )


def _hidden_rows(lines: list[int]) -> tuple[Problem, ...]:
    text = "Rows are hidden in the spreadsheet, as a filter does, and are read like all others"
    hint = "where they do not belong to the study, delete them, or copy those that are shown into a new workbook"
    places = tuple(Place(line=line) for line in lines[:PLACES_KEPT])
    return (Problem("warning", "hidden-rows", text, hint, len(lines), places),) if lines else ()


def _hidden_columns(columns: list[str]) -> tuple[Problem, ...]:
    text = "Columns that are used are hidden in the spreadsheet, and are read like all others"
    hint = "show them there, and make sure that they hold what the study means; an older version of a column is often hidden"
    places = tuple(Place(column=name) for name in columns)
    return (Problem("warning", "hidden-columns", text, hint, len(columns), places),) if columns else ()


def sheet_names(path: Path) -> list[str]:
    return [str(name) for name in _opened(path).sheet_names]


def sheet_rows(path: Path, sheet: str = "") -> list[list[str]]:
    """The cells of a sheet as text, row by row from the first line on. DataError where it is not clear which sheet."""
    book = _opened(path)
    names = [str(name) for name in book.sheet_names]
    if sheet and sheet not in names:
        raise DataError(
            "The workbook has no sheet of the name in the mapping", found=", ".join(map(repr, names)),
            hint="correct sheet under [source]",
        )  # fmt: skip
    filled = [name for name in ([sheet] if sheet else names) if book.get_sheet_by_name(name).to_python()]
    if len(filled) != 1:
        raise DataError(
            "The workbook has several sheets, and it is not clear which is meant" if filled else "The workbook is empty",
            found=", ".join(f"{name!r} (hidden)" if name in _hidden_sheets(book) else repr(name) for name in filled),
            hint="write sheet = \"NAME\" under [source] of a mapping; wardround data map writes one"
            if filled else "export it again",
        )  # fmt: skip
    rows = [[_cell(value) for value in row] for row in book.get_sheet_by_name(filled[0]).to_python(skip_empty_area=False)]
    marks = sheet_marks(path, filled[0])
    for row_number, column, word in marks.errors:
        if row_number <= len(rows) and column <= len(rows[row_number - 1]):
            rows[row_number - 1][column - 1] = word
    for row_number, column, look in marks.formats:
        if row_number <= len(rows) and column <= len(rows[row_number - 1]) and is_number(rows[row_number - 1][column - 1]):
            rows[row_number - 1][column - 1] = look.shown(rows[row_number - 1][column - 1])
    return rows


def _hidden_sheets(book: Any) -> set[str]:
    return {str(sheet.name) for sheet in book.sheets_metadata if not str(sheet.visible).endswith("Visible")}


def _opened(path: Path) -> Any:
    try:
        from python_calamine import CalamineWorkbook
    except ImportError as error:
        raise MissingExtraError(
            "Workbooks need the part for Excel", hint="pip install 'wardround[excel]', or save the sheet as CSV UTF-8"
        ) from error
    require_bearable_zip(path)
    try:
        return CalamineWorkbook.from_path(str(path))
    except Exception as error:  # calamine's errors share no base but Exception
        raise DataError(
            "The workbook cannot be read", expected="a whole .xlsx, .xls, .xlsb or .ods without a password",
            hint="open it in the program that wrote it, remove the password, and save it again",
        ) from error  # fmt: skip


def _cell(value: object) -> str:
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        seconds = round(value.total_seconds())
        return f"{'-' if seconds < 0 else ''}{abs(seconds) // 3600}:{abs(seconds) // 60 % 60:02}:{abs(seconds) % 60:02}"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, str) and (time := _ISO_DURATION.fullmatch(value)):
        return f"{int(time[1])}:{time[2]}:{time[3]}"
    return cell_of(value)


def sheet_marks(path: Path, sheet: str) -> SheetMarks:
    """What a sheet says beside its values, by whichever reader knows the kind of its file."""
    every = (read_marks(path, sheet) for read_marks in (xlsx_marks, xlsb_marks, xls_marks, ods_marks))
    return next((marks for marks in every if marks != SheetMarks()), SheetMarks())


READER = Reader("workbook", "table", "workbook", SUFFIXES, holds_workbook, read_workbook)
