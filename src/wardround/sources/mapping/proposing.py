"""A first mapping for a hospital's file: what is clear is written down, what is doubtful is a line that a person fills in.

A proposal is a text that somebody reads and keeps. It holds the hospital's words, and stays at the hospital.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.sources.mapping.hospital_table import HospitalTable, hospital_table
from wardround.sources.mapping.sections import SourceSection
from wardround.sources.mapping.vocabulary import (
    DURATION_UNITS,
    FEMALE,
    MALE,
    NO,
    PERCENT_UNITS,
    YEARS,
    YES,
    factor_between,
    key,
    unit_in,
    words_for,
)
from wardround.sources.patient_words import spelled_alike
from wardround.sources.tables.column_names import clean_name, nearest
from wardround.sources.tables.number_faults import PERCENT, TIME, fault_of
from wardround.study.cell_codes import category_codes, is_missing, missing_codes
from wardround.study.cell_values import is_number, spelled
from wardround.study.contract import ColumnContract, DataContract

if TYPE_CHECKING:
    pass

CHOOSE = "# choose:"
CHECK = "# please check"
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


def propose(path: Path, contract: DataContract) -> Proposal:
    """A mapping for the file at `path`. DataError where it is no table."""
    table = hospital_table(path, contract)
    lines = [
        "# How this hospital's table becomes the study's. It holds the hospital's words and stays at the hospital.",
        "format = 1",
    ]
    lines += ["", "[source]", *_source_lines(table.source, table.remarks)]
    taken: set[str] = set()
    ends: list[str] = []
    several = len(contract.label.columns) > 1
    if several:
        lines += [
            "",
            f"# The label stands in several columns, which the table must have as: {', '.join(contract.label.columns)}.",
        ]
    labels = [] if several else [("label", contract.label.column, True)]
    for title, name, required in (*labels, ("patient", contract.patient.column, False),
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


def _column_of(name: str, table: HospitalTable, taken: set[str]) -> tuple[str, str]:
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


def _column_lines(column: ColumnContract, table: HospitalTable, taken: set[str]) -> list[str]:
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
        return lines + _spelling_lines(column, words) + _unit_lines(column, name, table, taken)
    meant = {word: _category(word, column) for word in words[:_MOST_WORDS] if _is_strange(word, column)}
    return lines + _code_lines(meant, ", ".join(map(str, column.categories or (0, 1))))


def _spelling_lines(column: ColumnContract, words: Sequence[str]) -> list[str]:
    """What percentages and durations are in the contract's unit; a line to fill in where the unit does not say it."""
    faults = {fault_of(word) for word in words[:200] if not is_number(word)}
    if PERCENT in faults:
        if column.unit.strip().casefold() in PERCENT_UNITS:
            return ['percent = "as shown"']
        if column.range is not None and column.range[1] <= 1:
            return [f'percent = "fraction"  {CHECK}: the contract goes up to {column.range[1]:g}']
        return [f'percent = ""  {CHOOSE} "as shown" where 45 % is 45 in the contract, "fraction" where it is 0.45']
    if TIME in faults:
        unit = next((unit for unit, names in DURATION_UNITS.items() if column.unit.strip().casefold() in names), "")
        comment = f"  {CHECK}: 26:30 is 26 hours and 30 minutes" if unit else f"  {CHOOSE} days, hours, minutes or seconds"
        return [f"duration = {_quoted(unit)}{comment}"]
    return []


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


def _unit_lines(column: ColumnContract, name: str, table: HospitalTable, taken: set[str]) -> list[str]:
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


def _other_lines(
    title: str, name: str, required: bool, table: HospitalTable, contract: DataContract, taken: set[str]
) -> list[str]:
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


def _has_near(name: str, table: HospitalTable) -> bool:
    return any(key(other) in words_for(name) for other in table.names)


def _label_codes(words: Sequence[str], contract: DataContract) -> list[str]:
    label = contract.label
    strange = [word for word in words[:_MOST_WORDS] if label.judge(word) is None]
    if label.kind != "binary":
        values = [value for one in label.asked.classes for value in one.values]
        values += [value for one in label.asked.between for value in one.values] + list(label.asked.blank)
        return _code_lines(dict.fromkeys(strange), ", ".join(map(str, values)) or "a number")
    sides = [side for side in (label.negative, label.positive) if not isinstance(side, str)]
    accepted = [value for side in sides for value in side]
    meant = {word: _yes_or_no(word, accepted) if len(sides) == 2 else None for word in strange}
    return _code_lines(meant, ", ".join(map(str, accepted)) or "a number")
