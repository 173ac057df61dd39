"""Two dates of a row as the time between them: a stay in days, an age in whole years. A date itself is never a column.

    later, earlier --codes, missing--> the contract's code      --date_format, minus_format--> days or years --factor, offset-->

A time with a zone beside one without is an error: which moment the second is cannot be told.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl

from wardround.sources.mapping.sections import ColumnSection
from wardround.study.cell_codes import is_left_out, is_missing, left_out_codes, missing_codes
from wardround.study.cell_values import spelled
from wardround.study.contract import ColumnContract

_DAY_S = 86_400


@dataclass(frozen=True)
class TimeBetween:
    """words: of each row, in the contract's terms. unread_later, unread_earlier: the rows whose date is not read.
    unlike_zones: those with a zone in one date alone. backwards: those whose later date lies before the earlier one.
    placeholders: those with a date that programs write for an unknown one, where it stands more than once."""

    words: pl.Series
    unread_later: pl.Series
    unread_earlier: pl.Series
    unlike_zones: pl.Series
    backwards: pl.Series
    placeholders: pl.Series


def time_between(later: pl.Series, earlier: pl.Series, section: ColumnSection, rule: ColumnContract) -> TimeBetween:
    """The time from the earlier date of each row to the later one; a cell that is a code in one of them stays that code."""
    meant = _codes_in({*later.unique().to_list(), *earlier.unique().to_list()}, section, rule)
    ends = _dates(later, section.date_format, meant)
    begins = _dates(earlier, section.minus_format or section.date_format, meant)

    def cell(last: str, first: str) -> str:
        code = meant.get(last, meant.get(first))
        if code is not None:
            return code
        end, begin = ends[last], begins[first]
        return "" if end is None or begin is None or _unlike(begin, end) else _span(begin, end, section)

    pairs = list(zip(later.to_list(), earlier.to_list(), strict=True))
    unlike = [bool((end := ends[last]) and (begin := begins[first]) and _unlike(begin, end)) for last, first in pairs]
    return TimeBetween(
        pl.Series([cell(last, first) for last, first in pairs], dtype=pl.String),
        _unread(later, ends, meant),
        _unread(earlier, begins, meant),
        pl.Series(unlike, dtype=pl.Boolean),
        pl.Series([_ordered(begins[first], ends[last]) is False for last, first in pairs], dtype=pl.Boolean),
        _placeholders(later, ends) | _placeholders(earlier, begins),
    )


PLACEHOLDERS = frozenset({(1, 1, 1), (1753, 1, 1), (1800, 1, 1), (1899, 12, 30), (1899, 12, 31), (1900, 1, 1), (1901, 1, 1),
                          (1970, 1, 1), (2999, 12, 31), (9999, 12, 31)})  # fmt: skip
"""First and last days of calendars, which programs write for a date that is not unsure."""


def _ordered(begin: datetime | None, end: datetime | None) -> bool | None:
    """Whether two dates stand in order; None where that cannot be told."""
    return None if begin is None or end is None or _unlike(begin, end) else begin <= end


def _placeholders(words: pl.Series, dates: dict[str, datetime | None]) -> pl.Series:
    unsure = [word for word, moment in dates.items() if moment and (moment.year, moment.month, moment.day) in PLACEHOLDERS]
    there = words.is_in(unsure)
    return there if there.sum() > 1 else pl.Series([False] * len(words), dtype=pl.Boolean)


def plain_number(number: Decimal) -> str:
    """Without an exponent and without zeros at its end.

    >>> plain_number(Decimal("1.50")), plain_number(Decimal("1E+2"))
    ('1.5', '100')
    """
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _codes_in(words: set[str], section: ColumnSection, rule: ColumnContract) -> dict[str, str]:
    """The words that are no dates by the mapping's codes or the contract's, and what they are for the contract."""
    codes = {hospital.strip(): spelled(code) for hospital, code in section.codes.items()}
    missing, left_out = missing_codes(rule), left_out_codes(rule)
    kept = {word: word for word in words if is_missing(word, missing) or is_left_out(word, left_out)}
    return kept | {word: codes[word] for word in words if word in codes}


def _dates(words: pl.Series, date_format: str, meant: dict[str, str]) -> dict[str, datetime | None]:
    return {word: None if word in meant else read_date(word, date_format) for word in words.unique().to_list()}


def _unread(words: pl.Series, dates: dict[str, datetime | None], meant: dict[str, str]) -> pl.Series:
    unread = [word for word, moment in dates.items() if moment is None and word not in meant]
    return words.is_in(unread)


def read_date(word: str, date_format: str) -> datetime | None:
    """A date as the format says, or as ISO 8601 where it says nothing; None where the word is none."""
    try:
        return datetime.strptime(word, date_format) if date_format else datetime.fromisoformat(word)
    except ValueError:
        return None


def _unlike(begin: datetime, end: datetime) -> bool:
    return (begin.tzinfo is None) != (end.tzinfo is None)


def _span(begin: datetime, end: datetime, section: ColumnSection) -> str:
    if section.count == "whole years":
        number = Decimal(_whole_years(begin, end))
    else:
        number = Decimal((end - begin).days * _DAY_S + (end - begin).seconds) / _DAY_S
    return plain_number(number * Decimal(repr(section.factor)) + Decimal(repr(section.offset)))


def _whole_years(begin: datetime, end: datetime) -> int:
    """Birthdays from one to the other: who was born on 29 February has one on 1 March of other years, as in a cohort."""
    return end.year - begin.year - ((end.month, end.day) < (begin.month, begin.day))
