"""A first mapping for a hospital's file: what is clear is written down, what is doubtful is a line that a person fills in.

A proposal is a text that somebody reads and keeps. It holds the hospital's words, and stays at the hospital.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.sources.mapping.sections import SourceSection
from wardround.sources.mapping.vocabulary import FEMALE, MALE, NO, YEARS, YES, factor_between, key, unit_in, words_for
from wardround.sources.patient_words import spelled_alike
from wardround.sources.tables.column_names import clean_name, nearest
from wardround.sources.tables.csv_text import CsvSettings, is_parquet, mark_of, open_csv, separator_of
from wardround.sources.tables.excel import is_workbook, sheet_names, sheet_rows
from wardround.sources.tables.number_faults import DECIMAL_COMMA, fault_of
from wardround.study.cell_codes import category_codes, is_missing, missing_codes
from wardround.study.cell_values import is_number, spelled
from wardround.study.contract import ColumnContract, DataContract
from wardround.values.errors import DataError

if TYPE_CHECKING:
    import polars as pl

CHOOSE = "# choose:"
CHECK = "# please check"
_LINES_LOOKED_AT = 30
_MOST_WORDS = 25
_DATES = (
    (re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}"), "%d.%m.%Y"),
    (re.compile(r"\d{1,2}\.\d{1,2}\.\d{4} \d{1,2}:\d{2}"), "%d.%m.%Y %H:%M"),
    (re.compile(r"\d{1,2}\.\d{1,2}\.\d{4} \d{1,2}:\d{2}:\d{2}"), "%d.%m.%Y %H:%M:%S"),
    (re.compile(r"\d{4}-\d{2}-\d{2}"), "%Y-%m-%d"),
    (re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}"), "%Y-%m-%d %H:%M:%S"),
    (re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}"), "%Y-%m-%dT%H:%M:%S"),
    (re.compile(r"\d{8}"), "%Y%m%d"),
)


@dataclass(frozen=True)
class Proposal:
    """text: the mapping as TOML. open_lines: how many lines of it wait for a person."""

    text: str
    open_lines: int


@dataclass(frozen=True)
class _Table:
    """A hospital's table as text. words: of each column, distinct and not empty, the commonest first."""

    names: tuple[str, ...]
    words: dict[str, list[str]]
    source: SourceSection
    remarks: tuple[str, ...]


def propose(path: Path, contract: DataContract) -> Proposal:
    """A mapping for the file at `path`. DataError where it is no table."""
    table = _table(path, contract)
    lines = [
        "# How this hospital's table becomes the study's. It holds the hospital's words and stays at the hospital.",
        "format = 1",
    ]
    lines += ["", "[source]", *_source_lines(table.source, table.remarks)]
    taken: set[str] = set()
    ends: list[str] = []
    for title, name, required in (("label", contract.label.column, True), ("patient", contract.patient.column, False),
                                  ("split", "split", False), ("site", contract.site.column, False)):  # fmt: skip
        ends += _other_lines(title, name, required, table, contract, taken)
    for column in contract.columns:
        lines += _column_lines(column, table, taken)
    text = "\n".join([*lines, *ends]) + "\n"
    return Proposal(text, text.count(CHOOSE))


def _source_lines(source: SourceSection, remarks: Sequence[str]) -> list[str]:
    said = source.model_dump(exclude_defaults=True)
    return [
        *(f"# {remark}" for remark in remarks),
        *(f"{name} = {json.dumps(v, ensure_ascii=False)}" for name, v in said.items()),
    ]


def _table(path: Path, contract: DataContract) -> _Table:
    asked = _asked(contract)
    remarks: list[str] = []
    if is_workbook(path):
        source = _workbook_source(path, asked, remarks)
    else:
        source = SourceSection() if is_parquet(path) else _csv_source(path, asked, remarks)
    frame = _frame(path, contract, source)
    words = _distinct_words(frame)
    decimal, thousands = _number_signs(words, remarks)
    return _Table(tuple(frame.columns), words, source.changed(decimal=decimal, thousands=thousands), tuple(remarks))


def _frame(path: Path, contract: DataContract, source: SourceSection) -> "pl.DataFrame":
    """The file's columns, whatever the contract asks for."""
    from wardround.sources.tables.excel import workbook_frame
    from wardround.sources.tables.table_frame import csv_frame, parquet_frame

    if is_workbook(path):
        return workbook_frame(path, (), source.sheet, source.header_line or 1)[0]
    if is_parquet(path):
        return parquet_frame(path, ())
    return csv_frame(path, contract, CsvSettings(source.encoding, source.separator, source.header_line or 1), ())[0]


def _distinct_words(frame: "pl.DataFrame") -> dict[str, list[str]]:
    from wardround.sources.tables.frame_rows import text_of

    words: dict[str, list[str]] = {}
    for name in frame.columns:
        if not frame.get_column(name).dtype.is_nested():
            counted = text_of(frame.get_column(name)).str.strip_chars().value_counts(sort=True).get_column(name).to_list()
            words[name] = [word for word in counted if word]
    return words


def _asked(contract: DataContract) -> frozenset[str]:
    names = (*(column.name for column in contract.columns), contract.label.column, contract.patient.column, contract.site.column)
    return frozenset().union(*(words_for(name) for name in names))


def _csv_source(path: Path, asked: frozenset[str], remarks: list[str]) -> SourceSection:
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
    every = [word for column in words.values() for word in column]
    commas = [word for word in every if fault_of(word) is DECIMAL_COMMA]
    if not commas:
        english = [word for word in every if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+\.\d+", word)]
        return ".", "," if english else ""
    points = [word for word in every if re.fullmatch(r"[+-]?\d+\.\d+", word) and not re.fullmatch(r"[+-]?\d{1,3}\.\d{3}", word)]
    if points:
        remarks.append(f"numbers stand both with a comma ({commas[0]}) and with a point ({points[0]}): please check which column")
    grouped = next(
        (sign for sign in (".", " ", "'") if any(re.fullmatch(rf"\d{{1,3}}([{sign}]\d{{3}})+,\d+", w) for w in commas)), ""
    )
    dotted = any(re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+", word) for word in every)
    return ",", grouped or ("." if dotted else "")


def _column_of(name: str, table: _Table, taken: set[str]) -> tuple[str, str]:
    """The hospital's column for a contract's name, "" where it is not clear, and the comment beside it."""
    exact = [other for other in table.names if clean_name(other).casefold() == clean_name(name).casefold()]
    words = words_for(name)
    by_word = exact or [other for other in table.names if key(other) in words and other not in taken]
    if len(by_word) == 1:
        taken.add(by_word[0])
        return by_word[0], "" if exact else f"  {CHECK}"
    near = by_word or nearest(name, [other for other in table.names if other not in taken])
    shown = near or [other for other in table.names if other not in taken]
    return "", f"  {CHOOSE} {', '.join(map(_quoted, shown[:_MOST_WORDS]))}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _column_lines(column: ColumnContract, table: _Table, taken: set[str]) -> list[str]:
    name, comment = _column_of(column.name, table, taken)
    unit = f"  # {column.unit}" if column.unit else ""
    lines = ["", "[[columns]]", f"name = {_quoted(column.name)}{unit}"]
    dates = {other: form for other in table.names if (form := _date_form(table.words.get(other, [])))}
    if not name and len(dates) >= 2 and column.kind == "number":
        choices = ", ".join(map(_quoted, dates))
        lines += [f'from = ""  {CHOOSE} the later date of {choices}; or a column that holds the days already']
        return [*lines, f'minus = ""  {CHOOSE} the earlier date', *_date_lines(dates, column)]
    lines.append(f"from = {_quoted(name)}{comment}")
    if not name:
        return lines
    words = table.words.get(name, [])
    if column.kind == "number":
        return lines + _unit_lines(column, name, table, taken)
    meant = {word: _category(word, column) for word in words[:_MOST_WORDS] if _is_strange(word, column)}
    return lines + _code_lines(meant, ", ".join(map(str, column.categories or (0, 1))))


def _date_lines(dates: dict[str, str], column: ColumnContract) -> list[str]:
    """How the dates are written, and in what the time between them is counted. Tables mostly have the earlier date first."""
    forms = list(dict.fromkeys(dates.values()))
    if len(forms) == 1:
        lines = [f"date_format = {_quoted(forms[0])}"]
    else:
        written = ", ".join(f"{_quoted(name)} is {_quoted(form)}" for name, form in dates.items())
        lines = [f"date_format = {_quoted(forms[-1])}  {CHECK}: of the later date; {written}"]
        lines.append(f"minus_format = {_quoted(forms[0])}  {CHECK}: of the earlier date")
    return [*lines, 'count = "whole years"'] if key(column.unit) in YEARS else lines


def _is_strange(word: str, column: ColumnContract) -> bool:
    return not column.other and category_codes(column).position(word) is None and not is_missing(word, missing_codes(column))


def _category(word: str, column: ColumnContract) -> str | int | None:
    """The contract's code that a hospital's word means, where both are words for a sex, or for yes and no."""
    accepted = list(column.categories or (0, 1))
    for side in (FEMALE, MALE):
        same = [code for code in accepted if spelled(code).casefold() in side]
        if word.casefold() in side and len(same) == 1 and not is_number(spelled(same[0])):
            return same[0]
    return _yes_or_no(word, accepted) if len(accepted) == 2 else None


def _yes_or_no(word: str, accepted: Sequence[str | int]) -> str | int | None:
    for side, other in ((YES, NO), (NO, YES)):
        mine = [code for code in accepted if spelled(code).casefold() in side]
        theirs = [code for code in accepted if spelled(code).casefold() in other]
        if word.casefold() in side and len(mine) == 1 and len(theirs) == 1:
            return mine[0]
    return None


def _code_lines(meant: dict[str, str | int | None], accepted: str) -> list[str]:
    """A table of codes; a word whose meaning is not clear waits for a person, and is refused as it stands."""
    if not meant:
        return []
    lines = []
    pairs = [
        f"{_quoted(word)} = {json.dumps(code if code is not None else '', ensure_ascii=False)}" for word, code in meant.items()
    ]
    open_words = [word for word, code in meant.items() if code is None]
    if open_words:
        pairs = [
            f"{_quoted(w)} = {json.dumps(c, ensure_ascii=False) if c is not None else _quoted('choose')}"
            for w, c in meant.items()
        ]
    comment = f"  {CHOOSE} {accepted} for {', '.join(open_words)}" if open_words else f"  {CHECK}"
    lines.append(f"codes = {{ {', '.join(pairs)} }}{comment}")
    return lines


def _unit_lines(column: ColumnContract, name: str, table: _Table, taken: set[str]) -> list[str]:
    """The factor into the contract's unit: from a column of units beside it, or from the unit in the column's name."""
    at = table.names.index(name)
    beside = [other for other in table.names[at + 1 : at + 2] if re.search(r"einheit|unit|unite|unidad", other.casefold())]
    if beside and column.unit:
        taken.add(beside[0])
        factors = {unit: factor_between(unit, column.unit, column.name) for unit in table.words[beside[0]][:_MOST_WORDS]}
        pairs = ", ".join(f"{_quoted(unit)} = {0.0 if factor is None else factor}" for unit, factor in factors.items())
        open_units = [unit for unit, factor in factors.items() if factor is None]
        comment = f"  {CHOOSE} the factor of {', '.join(open_units)} into {column.unit}" if open_units else f"  {CHECK}"
        return [f"unit_column = {_quoted(beside[0])}", f"units = {{ {pairs} }}{comment}"]
    here = unit_in(name)
    factor = factor_between(here, column.unit, column.name) if here and column.unit else 1.0
    if factor is None:
        return [f"factor = 0.0  {CHOOSE} what {here} is multiplied by to be {column.unit}"]
    return [] if factor == 1.0 else [f"factor = {factor}  {CHECK}: {here} to {column.unit}"]


def _date_form(words: Sequence[str]) -> str:
    """How the dates of a column are written; "" where it holds none, or where day and month cannot be told apart."""
    from wardround.sources.mapping.dates import read_date

    sample = words[:200]
    for pattern, form in _DATES:
        if sample and all(pattern.fullmatch(word) and read_date(word, form) for word in sample):
            return form
    slashed = [re.fullmatch(r"(\d{1,2})/(\d{1,2})/\d{4}", word) for word in sample]
    if sample and all(slashed):
        first = max(int(match[1]) for match in slashed if match)
        second = max(int(match[2]) for match in slashed if match)
        return "%d/%m/%Y" if first > 12 else "%m/%d/%Y" if second > 12 else ""
    return ""


def _other_lines(title: str, name: str, required: bool, table: _Table, contract: DataContract, taken: set[str]) -> list[str]:
    column, comment = _column_of(name, table, taken)
    if not column and not required and not (title == "patient" and comment and _has_near(name, table)):
        return []
    lines = ["", f"[{title}]", f"from = {_quoted(column)}{comment}"]
    words = table.words.get(column, [])
    if column and title == "label":
        return lines + _label_codes(words, contract)
    if column and title == "patient" and spelled_alike(words):
        lines.append(f'same = ""  {CHOOSE} "as written", "ignore case", "ignore zeros" or "ignore case and zeros"')
    return lines


def _has_near(name: str, table: _Table) -> bool:
    return any(key(other) in words_for(name) for other in table.names)


def _label_codes(words: Sequence[str], contract: DataContract) -> list[str]:
    label = contract.label
    strange = [word for word in words[:_MOST_WORDS] if label.judge(word) is None]
    sides = [side for side in (label.negative, label.positive) if not isinstance(side, str)]
    accepted = [value for side in sides for value in side]
    meant = {word: _yes_or_no(word, accepted) if len(sides) == 2 else None for word in strange}
    return _code_lines(meant, ", ".join(map(str, accepted)) or "a number")
