"""Cells of an analysis's tables as text."""

import math

from wardround.analysis.result import Cell, Column

NONE = "–"
SMALLEST_P = 0.0001


def shown(value: Cell, column: Column) -> str:
    """A cell as it is printed. Text stays as it is; a number has the digits of its column.

    >>> shown(0.0312, Column("p", "p")), shown(1e-9, Column("p", "p")), shown(1.23456, Column("odds ratio", digits=3))
    ('0.031', '< 0.0001', '1.23')
    """
    if value is None:
        return NONE
    if isinstance(value, str):
        return value
    if isinstance(value, int) or column.form == "count":
        return f"{int(value):,}".replace(",", "\u202f")
    if not math.isfinite(value):
        return NONE
    if column.form == "p":
        return f"< {SMALLEST_P:.4f}" if value < SMALLEST_P else f"{value:.4f}" if value < 0.01 else f"{value:.3f}"
    if column.form == "percent":
        return f"{value * 100:.1f} %"
    return _significant(value, column.digits)


def _significant(value: float, digits: int) -> str:
    """At least so many significant digits, without an exponent where the number has a usual size.

    >>> _significant(0.00123456, 3), _significant(123456.7, 3), _significant(2.5, 3), _significant(1e-9, 3)
    ('0.00123', '123457', '2.50', '1e-09')
    """
    if value == 0.0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size < -5 or size > 9:
        return f"{value:.{digits - 1}g}"
    return f"{value:.{max(0, digits - 1 - size)}f}"
