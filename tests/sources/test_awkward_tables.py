"""Tables as spreadsheets, programs and attackers write them. Each was read as something that it is not, or ended the program."""

import datetime
import gzip
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from wardround.sources.files import density
from wardround.sources.mapping.proposing import propose
from wardround.sources.mapping.sections import load_mapping
from wardround.sources.opening import open_source
from wardround.sources.readiness.listing import LONGEST, write_listing
from wardround.sources.readiness.report import Finding, Readiness
from wardround.study.contract import ColumnContract, DataContract
from wardround.values.errors import DataError

from .workbooks import write_ods, write_workbook

LAB = ColumnContract(name="lab", center=0, scale=100, max_missing=0.9)
RULES = DataContract(kind="table", columns=(ColumnContract(name="age", range=(0, 120)), LAB))
GROUPED = ("850", "1.234", "990", "2.100", "3.005")


def csv(folder: Path, labs: tuple[str, ...], rows: int = 30) -> Path:
    lines = [f"{40 + row};{labs[row % len(labs)]};{row % 2}" for row in range(rows)]
    (folder / "t.csv").write_text("age;lab;label\n" + "\n".join(lines) + "\n")
    return folder / "t.csv"


def report_of(path: Path, toml: str = "") -> Readiness:
    if not toml:
        return open_source(path, RULES).check()
    mapping = path.with_suffix(".toml")
    mapping.write_text(toml)
    return open_source(path, RULES, mapping=load_mapping(mapping)).check()


def codes(report: Readiness) -> dict[str, Finding]:
    return {finding.code: finding for finding in report.findings}


def test_points_between_thousands_are_told(tmp_path: Path) -> None:
    """1.234 platelets were read as one and a bit, beside 850: READY, and a thousand times too few."""
    path = csv(tmp_path, GROUPED)
    finding = codes(report_of(path))["thousands-points:lab"]
    assert finding.level == "warning" and "line 3" in finding.where
    mended = report_of(path, 'format = 1\n[source]\ndecimal = ","\nthousands = "."\n')
    assert mended.ready() and "thousands-points:lab" not in codes(mended)
    assert "thousands" in propose(path, RULES).text


@pytest.mark.parametrize(
    "labs", [("850", "1.234", "2.1"), ("1.234", "2.100"), ("0.850", "1.234", "850"), ("1850", "1.234", "2.100")]
)
def test_decimals_are_not_called_thousands(tmp_path: Path, labs: tuple[str, ...]) -> None:
    """A warning that comes with every table is read by nobody."""
    assert "thousands-points:lab" not in codes(report_of(csv(tmp_path, labs)))


def test_a_comma_before_three_digits_is_called_unclear(tmp_path: Path) -> None:
    """The mend for decimal commas, followed to the letter, made 1 out of 1,234."""
    path = csv(tmp_path, tuple(lab.replace(".", ",") for lab in GROUPED))
    finding = codes(report_of(path))["comma-unclear:lab"]
    assert finding.level == "error" and 'thousands = ","' in finding.hint
    text = propose(path, RULES).text
    assert not any(line.startswith(("decimal", "thousands")) for line in text.splitlines())
    assert not report_of(path, text).ready()
    assert report_of(path, 'format = 1\n[source]\nthousands = ","\n').ready()


def test_a_category_is_no_code_for_missing() -> None:
    """NA is Namibia, and sodium; declared as a category, it counted as missing all the same."""
    with pytest.raises(ValueError, match="'NA' is a category and a code for missing"):
        ColumnContract(name="country", kind="category", categories=("NA", "DE"))
    assert ColumnContract(name="country", kind="category", categories=("NA", "DE"), missing=("?",)).categories == ("NA", "DE")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"age": 1, "lab": 2, "label": 1}', "a JSON file"),
        ('[\n {"age": 1}]', "a JSON file"),
        ("<html><table><tr><td>age</td></tr></table></html>", "a web page"),
        ("\ufeff<!DOCTYPE html>\n<p>", "a web page"),
        ('<?xml version="1.0"?><a/>', "an XML file"),
    ],
)
def test_texts_that_are_no_tables_are_named(tmp_path: Path, content: str, words: str) -> None:
    """ "Export it again with its rows" was said of a web page called .xls."""
    (tmp_path / "t.xls").write_text(content)
    assert words in open_source(tmp_path / "t.xls", RULES).check().findings[0].text


def test_a_file_packed_twice_is_called_so(tmp_path: Path) -> None:
    """It was called UTF-16, and the mapping for that cannot help."""
    path = csv(tmp_path, ("1",))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(gzip.compress(path.read_bytes())))
    with pytest.raises(DataError, match="packed twice"):
        open_source(tmp_path / "t.csv.gz", RULES).load()


def test_bombs_are_refused_before_they_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine megabytes of zeros fill a machine's memory; what a zip says of its own size may be a lie."""
    monkeypatch.setattr(density, "LARGEST_UNASKED", 2**20)
    rows = "41;1;1\n" * 2**20
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(f"age;lab;label\n{rows}".encode()))
    with pytest.raises(DataError, match="far more than data"):
        open_source(tmp_path / "t.csv.gz", RULES).load()
    with pytest.raises(DataError, match="far more than data"):
        propose(tmp_path / "t.csv.gz", RULES)
    book = tmp_path / "t.xlsx"
    write_workbook(book, {"S": [["age", "lab", "label"], [41, 1, 1]]})
    edited(book, "xl/worksheets/sheet1.xml", lambda sheet: sheet.replace(b"</sheetData>", b" " * 2**23 + b"</sheetData>"))
    content = bytearray(book.read_bytes())
    at = content.rindex(b"PK\x01\x02", 0, content.index(b"xl/worksheets/sheet1.xml", content.index(b"PK\x01\x02")))
    content[at + 24 : at + 28] = (1000).to_bytes(4, "little")  # the directory says a thousand bytes
    book.write_bytes(content)
    with pytest.raises(DataError, match="far more than data"):
        open_source(book, RULES).load()


def test_arrays_and_columns_that_repeat_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A billion equal rows of Parquet, or black images of an npz, take a few kilobytes on the disk."""
    monkeypatch.setattr(density, "LARGEST_UNASKED", 2**20)
    zeros = pl.zeros(2**21, pl.Int64, eager=True)
    pl.DataFrame({"age": zeros, "lab": zeros, "label": zeros}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="far more than data"):
        open_source(tmp_path / "t.parquet", RULES).load()
    np.savez_compressed(tmp_path / "t.npz", images=np.zeros((2**14, 32, 32), np.uint8), label=np.zeros(2**14, np.int64))
    with pytest.raises(DataError, match="far more than data"):
        open_source(tmp_path / "t.npz", DataContract(kind="image")).load()


@pytest.mark.parametrize(("identifier", "told"), [("1.23457E+11", True), ("1,23457E+11", True), ("3E12", False), ("12E", False)])
def test_identifiers_that_a_spreadsheet_rounded_are_an_error(tmp_path: Path, identifier: str, told: bool) -> None:
    """Twelve digits opened and saved as CSV become 1.23457E+11: a hundred people are one patient."""
    rows = "".join(f"{40 + n};1;{n % 2};{identifier if n < 9 else n}\n" for n in range(30))
    (tmp_path / "t.csv").write_text(f"age;lab;label;patient\n{rows}")
    assert ("patient-rounded" in codes(open_source(tmp_path / "t.csv", RULES).check())) is told


def edited(book: Path, member: str, change: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(book) as parts:
        contents = {info.filename: parts.read(info) for info in parts.infolist()}
    with zipfile.ZipFile(book, "w", zipfile.ZIP_DEFLATED) as parts:
        for name, content in contents.items():
            parts.writestr(name, change(content) if name == member else content)


def workbook(folder: Path, change: bytes, rows: int = 9) -> Path:
    """A sheet of a column that is written into every third row, with something put behind its rows."""
    book = folder / "t.xlsx"
    body: list[list[Any]] = [[40 + row, 1.5 if row % 3 == 0 else None, row % 2] for row in range(rows)]
    write_workbook(book, {"S": [["age", "lab", "label"], *body]})
    edited(book, "xl/worksheets/sheet1.xml", lambda sheet: sheet.replace(b"</sheetData>", b"</sheetData>" + change))
    return book


def test_merged_cells_are_refused(tmp_path: Path) -> None:
    """A value over three rows was one value and two missing ones: READY."""
    book = workbook(tmp_path, b'<mergeCells count="1"><mergeCell ref="B2:B4"/></mergeCells>')
    with pytest.raises(DataError, match="merged") as caught:
        open_source(book, RULES).load()
    assert "lines 2 to 4" in caught.value.found
    beside = workbook(tmp_path, b'<mergeCells count="2"><mergeCell ref="E2:E4"/><mergeCell ref="A1:A1"/></mergeCells>')
    assert open_source(beside, RULES).check().ready()


def test_hidden_rows_are_told(tmp_path: Path) -> None:
    """Whoever filters a sheet and saves it believes that what is not shown is gone."""
    book = workbook(tmp_path, b"")
    edited(book, "xl/worksheets/sheet1.xml", lambda sheet: sheet.replace(b'<row r="4">', b'<row r="4" hidden="1">'))
    finding = codes(report_of(book))["hidden-rows"]
    assert finding.level == "warning" and finding.where == "line 4"
    assert "hidden-rows" in codes(report_of(book, 'format = 1\n[source]\nsheet = "S"\n'))


def test_hidden_columns_that_are_used_are_named(tmp_path: Path) -> None:
    """A manager who corrects the column that she sees would not know that the hidden one is read."""
    book = workbook(tmp_path, b"")
    hidden = b'<cols><col max="2" min="2" width="9" hidden="1"/><col min="9" max="16384" hidden="1"/></cols><sheetData>'
    edited(book, "xl/worksheets/sheet1.xml", lambda sheet: sheet.replace(b"<sheetData>", hidden))
    finding = codes(report_of(book))["hidden-columns"]
    assert finding.level == "warning" and [spot.column for spot in finding.places] == ["lab"] and "lab" not in finding.text
    mapped = 'format = 1\n[source]\nsheet = "S"\n[[columns]]\nname = "lab"\nfrom = "lab"\n'
    assert "hidden-columns" in codes(report_of(book, mapped))


def test_a_hidden_sheet_is_told_as_hidden(tmp_path: Path) -> None:
    """The manager sees one sheet, and is told that there are two."""
    write_workbook(tmp_path / "t.xlsx", {"S": [["age", "lab", "label"], [40, 1, 1]], "lists": [["x"], [1]]})
    edited(tmp_path / "t.xlsx", "xl/workbook.xml", lambda b: b.replace(b'name="lists"', b'name="lists" state="hidden"'))
    with pytest.raises(DataError, match="several sheets") as caught:
        open_source(tmp_path / "t.xlsx", RULES).load()
    assert "'lists' (hidden)" in caught.value.found


@pytest.mark.parametrize(
    ("cell", "code", "words"),
    [("#N/A", "error-cell", "formula"), ("#DIV/0!", "not-finite", "divided"), ("=A1", "formula-unsaved", "computes")],
)
def test_errors_of_a_spreadsheet_have_their_own_mend(tmp_path: Path, cell: str, code: str, words: str) -> None:
    """A formula whose value was not saved is no code for missing: named so, every value of the column was lost."""
    rows: list[list[Any]] = [[40 + row, cell if row == 3 else 1.5, row % 2] for row in range(9)]
    write_workbook(tmp_path / "t.xlsx", {"S": [["age", "lab", "label"], *rows]})
    finding = codes(report_of(tmp_path / "t.xlsx"))[f"{code}:lab"]
    assert finding.level == "error" and words in finding.hint


def test_an_ods_tells_errors_and_merged_cells_as_an_xlsx_does(tmp_path: Path) -> None:
    """The library gives an empty cell for #N/A, and every third value of a merged column."""
    rows: list[list[object]] = [[40 + row, "#N/A" if row == 3 else 1.5, row % 2] for row in range(9)]
    write_ods(tmp_path / "t.ods", [["age", "lab", "label"], *rows])
    finding = codes(report_of(tmp_path / "t.ods"))["error-cell:lab"]
    assert [(spot.line, spot.value) for spot in finding.places] == [(5, "#N/A")]
    rows[3][1] = [1.5, 3]
    write_ods(tmp_path / "t.ods", [["age", "lab", "label"], *rows])
    with pytest.raises(DataError, match="merged") as caught:
        open_source(tmp_path / "t.ods", RULES).load()
    assert "lines 5 to 7" in caught.value.found


def test_a_long_cell_is_told_in_short(tmp_path: Path) -> None:
    """A report of three megabytes is no report, and a spreadsheet opens no such list."""
    report = report_of(csv(tmp_path, ("1", "x" * 100_000)))
    assert len(codes(report)["not-a-number:lab"].where) < 500
    write_listing(report, tmp_path / "list.csv")
    assert (tmp_path / "list.csv").stat().st_size < 30 * (LONGEST + 500)


STAY = 'format = 1\n[[columns]]\nname = "lab"\nfrom = "to"\nminus = "since"\n'


def dated(folder: Path, since: str, to: str) -> Path:
    (folder / "t.csv").write_text("age,since,to,label\n" + "".join(f"{40 + n},{since},{to},{n % 2}\n" for n in range(9)))
    return folder / "t.csv"


def test_a_time_with_a_zone_beside_one_without_is_an_error(tmp_path: Path) -> None:
    """The subtraction ended the program with a traceback."""
    report = report_of(dated(tmp_path, "2024-01-01", "2024-01-05T10:00:00+01:00"), STAY)
    assert codes(report)["date-zone:lab"].level == "error" and "2024" not in json.dumps(report.to_json())
    assert report_of(dated(tmp_path, "2024-01-01T00:00:00Z", "2024-01-05T10:00:00+01:00"), STAY).ready()


@pytest.mark.parametrize("number", ["1e999999", "9" * 400, "-1e900000"])
def test_a_number_beyond_all_is_refused_and_not_written_out(tmp_path: Path, number: str) -> None:
    """Times a factor it overflowed, or became a million digits in every row."""
    report = report_of(csv(tmp_path, ("1", number)), 'format = 1\n[[columns]]\nname = "lab"\nfrom = "lab"\nfactor = 38.67\n')
    assert codes(report)["fill-value:lab"].level == "error" and len(codes(report)["fill-value:lab"].where) < 300


@pytest.mark.parametrize("words", [("check", "--list"), ("show", "--out")])
def test_a_report_never_replaces_what_is_read(tmp_path: Path, words: tuple[str, str]) -> None:
    """The list of what is wrong with a table took the table's place."""
    from typer.testing import CliRunner

    from wardround.cli.main import app

    table = csv(tmp_path, ("1",))
    study = tmp_path / "s.toml"
    column = 'name = "age"\nrange = [0, 120]\n[network]\nname = "logistic"\n'
    study.write_text(f'format = 1\nquestion = {{ title = "Age" }}\n[data]\nkind = "table"\n[[data.columns]]\n{column}')
    (tmp_path / "link.csv").symlink_to(table)
    before, command = table.read_bytes(), words[0]
    for source, out in ((table, table), (table, tmp_path / "link.csv"), (table, study), (tmp_path, tmp_path / "l.csv")):
        done = CliRunner().invoke(app, ["data", command, str(source), "--contract", str(study), words[1], str(out)])
        assert isinstance(done.exception, DataError) and "would be changed" in str(done.exception)
    assert table.read_bytes() == before and not (tmp_path / "l.csv").exists()
    outside = tmp_path.with_name(f"{tmp_path.name}-out")
    done = CliRunner().invoke(app, ["data", command, str(table), "--contract", str(study), words[1], str(outside)])
    assert done.exit_code == 0 and outside.exists()


def test_a_made_up_hospital_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    """Half of the folder north would pass for all of it."""
    from wardround.sources.synthetic.folders import make_folders

    def stopped(step: str) -> None:
        if step == "south":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_folders(tmp_path / "data", 1, stopped)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_program_left_of_a_made_up_hospital_goes_at_the_next_start(tmp_path: Path) -> None:
    """It is hidden, holds hundreds of files, and nobody would look for it; what another program is writing now stays."""
    from wardround.sources.synthetic.folders import make_folders

    fcntl = pytest.importorskip("fcntl")
    left, written_now, other = (
        tmp_path / name for name in (".data.a1b2c3d4.part", ".data.e5f6g7h8.part", ".data2.a1b2c3d4.part")
    )
    for folder in (left, written_now, other):
        (folder / "north").mkdir(parents=True)
    writer = os.open(written_now, os.O_RDONLY)
    fcntl.flock(writer, fcntl.LOCK_EX)

    def stopped(_step: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_folders(tmp_path / "data", 1, stopped)
    os.close(writer)
    assert sorted(tmp_path.iterdir()) == [written_now, other]


@pytest.mark.parametrize("maker", ["make_cases", "make_films"])
def test_cases_and_films_that_were_not_finished_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, maker: str
) -> None:
    """A demo that was stopped here would test a model on a few cases at its next start, or have no film to drop."""
    from wardround.sources.synthetic import folders

    saved = Image.Image.save

    def stopped(image: Image.Image, path: Path) -> None:
        if len(list(tmp_path.rglob("*.png"))) == 3:
            raise KeyboardInterrupt
        saved(image, path)

    make = getattr(folders, maker)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Image.Image, "save", stopped)
        make(tmp_path / "made", 1, 4)
    assert list(tmp_path.iterdir()) == []
    assert len(list(make(tmp_path / "made", 1, 4).rglob("*.png"))) >= 4


@pytest.mark.parametrize("start", ["patient,age,label\n", "patient,age,label\n" + "".join(f"p{k},{k},1\n" for k in range(40))])
def test_zero_bytes_in_a_table_are_called_so(tmp_path: Path, start: str) -> None:
    """Near the start the file was "of no known kind", later it was called UTF-16, which leads nowhere."""
    (tmp_path / "t.csv").write_bytes(f"{start}px,4\0,1\npy,50,0\n".encode())
    finding = report_of(tmp_path / "t.csv").findings[0]
    assert "Zero bytes (NUL)" in finding.text and f"in line {start.count(chr(10)) + 1}" in f"{finding.text} {finding.where}"
    code = finding.hint[finding.hint.index("from pathlib") :].replace("table.csv", str(tmp_path / "u.csv"))
    exec(code.replace("FILE", str(tmp_path / "t.csv")))
    assert (tmp_path / "u.csv").read_text() == f"{start}px,4,1\npy,50,0\n"


@pytest.mark.parametrize("values", [[[1, 2], [3]] * 5, [datetime.timedelta(days=2)] * 10])
def test_lists_and_spans_of_time_are_refused_through_a_mapping_too(tmp_path: Path, values: list[Any]) -> None:
    """A Parquet without a mapping was refused by name, with one it ended the program."""
    pl.DataFrame({"a": values, "label": [0, 1] * 5}).write_parquet(tmp_path / "t.parquet")
    rules = DataContract(kind="table", columns=(LAB,))
    (tmp_path / "m.toml").write_text('format = 1\n[[columns]]\nname = "lab"\nfrom = "a"\n')
    with pytest.raises(DataError, match="Column 'a' holds"):
        open_source(tmp_path / "t.parquet", rules, mapping=load_mapping(tmp_path / "m.toml")).load()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["0.png,1", '1.png,"0', "2.png,1"], "quotation mark .*line 3"),
        (["0.png,1", "1.png,0", "0.png,1"], r"twice.*0\.png in lines 2 and 4"),
        (["0.png,1", "1.png,0,x"], "more cells .*line 3"),
        (["0.png,1", "M\xfc.png,0"], "UTF-8.*line 3"),
    ],
)
def test_a_manifest_is_refused_with_its_cause_and_line(tmp_path: Path, lines: list[str], words: str) -> None:
    """Whatever was wrong, the manager was told to save it as UTF-8."""
    for name in ("0.png", "1.png"):
        Image.new("L", (32, 32)).save(tmp_path / name)
    (tmp_path / "manifest.csv").write_bytes("\n".join(["file,label", *lines, ""]).encode("latin-1"))
    with pytest.raises(DataError, match=words):
        open_source(tmp_path, DataContract(kind="image")).load()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_header_of_many_long_names_is_read_whole(tmp_path: Path, encoding: str) -> None:
    """Of twenty thousand genes the names were read up to a quarter of a megabyte, and the rows were called too long."""
    genes = ",".join(f"expression_of_gene_{number:05d}" for number in range(12_000))
    rows = "".join(f"{40 + row},1,{row % 2}{',1' * 12_000}\n" for row in range(6))
    (tmp_path / "t.csv").write_bytes(f"age,lab,label,{genes}\n{rows}".encode(encoding))
    assert len(open_source(tmp_path / "t.csv", RULES).load()) == 6


def test_an_empty_label_has_another_mend_than_an_unknown_one(tmp_path: Path) -> None:
    """To name an empty cell under [data.label] would make everybody whom nobody looked at healthy."""
    path = csv(tmp_path, ("1",))
    path.write_text(path.read_text() + "41;1;\n42;1;perhaps\n")
    told = codes(report_of(path))
    assert told["label-absent"].where == "line 32, column 'label'" and "[data.label]" not in told["label-absent"].hint
    assert "line 33" in told["label-outside"].where and told["label-outside"].exact.endswith(": 1")
