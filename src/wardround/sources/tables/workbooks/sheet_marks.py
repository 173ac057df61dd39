"""What a sheet says beside its values: cells that hold an error, how numbers are shown, what is hidden, and what is merged."""

from dataclasses import dataclass

from wardround.sources.tables.workbooks.number_formats import NumberFormat

LARGEST_SHEET = 2**29
"""Bytes of a sheet that is looked through."""

ERROR_WORDS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}  # fmt: skip
"""Of the binary kinds of workbook. Source: [MS-XLS], Bes; [MS-XLSB], BErr."""


@dataclass(frozen=True)
class SheetMarks:
    """errors: row and column, from 1, and the word of each cell that holds an error. hidden_rows: from 1.

    hidden_columns: the first and the last, from 1, of each run. merged: first and last row and column, from 0, of merged cells.
    formats: row and column, from 1, of each number whose format shows something else than the number.
    """

    errors: tuple[tuple[int, int, str], ...] = ()
    hidden_rows: tuple[int, ...] = ()
    hidden_columns: tuple[tuple[int, int], ...] = ()
    merged: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    formats: tuple[tuple[int, int, NumberFormat], ...] = ()


def error_word(code: int) -> str:
    return ERROR_WORDS.get(code, "#ERROR")
