"""Values of a table's cells, as a contract compares them: what it writes as text compares as text, what it writes as a number
compares as a number, exactly.

    contract  "0117"   cell "0117"            yes     "117", "117.0"       no: an identifier is no number
    contract  117      cell "117", "117.0"    yes     117.0000000000000001 no: nothing is rounded
    contract  "Normal" cell "NORMAL "         yes     where case = "ignore"; not where case = "exact"
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

Value = str | int | float
Case = Literal["ignore", "exact"]
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_INTEGERS = 2**53
"""Up to here a float that is whole is one integer; beyond it stands for several."""


def spelled(value: Value) -> str:
    """A value as text: text trimmed, a number in its shortest spelling, so that 1.0 from a typed file is "1".

    >>> spelled(1), spelled(1.0), spelled(" Normal "), spelled("1.0"), spelled(-9), spelled(1e30)
    ('1', '1', 'Normal', '1.0', '-9', '1e+30')
    """
    if isinstance(value, float) and value.is_integer() and abs(value) <= _INTEGERS:
        return str(int(value))
    return str(value).strip()


def is_number(text: str) -> bool:
    """Whether a cell is a plain finite number: no words such as inf, no digits grouped by underscores.

    >>> is_number("-1.5e3"), is_number("1_0"), is_number("inf"), is_number("0x10"), is_number("1,5")
    (True, False, False, False, False)
    """
    return _NUMBER.fullmatch(text) is not None


def exact_number(text: str) -> Decimal | None:
    """The number that a cell writes, unrounded; None where it writes none.

    >>> exact_number("250.00") == 250, exact_number("9007199254740993") == 9007199254740992, exact_number("x")
    (True, False, None)
    """
    return Decimal(text) if is_number(text) else None


def text_key(text: str, case: Case = "ignore") -> str:
    """Equal for equal texts: trimmed, one form of accents, and where `case` is ignored without case.

    >>> text_key(" Normal ") == text_key("NORMAL"), text_key("a", "exact") == text_key("A", "exact")
    (True, False)
    """
    plain = unicodedata.normalize("NFC", text.strip())
    return unicodedata.normalize("NFC", plain.casefold()) if case == "ignore" else plain


@dataclass(frozen=True)
class Codes:
    """Values that a contract names, and where in its list each stands. texts: by `text_key`. numbers: by exact value."""

    texts: dict[str, int]
    numbers: dict[Decimal, int]
    case: Case

    def position(self, cell: str) -> int | None:
        """The place of the first value that a cell means; None of a cell that means none of them."""
        position = self.texts.get(text_key(cell, self.case))
        number = exact_number(cell.strip()) if self.numbers else None
        other = None if number is None else self.numbers.get(number)
        places = [known_position for known_position in (position, other) if known_position is not None]
        return min(places, default=None)

    def __contains__(self, cell: str) -> bool:
        return self.position(cell) is not None

    def number_candidates(self) -> tuple[float, ...]:
        """Every float that a cell which means one of the codes can be read as."""
        return tuple(sorted({float(number) for number in self.numbers} | {float(text) for text in self.texts if is_number(text)}))

    def floats(self) -> tuple[float, ...]:
        """The numbers among the codes as a float may meet them: those written as numbers, and texts that spell one shortly."""
        spelling = {float(text): text for text in self.texts if is_number(text)}
        return tuple(sorted({float(number) for number in self.numbers} | {x for x, text in spelling.items() if _is_of(x, text)}))


def _is_of(number: float, text: str) -> bool:
    return math.isfinite(number) and text_key(spelled(number)) == text


def codes(values: Iterable[Value], case: Case = "ignore") -> Codes:
    """The values of a list in a contract.

    >>> codes(["0117", 5]).position("117"), codes(["0117", 5]).position("5.0")
    (None, 1)
    """
    return _codes(tuple((type(value) is str, value) for value in values), case)


@lru_cache(maxsize=4096)
def _codes(values: tuple[tuple[bool, Value], ...], case: Case) -> Codes:
    texts: dict[str, int] = {}
    numbers: dict[Decimal, int] = {}
    for position, (_, value) in enumerate(values):
        if isinstance(value, str):
            texts.setdefault(text_key(value, case), position)
        else:
            numbers.setdefault(_exact(value), position)
    return Codes(texts, numbers, case)


def _exact(value: int | float) -> Decimal:
    return Decimal(value) if isinstance(value, int) else Decimal(repr(value))


def named_twice(values: Sequence[Value], case: Case = "ignore") -> bool:
    """Whether a cell could mean two of the values.

    >>> named_twice([1, "1.0"]), named_twice(["250.0", "250.00"]), named_twice(["f", "F"]), named_twice(["f", "F"], "exact")
    (True, False, True, False)
    """
    return any(
        codes([first], case).position(spelled(second)) is not None or codes([second], case).position(spelled(first)) is not None
        for position, first in enumerate(values)
        for second in values[:position]
    )
