"""Which cells of a column are no value: what a reader and the graph of a model file must agree on."""

from wardround.study.cell_values import Codes, codes, text_key
from wardround.study.contract import ColumnContract

LARGEST = 1e30
"""A number beyond it is no measurement."""

LARGEST_SCALED = 3.4028234663852886e38
"""The largest float32, as which the network reads a number after scaling."""

ALWAYS_MISSING = frozenset({"", "nan"})
"""By `text_key`, in any case."""


def missing_codes(column: ColumnContract) -> Codes:
    """What means "missing"; besides it `ALWAYS_MISSING` does."""
    return codes(column.missing, column.case)


def left_out_codes(column: ColumnContract) -> Codes:
    """What leaves the whole record out."""
    return codes(column.left_out, column.case)


def category_codes(column: ColumnContract) -> Codes:
    """The accepted values of a category or binary, each at its place."""
    return codes(column.categories or (0, 1), column.case)


def is_missing(cell: str, missing: Codes) -> bool:
    """Whether a cell of a column with these codes is no value.

    >>> is_missing(" NaN ", codes([-9])), is_missing("-9.0", codes([-9])), is_missing("-9.0", codes(["-9"]))
    (True, True, False)
    """
    return text_key(cell) in ALWAYS_MISSING or cell in missing


def is_left_out(cell: str, left_out: Codes) -> bool:
    """Whether a cell leaves its record out; where "" or NaN is such a code, both spellings of an empty cell are."""
    return cell in left_out or (text_key(cell) in ALWAYS_MISSING and bool(ALWAYS_MISSING & left_out.texts.keys()))
