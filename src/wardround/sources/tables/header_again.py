"""Header lines among the rows, as exports have them that were put one behind the other.

A line that names the same columns in the same order is no row. One that names them in another order, or names others, says that
the rows below it are another table: they would be read under the wrong names.
"""

from collections.abc import Sequence

import polars as pl

from wardround.sources.tables.column_names import clean_name
from wardround.sources.tables.table import LineOf
from wardround.values.errors import DataError

_SHOWN = 5
_LOOKED_AT = 60
"""Columns by which a header line is noticed; then all are compared."""


def without_headers(
    frame: pl.DataFrame, line_of: LineOf, used: Sequence[str], *, left_out: bool = False
) -> tuple[pl.DataFrame, LineOf]:
    """The rows without header lines. DataError where there are some that nobody has allowed to be left out, or that differ."""
    again, other = header_rows(frame, used)
    if other:
        raise DataError(
            "Below a line among the rows the columns are others, or stand in another order: it names columns as a header does",
            found=_lines(other, line_of),
            hint="several exports were put one behind the other; make each again with the same columns in the same order, and "
            "put them together then",
        )
    if not again:
        return frame, line_of
    if not left_out:
        raise DataError(
            "The line of the column names stands again among the rows",
            found=_lines(again, line_of),
            hint='delete these lines, or write repeated_header = "left out" under [source] of a mapping (wardround data map '
            "writes it); several exports were put one behind the other: make sure that none of them was put there twice",
        )
    dropped = set(again)
    kept = [row for row in range(frame.height) if row not in dropped]
    if not kept:
        raise DataError("The table has a header and no row below it", hint="export it again with its rows")
    return frame[kept], lambda row: line_of(kept[row])


def header_rows(frame: pl.DataFrame, used: Sequence[str]) -> tuple[list[int], list[int]]:
    """Rows, from 0, that name the columns as the header does, and rows that name them otherwise. used: names asked for."""
    asked = {_key(name) for name in used}
    names = [name for name, kind in frame.schema.items() if kind == pl.String and _key(name) in asked]
    again: list[int] = []
    other: list[int] = []
    for row in _suspects(frame, names[:_LOOKED_AT]) if len(names) > 1 else []:
        same = all(_key(str(frame.get_column(name)[row])) == _key(name) for name in names)
        (again if same else other).append(row)
    return again, other


def _key(name: str) -> str:
    return clean_name(name).casefold()


def _suspects(frame: pl.DataFrame, names: list[str]) -> list[int]:
    """Rows in which two thirds of the columns that are asked for hold the name of one, and two at least."""
    words = [form for name in names for form in _spellings(name)]
    needed = max((2 * len(names) + 2) // 3, 2)

    def hits(among: pl.DataFrame, columns: list[str]) -> pl.Series:
        return among.select(pl.sum_horizontal(pl.col(name).is_in(words).fill_null(value=False) for name in columns)).to_series()

    # One of any `len(names) - needed + 1` columns must show it: most tables need no second look.
    rows = hits(frame, names[: len(names) - needed + 1]).gt(0).arg_true()
    return [int(row) for row in rows.filter(hits(frame[rows], names).ge(needed)).to_list()] if len(rows) else []


def _spellings(name: str) -> set[str]:
    """How a name may stand in a cell: in other case, with a space beside it, behind the byte order mark of a file."""
    cases = {name, name.lower(), name.upper(), name.title()}
    return {form for case in cases for form in (case, f" {case}", f"{case} ", f"\ufeff{case}")}


def _lines(rows: list[int], line_of: LineOf) -> str:
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return ", ".join(f"line {line_of(row)}" for row in rows[:_SHOWN]) + more
