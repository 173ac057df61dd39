"""Why a cell is no number, in words that a data manager can act on: one cause, one mend."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from wardround.study.cell_codes import LARGEST
from wardround.study.cell_values import is_number


@dataclass(frozen=True)
class NumberFault:
    """code: short, of the kind. text: what the cells of a column are, after "Column 'x' has ". hint: the mend."""

    code: str
    text: str
    hint: str


FORMULA = "#FORMULA WITHOUT A SAVED VALUE"
"""What stands in a cell whose value nobody knows."""
_MAPPING = "write a mapping with wardround data map, and in it "
DECIMAL_COMMA = NumberFault(
    "decimal-comma", "numbers with a decimal comma", f'{_MAPPING}decimal = "," (thousands = "." where 1.234,5 is written)'
)
COMMA_UNCLEAR = NumberFault(
    "comma-unclear", "numbers with a comma before three digits, which may stand before decimals or between thousands",
    f'find out which, then {_MAPPING}decimal = "," or thousands = ","',
)  # fmt: skip
THOUSANDS = NumberFault(
    "thousands", "numbers with a sign between the thousands",
    f'{_MAPPING}thousands = "," (or the sign that is written; a space stands for spaces of every width, an apostrophe for all)',
)  # fmt: skip
BOUND = NumberFault(
    "bound",
    "numbers with a sign such as < or >, or a word for it, beyond what was measured",
    'decide with the study what such a cell counts as, and say it in a mapping (wardround data map): codes = { "<0.01" = '
    '"0.01" }',
)
TOO_LARGE = NumberFault(
    "fill-value", f"numbers beyond {LARGEST:g}, which are fill values and no measurements",
    "name the code under missing in the contract, or leave these cells empty",
)  # fmt: skip
NOT_FINITE = NumberFault(
    "not-finite", "cells that mean infinity", "find out what was divided by zero, and leave these cells empty"
)
OTHER_DIGITS = NumberFault("other-digits", "numbers in digits other than 0 to 9", "export them again with the digits 0 to 9")
PROGRAM = NumberFault(
    "program-number", "numbers as programs write them, such as 0x10 or 1_0", "export them again as plain decimal numbers"
)
WITH_UNIT = NumberFault("with-unit", "numbers with a unit behind them", f"{_MAPPING}codes, or export the number alone")
PERCENT = NumberFault(
    "percent", "numbers with a sign of percent, as a cell of a spreadsheet shows 0.45",
    f'{_MAPPING}percent = "as shown" (45 % is 45) or percent = "fraction" (45 % is 0.45) under the column',
)  # fmt: skip
DATE = NumberFault(
    "date", "dates where a number is promised",
    f"name another column; where the days between two dates are meant, {_MAPPING}minus (the column of the earlier date) and "
    "date_format; where a spreadsheet made dates of numbers such as 5.2, export those numbers again as text, for the cells hold "
    "other ones now",
)  # fmt: skip
TIME = NumberFault(
    "time", "times or durations with a colon where a number is promised",
    f'{_MAPPING}duration = "hours" (or "days", "minutes", "seconds") under the column, where 26:30 is 26 hours and 30 minutes; '
    "else export them as a number in the contract's unit",
)  # fmt: skip
OTHER_MINUS = NumberFault(
    "other-minus", "negative numbers without a plain - before them",
    "export them as -5.2; a long dash, a - behind the number and brackets are no minus sign here",
)  # fmt: skip
TWO_NUMBERS = NumberFault(
    "two-numbers", "two numbers with a slash between them, such as 120/80", "export each of the two into a column of its own"
)
SPAN = NumberFault(
    "span", "spans such as 30-40 or 5±1 in place of one number",
    'decide with the study what such a cell counts as, and say it in a mapping (wardround data map): codes = { "30-40" = "35" }',
)  # fmt: skip
MARKED = NumberFault(
    "marked", "numbers with a mark beside them, such as 5.2* or 5.2 (H)",
    "export the number alone; where the mark says that the value does not count, leave the cell empty",
)  # fmt: skip
NO_FORMULA = NumberFault(
    "formula-unsaved", "formulas whose value was not saved with the workbook",
    "open it in a spreadsheet program, which computes them, and save it there",
)  # fmt: skip
ERROR_CELL = NumberFault(
    "error-cell", "errors of a spreadsheet, such as #N/A or #REF!",
    "correct their formulas; where nothing was measured, leave the cells empty, or name the word under missing in the contract",
)  # fmt: skip
WORD = NumberFault(
    "not-a-number", "cells that are not numbers",
    "correct them, take out lines that are no records (units below the header, totals, notes), or name the codes that mean that "
    "nothing was measured under missing in the contract",
)  # fmt: skip

APOSTROPHES = "'\u2019\u2018\u02bc\u00b4`"
"""Signs that are written for the one between thousands; a Swiss spreadsheet writes the second."""
_ASCII_ANY_CASE = re.ASCII | re.IGNORECASE
_ONE = r"\d+(?:[.,]\d+)?"
_DATE = (
    r"(?:\d{1,2}\.\d{1,2}\.\d{2,4}|\d{4}([-/.])\d{1,2}\1\d{1,2}|\d{1,2}([-/])\d{1,2}\2\d{2,4}|"
    r"\d{1,2}\.?[ -][^\W\d_]{3,9}\.?[ -]\d{2,4}|[^\W\d_]{3,9}\.? \d{1,2},? \d{4})"
)
_BOUND_WORDS = (
    "over|under|above|below|at least|at most|up to|more than|less than|(?:ü|ue)ber|unter|ab|bis|mehr als|weniger als|plus de"
)
_CAUSES = (
    (re.compile(re.escape(FORMULA)), NO_FORMULA),
    (re.compile(r"[<>≤≥~≈]\s*=?\s*[+-]?\d+(?:[.,]\d+)?.*", re.ASCII), BOUND),
    (re.compile(rf"{_ONE}\s?\+|{_ONE}\s?(?:and|or|und|oder|et|ou|y|o)\s\w+|(?:{_BOUND_WORDS})\s?{_ONE}", re.IGNORECASE), BOUND),
    (re.compile(rf"[+-]?(?:\d+|\d{{1,3}}(?:[.\s{APOSTROPHES}]\d{{3}})+),\d+(?:[eE][+-]?\d+)?", re.ASCII), DECIMAL_COMMA),
    (re.compile(rf"[+-]?\d{{1,3}}(?:[.\s{APOSTROPHES}]\d{{3}})+", re.ASCII), THOUSANDS),
    (re.compile(rf"[+-]?\d{{1,3}}(?:[\s{APOSTROPHES}]\d{{3}})+\.\d+", re.ASCII), THOUSANDS),
    (re.compile(r"[+-]?\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?", re.ASCII), THOUSANDS),
    (re.compile(r"[+-]?\d{1,3}(?:,\d{3}){2,}|[+-]?\d{1,3}(?:,\d{3})+\.\d+", re.ASCII), THOUSANDS),
    (re.compile(r"[+-]?(?:inf|infinity|∞|#div/0!)", re.IGNORECASE), NOT_FINITE),
    (re.compile(r"#[A-Z/0]+[!?]?(?:_[A-Z]+[!?]?)*", re.ASCII), ERROR_CELL),
    (re.compile(r"[+-]?0[xob][0-9a-f_]+|[+-]?\d+(?:_\d+)+(?:\.\d*)?|[+-]?\d+(?:\.\d*)?d[+-]?\d+", _ASCII_ANY_CASE), PROGRAM),
    (re.compile(rf"{_DATE}.*", re.ASCII), DATE),
    (re.compile(r"[+-]?\d+(?:[.,]\d+)?\s?%", re.ASCII), PERCENT),
    (re.compile(r"-?\d+:[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?|\d+ days?, \d+:.*", re.ASCII), TIME),
    (re.compile(rf"[\u2212\u2012-\u2015]\s?{_ONE}|{_ONE}\s?[-\u2212]|\({_ONE}\)", re.ASCII), OTHER_MINUS),
    (re.compile(rf"{_ONE}\s?/\s?{_ONE}", re.ASCII), TWO_NUMBERS),
    (re.compile(rf"[+-]?{_ONE}\s?(?:[-\u2010-\u2015]|±|\.\.|to|bis)\s?{_ONE}", re.ASCII), SPAN),
    (re.compile(rf"[+-]?{_ONE}\s?(?:[*!#†‡↑↓]+|\([A-Za-z*+-]{{1,3}}\))|(?:[*!#†‡↑↓]+|[HL]\b)\s?[+-]?{_ONE}", re.ASCII), MARKED),
    (re.compile(r"[+-]?\d+(?:[.,]\d+)?\s*[^\W\d_%µ°][\w/%µ°²³*.\-]*|[+-]?\d+(?:[.,]\d+)?\s*%", re.UNICODE), WITH_UNIT),
)  # fmt: skip


_GROUPED_COMMA = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_GROUPED_POINT = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,3}", re.ASCII)
FEWEST_GROUPED, FEWEST_WHOLE = 3, 5


def commas_unclear(cells: Iterable[str]) -> bool:
    """Whether numbers with a comma may be thousands as well as decimals: each has one comma, before three digits.

    >>> commas_unclear(["1,234", "2,100"]), commas_unclear(["1,234", "2,1"]), commas_unclear(["0,123"])
    (True, False, False)
    """
    return all(_GROUPED_COMMA.fullmatch(cell) for cell in cells)


def may_hold_thousands(cell: str) -> bool:
    """Whether a cell leaves open that the points of its column stand between thousands.

    >>> may_hold_thousands("1.234"), may_hold_thousands("850"), may_hold_thousands(""), may_hold_thousands("1.2")
    (True, True, True, False)
    """
    return not cell or bool(_GROUPED_POINT.fullmatch(cell) or _WHOLE.fullmatch(cell))


def points_look_like_thousands(cells: Iterable[str]) -> bool:
    """Whether the points of a column stand between thousands: before three digits each, and none in a smaller number.

    Decimals that are written to three places would be on the other numbers too; where trailing zeros are left out, some would be
    shorter. A column that shows neither, and holds whole numbers beside, was written with points between thousands.

    >>> points_look_like_thousands(["850", "1.234", "990", "2.100", "3.005"])
    True
    >>> points_look_like_thousands(["1.234", "2.100", "3.005"]), points_look_like_thousands(["850", "1.234", "2.1", "3.005"])
    (False, False)
    """
    grouped, whole, zeros = 0, 0, False
    for cell in cells:
        if _GROUPED_POINT.fullmatch(cell):
            grouped, zeros = grouped + 1, zeros or cell.endswith("0")
        elif _WHOLE.fullmatch(cell):
            whole += len(cell.lstrip("+-0")) == len("850")
        elif cell:
            return False
    return grouped >= FEWEST_GROUPED and (whole >= FEWEST_WHOLE or (whole > 0 and zeros))


def fault_of(cell: str) -> NumberFault:
    """Why this cell is refused as a number.

    >>> [fault_of(cell).code for cell in ("1 234,5", "1.234,5", "1,234.5", "<0.01", "1e400")]
    ['decimal-comma', 'decimal-comma', 'thousands', 'bound', 'fill-value']
    >>> [fault_of(cell).code for cell in ("0x10", "1_0", "٣")]
    ['program-number', 'program-number', 'other-digits']
    >>> [fault_of(cell).code for cell in ("12 mg/dl", "inf", "31.12.2020", "young")]
    ['with-unit', 'not-finite', 'date', 'not-a-number']
    >>> [fault_of(cell).code for cell in ("120/80", "12:30", "30-40", "5.2-", "5.2*", "45 %")]
    ['two-numbers', 'time', 'span', 'other-minus', 'marked', 'percent']
    """
    if is_number(cell):
        return TOO_LARGE
    plain = "".join(" " if sign.isspace() else sign for sign in cell)
    cause = next((fault for pattern, fault in _CAUSES if pattern.fullmatch(plain)), None)
    if cause is not None:
        return cause
    digits = unicodedata.normalize("NFKC", "".join(str(unicodedata.digit(c, c)) for c in plain))
    return OTHER_DIGITS if digits != plain and (is_number(digits) or is_number(digits.replace("٫", "."))) else WORD
