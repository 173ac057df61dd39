"""Values of a table's cells, as a contract compares them: by what they mean, not by how they are spelled."""

import re

Value = str | int | float
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def canonical_value(value: Value) -> str:
    """One spelling for equal values: numbers by value, words trimmed and without case.

    >>> canonical_value(1), canonical_value("1.0"), canonical_value(" Normal "), canonical_value("-9")
    ('1', '1', 'normal', '-9')
    """
    text = str(value).strip()
    if not _NUMBER.fullmatch(text):
        return text.casefold()
    number = float(text)
    return str(int(number)) if number.is_integer() else repr(number)


def is_number(text: str) -> bool:
    """Whether a cell is a plain finite number: no words such as inf, no digits grouped by underscores.

    >>> is_number("-1.5e3"), is_number("1_0"), is_number("inf")
    (True, False, False)
    """
    return _NUMBER.fullmatch(text) is not None
