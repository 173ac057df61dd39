"""A hospital's file as it lies there: its encoding, separator, sheet and line of names, the signs in its numbers, and its words.

What of it had to be guessed is a remark, which the proposed mapping shows to the person who reads it.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.sources.files.density import require_bearable_gzip
from wardround.sources.mapping.sections import SourceSection
from wardround.sources.mapping.vocabulary import key, words_for
from wardround.sources.tables.csv_text import CsvSettings, is_parquet, mark_of, open_csv, separator_of
from wardround.sources.tables.excel import is_workbook, sheet_names, sheet_rows
from wardround.sources.tables.number_faults import (
    APOSTROPHES,
    DECIMAL_COMMA,
    THOUSANDS,
    commas_unclear,
    fault_of,
    points_look_like_thousands,
)
from wardround.study.cell_values import is_number
from wardround.study.contract import DataContract
from wardround.values.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_LINES_LOOKED_AT = 30


@dataclass(frozen=True)
class HospitalTable:
    """A hospital's table as text. words: of each column, distinct and not empty, the commonest first."""

    names: tuple[str, ...]
    words: dict[str, list[str]]
    source: SourceSection
    remarks: tuple[str, ...]


def hospital_table(path: Path, contract: DataContract) -> HospitalTable:
    asked = _asked(contract)
    remarks: list[str] = []
    if is_workbook(path):
        source = _workbook_source(path, asked, remarks)
    else:
        source = SourceSection() if is_parquet(path) else _csv_source(path, asked, remarks)
    frame = _frame(path, contract, source)
    if again := _rows_of_names(frame):
        remarks.append(f"lines that name the columns again are left out: {len(again)} of them")
        kept = [row for row in range(frame.height) if row not in set(again)]
        source, frame = source.changed(repeated_header="left out"), frame[kept]
    words = _distinct_words(frame)
    decimal, thousands = _number_signs(words, remarks)
    return HospitalTable(tuple(frame.columns), words, source.changed(decimal=decimal, thousands=thousands), tuple(remarks))


def _frame(path: Path, contract: DataContract, source: SourceSection) -> "pl.DataFrame":
    """The file's columns, whatever the contract asks for."""
    from wardround.sources.tables.excel import workbook_frame
    from wardround.sources.tables.table_frame import csv_frame, parquet_frame

    if is_workbook(path):
        return workbook_frame(path, (), source.sheet, source.header_line or 1)[0]
    if is_parquet(path):
        return parquet_frame(path, ())
    return csv_frame(path, contract, CsvSettings(source.encoding, source.separator, source.header_line or 1), ())[0]


def _rows_of_names(frame: "pl.DataFrame") -> list[int]:
    from wardround.sources.tables.header_again import header_rows

    return header_rows(frame, frame.columns)[0]


def _distinct_words(frame: "pl.DataFrame") -> dict[str, list[str]]:
    from wardround.sources.tables.frame_rows import text_of

    words: dict[str, list[str]] = {}
    for name in frame.columns:
        if not frame.get_column(name).dtype.is_nested():
            counted = text_of(frame.get_column(name)).str.strip_chars().value_counts(sort=True).get_column(name).to_list()
            words[name] = [word for word in counted if word]
    return words


def _asked(contract: DataContract) -> frozenset[str]:
    names = (
        *(column.name for column in contract.columns),
        *contract.label.columns,
        contract.patient.column,
        contract.site.column,
    )
    return frozenset().union(*(words_for(name) for name in names))


def _csv_source(path: Path, asked: frozenset[str], remarks: list[str]) -> SourceSection:
    require_bearable_gzip(path)
    with open_csv(path) as file:
        content = file.read()
    encoding = mark_of(content) or _encoding(content, remarks)
    lines = content.decode(encoding).splitlines()[:_LINES_LOOKED_AT]
    header = _header_of([_cells(line) for line in lines], asked)
    separator = separator_of(lines[header - 1]) if lines else ","
    if header > 1:
        remarks.append(f"the names of the columns stand in line {header}; what stands above it is left out")
    stated = "" if encoding == "utf-8" or mark_of(content) else encoding
    return SourceSection(encoding=stated, separator=separator, header_line=header if header > 1 else 0)


def _encoding(content: bytes, remarks: list[str]) -> str:
    """UTF-8 where the bytes are; else the commonest old encoding of the place, told with words to check it by."""
    try:
        content.decode("utf-8")
        if b"\0" not in content:
            return "utf-8"
    except UnicodeDecodeError:
        pass
    if b"\0" in content[:200]:
        return "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    try:
        text = content.decode("cp1252")
        encoding = "cp1252"
    except UnicodeDecodeError:
        text, encoding = codecs.decode(content, "latin-1"), "latin-1"
    odd = Counter(re.findall(r"\w*[^\x00-\x7f]\w*", text)).most_common(5)
    remarks.append(f"please check the encoding: in {encoding} these words are {', '.join(repr(word) for word, _ in odd)}")
    return encoding


def _cells(line: str) -> list[str]:
    return line.split(separator_of(line))


def _header_of(rows: Sequence[Sequence[str]], asked: frozenset[str]) -> int:
    """The line, from 1, with the most names that a study may ask for; without any, the first as wide as most lines."""
    hits = [sum(key(cell.strip().strip('"')) in asked for cell in row) for row in rows]
    if hits and max(hits) > 0:
        return 1 + hits.index(max(hits))
    widths = Counter(len(row) for row in rows if len(row) > 1)
    common = widths.most_common(1)[0][0] if widths else 1
    return next((number for number, row in enumerate(rows, 1) if len(row) == common), 1)


def _workbook_source(path: Path, asked: frozenset[str], remarks: list[str]) -> SourceSection:
    """The sheet that holds the most names; where two do, a person chooses."""
    best: list[tuple[int, str, int]] = []
    for sheet in sheet_names(path):
        try:
            rows = sheet_rows(path, sheet)[:_LINES_LOOKED_AT]
        except DataError:
            continue
        header = _header_of(rows, asked)
        best.append((sum(key(cell) in asked for cell in rows[header - 1]) if rows else 0, sheet, header))
    best.sort(key=lambda entry: -entry[0])
    if len(best) > 1:
        names = ", ".join(json.dumps(sheet, ensure_ascii=False) for _, sheet, _ in best)
        remarks.append(f"please check the sheet; the workbook has {names}")
    if not best:
        raise DataError("The workbook is empty", hint="export it again")
    _, sheet, header = best[0]
    if header > 1:
        remarks.append(f"the names of the columns stand in line {header}; what stands above it is left out")
    return SourceSection(sheet=sheet if len(best) > 1 else "", header_line=header if header > 1 else 0)


def _number_signs(words: dict[str, list[str]], remarks: list[str]) -> tuple[str, str]:
    """The signs before decimals and between thousands, where numbers show them."""
    every = [word.rstrip("%").rstrip() for column in words.values() for word in column]
    commas = [word for word in every if fault_of(word) is DECIMAL_COMMA]
    if commas and commas_unclear(commas):
        remarks.append(
            f"please check: a number such as {commas[0]} may have decimals or be above a thousand. As it stands it is refused: "
            'write decimal = "," or thousands = "," here'
        )
        return ".", ""
    if grouped_column := next(
        (name for name, column in words.items() if points_look_like_thousands(filter(is_number, column))), ""
    ):
        remarks.append(
            f'please check the column {grouped_column!r}: where 1.234 means more than a thousand in it, write decimal = "," and '
            'thousands = "." here'
        )
    grouped = [word for word in every if fault_of(word) is THOUSANDS]
    if not commas and not any(_POINTS_ALONE.fullmatch(word) for word in grouped):
        return ".", _sign_between(grouped)
    points = [word for word in every if re.fullmatch(r"[+-]?\d+\.\d+", word) and not re.fullmatch(r"[+-]?\d{1,3}\.\d{3}", word)]
    if points:
        shown = (commas or grouped)[0]
        remarks.append(f"numbers stand both as {shown} and with a point ({points[0]}): please check which column")
    dotted = any(re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+", word) for word in every)
    return ",", _sign_between(commas) or ("." if dotted else "")


_POINTS_ALONE = re.compile(r"[+-]?\d{1,3}(?:\.\d{3}){2,}")


def _sign_between(numbers: Sequence[str]) -> str:
    """The sign between the thousands of numbers, as a mapping names it; "" where none shows one.

    >>> _sign_between(["12,5", "1 234,5"]), _sign_between(["1\u2019234.5"]), _sign_between(["1,234.5"]), _sign_between(["1,5"])
    (' ', '\u2019', ',', '')
    """
    for number in numbers:
        if sign := re.match(rf"[+-]?\d{{1,3}}([.,\s{APOSTROPHES}])\d{{2,3}}(?!\d)(?:\1|[.,]|$)", number):
            if sign[1] == "," and "." not in number and number.count(",") < 2:
                continue
            return " " if sign[1].isspace() else sign[1] if sign[1] in ".,\u2019" else "'"
    return ""
