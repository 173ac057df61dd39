"""A hospital's table, with the contract's columns in it. Cells are translated word by word, in exact decimal arithmetic.

text cells --codes--> the contract's code
           --decimal, thousands--> a plain number --units, factor, offset--> in the contract's unit
           --date_format, minus--> days or years (`dates.py`)
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from wardround.sources.mapping.dates import TimeBetween, plain_number, time_between
from wardround.sources.mapping.sections import CellsSection, ColumnSection, HospitalMapping, SourceSection
from wardround.sources.patient_words import folded, one_form
from wardround.sources.places import RowPlaces
from wardround.sources.read_result import Level, Problem
from wardround.sources.tables.column_names import absent_columns, require_single
from wardround.sources.tables.number_faults import APOSTROPHES
from wardround.sources.tables.table import LineOf
from wardround.study.cell_codes import is_missing, missing_codes
from wardround.study.cell_values import exact_number, spelled
from wardround.study.contract import ColumnContract, DataContract

_LONGEST = 60
"""Digits before or behind the point up to which a number is written out."""


@dataclass
class _Faults:
    """Cells that the mapping does not explain, by code: rows, text and hint."""

    line_of: LineOf | None
    problems: list[Problem] = field(default_factory=list)

    def note(self, code: str, text: str, hint: str, wrong: pl.Series, words: pl.Series, level: Level = "error") -> None:
        rows = wrong.arg_true().to_numpy().astype("int64")
        if len(rows):
            where = RowPlaces(rows, words.name, self.line_of, lambda row: str(words[row]))
            self.problems.append(Problem(level, code, text, hint, len(rows), where, "of the rows in the order of the file"))


def mapped(
    frame: pl.DataFrame, mapping: HospitalMapping, contract: DataContract, line_of: LineOf | None
) -> tuple[pl.DataFrame, tuple[Problem, ...]]:
    """The frame with the contract's columns in the contract's words, and what could not be translated.

    DataError where the mapping names a column that the table lacks.
    """
    mapping.require_known(contract)
    _require_columns(frame, mapping)
    faults = _Faults(line_of)
    columns: dict[str, pl.Series] = {}
    rules = {column.name: column for column in contract.columns}
    sections = {section.name: section for section in mapping.columns}
    for name, rule in rules.items():
        if name in sections:
            columns[name] = _column(frame, sections[name], rule, mapping.source, faults)
        elif name in frame.columns:
            columns[name] = _numbers(_text(frame, name), rule, mapping.source, faults)
    others = ((contract.label.column, mapping.label), (contract.patient.column, mapping.patient),
              ("split", mapping.split), (contract.site.column, mapping.site))  # fmt: skip
    for name, section in others:
        if section is not None:
            columns[name] = _coded(_text(frame, section.source), section).alias(name)
    if mapping.patient is not None:
        columns[contract.patient.column] = _same(columns[contract.patient.column], mapping.patient.same)
    used = {source for section in (*mapping.columns, *(s for _, s in others if s)) for source in (section.source,)}
    own = {name for name, section in others if section is None}
    rest = [name for name in frame.columns if name not in columns and (name not in used or name in own)]
    series = [*(frame.get_column(name) for name in rest), *(column.alias(name) for name, column in columns.items())]
    return pl.DataFrame(series), tuple(faults.problems)


def _require_columns(frame: pl.DataFrame, mapping: HospitalMapping) -> None:
    sections: list[CellsSection] = [s for s in (mapping.label, mapping.patient, mapping.split, mapping.site) if s is not None]
    named = [name for column in mapping.columns for name in (column.source, column.unit_column, column.minus) if name]
    named += [section.source for section in sections]
    require_single(frame.columns, dict.fromkeys(named))
    if absent := [name for name in dict.fromkeys(named) if name not in frame.columns]:
        raise absent_columns(absent, frame.columns, hint="correct from, unit_column or minus in the mapping")


def _text(frame: pl.DataFrame, name: str) -> pl.Series:
    from wardround.sources.tables.frame_rows import require_flat, text_of

    require_flat(frame.get_column(name))
    return text_of(frame.get_column(name)).str.strip_chars()


def _by_word(words: pl.Series, meaning: Callable[[str], str | None]) -> pl.Series:
    """What each word means; null where it means nothing. Each distinct word is asked once."""
    distinct = words.unique()
    meant = pl.Series([meaning(str(word)) for word in distinct.to_list()], dtype=pl.String)
    return words.replace_strict(distinct, meant, return_dtype=pl.String)


def _coded(words: pl.Series, section: CellsSection) -> pl.Series:
    codes = {hospital.strip(): spelled(meant) for hospital, meant in section.codes.items()}
    return _by_word(words, lambda word: codes.get(word, word)) if codes else words


def _same(words: pl.Series, same: str) -> pl.Series:
    """Identifiers, those of one patient alike, as the hospital says."""
    if same in ("", "as written"):
        return words
    if same == "ignore case":
        return _by_word(words, lambda word: "".join(one_form(word).casefold().split()))
    if same == "ignore zeros":
        return _by_word(words, lambda word: _without_zeros("".join(one_form(word).split())))
    return _by_word(words, folded)


def _without_zeros(word: str) -> str:
    return re.sub(r"^(\D*)0+(?=\d)", r"\1", re.sub(r"^(\d+)\.0+$", r"\1", word))


def _column(
    frame: pl.DataFrame, section: ColumnSection, rule: ColumnContract, source: SourceSection, faults: _Faults
) -> pl.Series:
    words = _text(frame, section.source)
    if section.minus:
        return _between(words, _text(frame, section.minus), section, rule, faults)
    coded = _coded(words, section)
    if rule.kind != "number":
        return coded
    translated = words.is_in(list({code.strip() for code in section.codes}))
    if section.percent:
        plain = _percentages(words, section, rule, source, faults, besides=translated)
    elif section.duration:
        plain = _durations(words, section)
    else:
        plain = _numbers(words, rule, source, faults, besides=translated)
    scaled = _scaled(frame, plain, section, rule, faults)
    return pl.select(pl.when(translated).then(coded).otherwise(scaled)).to_series()


def _numbers(
    words: pl.Series, rule: ColumnContract, source: SourceSection, faults: _Faults, besides: pl.Series | None = None
) -> pl.Series:
    """Numbers with the hospital's signs as plain ones. One that is not written as the mapping says is an error."""
    if rule.kind != "number" or (source.decimal == "." and not source.thousands):
        return words
    codes = missing_codes(rule)
    written, between = _written_as(source), re.compile(_thousands_in(source) or "(?!)")

    def plain(word: str) -> str | None:
        if written.fullmatch(word):
            return between.sub("", word).replace(source.decimal, ".")
        return None if exact_number(word) is not None and not is_missing(word, codes) else word

    meant = _by_word(words, plain)
    wrong = meant.is_null() if besides is None else meant.is_null() & ~besides
    text = f"Column {rule.name!r} has numbers that are not written as the mapping's decimal and thousands say"
    faults.note(f"not-as-mapped:{rule.name}", text, "correct decimal or thousands under [source], or these cells", wrong, words)
    return meant.fill_null("")


def _percentages(
    words: pl.Series, section: ColumnSection, rule: ColumnContract, source: SourceSection, faults: _Faults, besides: pl.Series
) -> pl.Series:
    """Numbers behind which a sign of percent stands. One without is an error: whether 0.45 is meant as a share cannot be told."""
    codes = missing_codes(rule)
    bare = _by_word(words, lambda word: word.removesuffix("%").rstrip())
    plain = _numbers(bare, rule, source, faults, besides)
    unmarked = _by_word(plain, lambda word: "1" if exact_number(word) is not None and not is_missing(word, codes) else None)
    wrong = unmarked.is_not_null() & ~words.str.ends_with("%") & ~besides
    text = f"Column {rule.name!r} has numbers without a sign of percent beside those with one"
    hint = "show all cells of the column as percentages, or none of them; a word that is a code goes into codes"
    faults.note(f"percent-unlike:{rule.name}", text, hint, wrong, words)
    if section.percent == "as shown":
        return plain
    return pl.select(pl.when(words.str.ends_with("%")).then(_by_word(plain, _hundredth)).otherwise(plain)).to_series()


def _hundredth(word: str) -> str:
    number = exact_number(word)
    return word if number is None or abs(number.adjusted()) > _LONGEST else plain_number(number / 100)


_DURATION = re.compile(r"(-?)([0-9]+):([0-5][0-9])(?::([0-5][0-9](?:[.,][0-9]+)?))?")
_SECONDS = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}


def _durations(words: pl.Series, section: ColumnSection) -> pl.Series:
    """Hours, minutes and seconds as one number. Other cells stay as they are, and are judged as numbers."""

    def counted(word: str) -> str:
        match = _DURATION.fullmatch(word)
        if match is None:
            return word
        seconds = int(match[2]) * 3600 + int(match[3]) * 60 + Decimal((match[4] or "0").replace(",", "."))
        return match[1] + plain_number(round(seconds / _SECONDS[section.duration], _PLACES))

    return _by_word(words, counted)


_PLACES = 12
"""Decimals of a duration in another unit: a third of an hour has no end."""


def _written_as(source: SourceSection) -> re.Pattern[str]:
    decimals = rf"(?:{re.escape(source.decimal)}[0-9]+)?"
    sign = _thousands_in(source)
    by_three = rf"[0-9]{{1,3}}(?:{sign}[0-9]{{3}})+"
    as_in_india = "[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}" if source.thousands == "," else "(?!)"
    whole = rf"(?:[0-9]+|{by_three}|{as_in_india})" if sign else "[0-9]+"
    return re.compile(rf"[+-]?{whole}{decimals}(?:[eE][+-]?[0-9]+)?")


def _thousands_in(source: SourceSection) -> str:
    """A pattern of the sign between thousands; "" where there is none. An apostrophe stands for all, a space for every width."""
    if source.thousands and source.thousands in APOSTROPHES:
        return f"[{APOSTROPHES}]"
    return r"\s" if source.thousands.isspace() else re.escape(source.thousands)


def _scaled(frame: pl.DataFrame, words: pl.Series, section: ColumnSection, rule: ColumnContract, faults: _Faults) -> pl.Series:
    """Numbers in the contract's unit. Codes that mean missing, and cells that are no numbers, stay as they are."""
    offset = Decimal(repr(section.offset))
    codes = missing_codes(rule)

    def by(factor: Decimal) -> Callable[[str], str]:
        def scaled(word: str) -> str:
            number = exact_number(word)
            if number is None or is_missing(word, codes):
                return word
            if number and abs(number.adjusted()) > _LONGEST:
                return word  # beyond any measurement: refused as it is written, and not written out in a million digits
            return plain_number(number * factor + offset)

        return scaled

    whole = Decimal(repr(section.factor))
    if not section.units:
        return words if whole == 1 and offset == 0 else _by_word(words, by(whole))
    units = _text(frame, section.unit_column)
    result = words
    for unit, factor in section.units.items():
        in_unit = units == unit.strip()
        result = pl.select(
            pl.when(in_unit).then(_by_word(words, by(Decimal(repr(factor)) * whole))).otherwise(result)
        ).to_series()
    counted = pl.Series([exact_number(str(word)) is not None and not is_missing(str(word), codes) for word in words.unique()])
    numeric = words.replace_strict(words.unique(), counted, return_dtype=pl.Boolean)
    strange = ~units.is_in([unit.strip() for unit in section.units]) & numeric
    text = f"Column {rule.name!r} has rows whose unit the mapping does not name"
    faults.note(f"unit-unknown:{rule.name}", text, "add the unit to units of this column, with its factor", strange, units)
    return result


def _between(later: pl.Series, earlier: pl.Series, section: ColumnSection, rule: ColumnContract, faults: _Faults) -> pl.Series:
    between = time_between(later, earlier, section, rule)
    text = f"Column {section.name!r} has dates that are not written as the mapping says"
    for key, unread, words in (
        ("date_format", between.unread_later, later),
        ("minus_format" if section.minus_format else "date_format", between.unread_earlier, earlier),
    ):
        faults.note(
            f"date:{section.name}", text, f"correct {key}, or these cells; name a word that is no date in codes", unread, words
        )
    _note_order(between, section, rule, faults, later)
    text = f"Column {section.name!r} has a time with a zone beside one without, so that the time between them is not clear"
    faults.note(f"date-zone:{section.name}", text, "write both in one way", between.unlike_zones, later)
    return between.words


def _note_order(between: TimeBetween, section: ColumnSection, rule: ColumnContract, faults: _Faults, later: pl.Series) -> None:
    """Times that run backwards, and dates that stand for an unknown one: both are numbers like all others."""
    if rule.range is None or rule.range[0] >= 0:
        text = f"Column {section.name!r} has a later date that lies before the earlier one"
        hint = (
            "correct these dates, or write from and minus the other way round; a year of two digits is 1969 to 2068: write it "
            "with four"
        )
        faults.note(f"date-order:{section.name}", text, hint, between.backwards, later)
    text = f"Column {section.name!r} has the same first or last day again and again, as where a date is not known"
    hint = 'where it means so, name it in codes: { "1900-01-01" = "" }, as it is written here'
    faults.note(f"date-unknown:{section.name}", text, hint, between.placeholders, later, "warning")
