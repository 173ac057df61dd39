"""What every kind of workbook says of its errors, its hidden parts and its merged cells, in the same words."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from wardround.sources import open_source
from wardround.sources.readiness.report import Finding
from wardround.sources.tables.excel import sheet_marks, sheet_rows
from wardround.sources.tables.workbooks.compound_file import stream_of
from wardround.study.contract import ColumnContract, DataContract
from wardround.values.errors import DataError

from .workbook_kinds import KINDS, Rows, SheetLook, compound

AGE, LAB = ColumnContract(name="age", range=(0, 120)), ColumnContract(name="lab", range=(0, 10), max_missing=0.5)
RULES = DataContract(kind="table", columns=(AGE, LAB))
BODY: Rows = [[40 + row, 1.5, row % 2] for row in range(9)]
SHEET: Rows = [["age", "lab", "label"], *BODY]


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def written(folder: Path, kind: str, rows: Rows, look: SheetLook | None = None) -> Path:
    path = folder / f"t{kind}"
    KINDS[kind](path, rows, look or SheetLook())
    return path


def findings(path: Path, rules: DataContract = RULES) -> dict[str, Finding]:
    return {finding.code: finding for finding in open_source(path, rules).check().findings}


def with_errors(*words: str) -> Rows:
    wrong: Rows = [[50, word, row % 2] for row, word in enumerate(words)]
    return [*SHEET[:3], *wrong, *SHEET[3:]]


def test_a_plain_workbook_of_every_kind_is_read_alike(tmp_path: Path, kind: str) -> None:
    """What follows would be said of a fixture that no program can read."""
    path = written(tmp_path, kind, SHEET)
    assert sheet_rows(path)[:2] == [["age", "lab", "label"], ["40", "1.5", "0"]] and len(sheet_rows(path)) == 10
    assert open_source(path, RULES).check().ready()


def test_errors_in_cells_are_findings_and_not_missing_values(tmp_path: Path, kind: str) -> None:
    """The library gives an empty cell for #N/A: a broken formula passed as a value that nobody measured, READY."""
    told = findings(written(tmp_path, kind, with_errors("#N/A", "#REF!", "#DIV/0!")))
    assert [(spot.line, spot.value) for spot in told["error-cell:lab"].places] == [(4, "#N/A"), (5, "#REF!")]
    assert [(spot.line, spot.value) for spot in told["not-finite:lab"].places] == [(6, "#DIV/0!")]


def test_an_error_is_missing_where_the_contract_lists_it(tmp_path: Path, kind: str) -> None:
    """The mend that the report gives must work when it is followed."""
    listed = DataContract(kind="table", columns=(AGE, LAB.changed(missing=("#N/A",))))
    path = written(tmp_path, kind, with_errors("#N/A", "#N/A"))
    assert open_source(path, listed).check().ready()
    assert "2 of 11" in findings(path, listed)["missing:lab"].exact


def test_hidden_rows_and_columns_that_are_used_are_named(tmp_path: Path, kind: str) -> None:
    """Whoever looks at the sheet sees other data than those that are read."""
    told = findings(written(tmp_path, kind, SHEET, SheetLook(hidden_row=4, hidden_column=2)))
    assert told["hidden-rows"].where == "line 4"
    assert [spot.column for spot in told["hidden-columns"].places] == ["lab"]
    beside: Rows = [[*row, "x"] for row in SHEET]
    assert "hidden-columns" not in findings(written(tmp_path, kind, beside, SheetLook(hidden_column=4)))


def test_merged_cells_are_refused(tmp_path: Path, kind: str) -> None:
    """A value over three rows was one value and two missing ones."""
    path = written(tmp_path, kind, SHEET, SheetLook(merged=(3, 5)))
    with pytest.raises(DataError, match="merged") as caught:
        open_source(path, RULES).load()
    assert "lines 3 to 5" in caught.value.found


@pytest.mark.parametrize("short", [False, True])
def test_a_stream_is_found_among_the_large_and_the_small(short: bool) -> None:
    """A workbook of a few rows lies among the small streams, whose sectors are counted otherwise."""
    book = bytes(range(256)) * (3 if short else 20)
    assert stream_of(compound(book, short), ("workbook",)) == book
    assert stream_of(compound(book, short), ("book",)) == b"" == stream_of(b"no such file", ("workbook",))


@pytest.mark.parametrize("cut", [40, 600, 1100, 1700, 2100])
def test_a_damaged_workbook_has_no_marks_and_raises_nothing(tmp_path: Path, kind: str, cut: int) -> None:
    """The library says what is wrong with it; a second opinion must not end in a traceback."""
    path = written(tmp_path, kind, SHEET)
    path.write_bytes(path.read_bytes()[:cut])
    sheet_marks(path, "S")
    flipped = bytearray(written(tmp_path, kind, SHEET, SheetLook(2, 2, (3, 5))).read_bytes())
    flipped[cut % len(flipped)] ^= 0xFF
    path.write_bytes(bytes(flipped))
    sheet_marks(path, "S")
