"""Numbers that a spreadsheet shows otherwise than it keeps them, in each kind of workbook: the person means what she sees."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardround.sources.mapping.proposing import propose
from wardround.sources.mapping.sections import load_mapping
from wardround.sources.opening import Source, open_source
from wardround.sources.readiness.report import Finding, Readiness
from wardround.sources.tables.excel import sheet_rows
from wardround.study.contract import ColumnContract, DataContract
from wardround.values.errors import DataError
from wardround.values.records import Records

from .workbook_kinds import KINDS, Rows, SheetLook
from .workbooks import Shown, write_workbook

SHARE = ColumnContract(name="share", unit="%", range=(0, 100))
ROWS = 12


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def book(folder: Path, kind: str, name: str, cells: "list[object]") -> Path:
    rows: Rows = [["patient", name, "label"], *([f"p{row}", cell, row * 7 // 3 % 2] for row, cell in enumerate(cells))]
    KINDS[kind](folder / f"t{kind}", rows, SheetLook())
    return folder / f"t{kind}"


def rules(*columns: ColumnContract) -> DataContract:
    return DataContract(kind="table", columns=columns)


def report_of(path: Path, contract: DataContract, mapping: str = "") -> tuple[Readiness, dict[str, Finding]]:
    source = opened(path, contract, mapping)
    report = source.check()
    return report, {finding.code: finding for finding in report.findings}


def opened(path: Path, contract: DataContract, mapping: str = "") -> Source:
    if not mapping:
        return open_source(path, contract)
    path.with_suffix(".toml").write_text(mapping)
    return open_source(path, contract, mapping=load_mapping(path.with_suffix(".toml")))


def values(records: Records, column: ColumnContract) -> list[float]:
    center, scale = column.constants
    by_patient = dict(zip(records.patients.tolist(), records.inputs[:, 0].tolist(), strict=True))
    return [round(by_patient[f"p{row}"] * scale + center, 3) for row in range(len(by_patient))]


def test_percentages_are_not_read_as_their_hundredth(tmp_path: Path, kind: str) -> None:
    """A range of 0 to 100 accepted 0.45 for 45 %: READY, and a hundred times too small."""
    path = book(tmp_path, kind, "share", [Shown(0.4 + row / 100, "0.0%") for row in range(ROWS)])
    assert sheet_rows(path)[1][1] == "40%"
    report, told = report_of(path, rules(SHARE))
    assert not report.ready() and told["percent:share"].where.startswith("line 2")
    proposed = propose(path, rules(SHARE)).text
    assert 'percent = "as shown"' in proposed
    assert report_of(path, rules(SHARE), proposed)[0].ready()
    assert values(opened(path, rules(SHARE), proposed).load(), SHARE)[:3] == [40, 41, 42]


def test_percentages_are_fractions_where_the_mapping_says_so(tmp_path: Path, kind: str) -> None:
    """Where the contract wants 0.45, the same cells are right as they are kept."""
    fraction = ColumnContract(name="share", range=(0, 1))
    path = book(tmp_path, kind, "share", [Shown(0.4 + row / 100, "0%") for row in range(ROWS)])
    proposed = propose(path, rules(fraction)).text
    assert 'percent = "fraction"' in proposed
    assert values(opened(path, rules(fraction), proposed).load(), fraction)[:3] == [0.4, 0.41, 0.42]


def test_a_number_without_a_sign_of_percent_beside_percentages_is_told(tmp_path: Path, kind: str) -> None:
    """0.45 beside 45 % may be either."""
    path = book(tmp_path, kind, "share", [0.45 if row == 3 else Shown(0.4, "0%") for row in range(ROWS)])
    report, told = report_of(path, rules(SHARE), '[[columns]]\nname = "share"\nfrom = "share"\npercent = "as shown"\n')
    assert not report.ready() and [spot.line for spot in told["percent-unlike:share"].places] == [5]


def test_a_text_with_a_sign_of_percent_and_a_comma_is_read_as_the_mapping_says(tmp_path: Path) -> None:
    """German exports write 45,5 %."""
    (tmp_path / "t.csv").write_text("patient;share;label\n" + "".join(f"p{k};{40 + k},5 %;{k % 2}\n" for k in range(ROWS)))
    proposed = propose(tmp_path / "t.csv", rules(SHARE)).text
    assert 'decimal = ","' in proposed
    assert values(opened(tmp_path / "t.csv", rules(SHARE), proposed).load(), SHARE)[:2] == [40.5, 41.5]


def test_numbers_shown_in_thousands_are_told(tmp_path: Path, kind: str) -> None:
    """1,234,567 shown as 1,235: whoever checks the table against the contract sees what is not read."""
    cost = ColumnContract(name="cost", center=1000, scale=500)
    path = book(tmp_path, kind, "cost", [Shown(1_200_000.0 + row, "#,##0,") for row in range(ROWS)])
    report, told = report_of(path, rules(cost))
    assert report.ready() and "factor = 0.001" in told["shown-in-thousands:cost"].hint
    mapping = '[[columns]]\nname = "cost"\nfrom = "cost"\nfactor = 0.001\n'
    mended, told = report_of(path, rules(cost), mapping)
    assert mended.ready() and "shown-in-thousands:cost" not in told
    assert values(opened(path, rules(cost), mapping).load(), cost)[0] == 1200


def test_durations_are_numbers_where_the_mapping_says_of_what(tmp_path: Path, kind: str) -> None:
    """26:30 is neither 26.3 nor a time of day; the report sent the manager to another export."""
    stay = ColumnContract(name="stay", unit="hours", range=(0, 300))
    path = book(tmp_path, kind, "stay", [Shown((24 + row + 0.5) / 24, "[h]:mm") for row in range(ROWS)])
    assert sheet_rows(path)[3][1] == "26:30:00"
    assert "time:stay" in report_of(path, rules(stay))[1]
    proposed = propose(path, rules(stay)).text
    assert values(opened(path, rules(stay), proposed).load(), stay)[:3] == [24.5, 25.5, 26.5]
    minutes = proposed.replace('duration = "hours"', 'duration = "minutes"\nfactor = 0.1')
    assert values(opened(path, rules(stay), minutes).load(), stay)[0] == 147


def test_leading_zeros_that_a_format_shows_are_read(tmp_path: Path, kind: str) -> None:
    """The code 0117 was the number 117 in the cell; a CSV of the same sheet has 0117."""
    code = ColumnContract(name="code", kind="category", categories=("0117", "0250"))
    path = book(tmp_path, kind, "code", [Shown((117.0, 250.0)[row * 5 // 3 % 2], "0000") for row in range(ROWS)])
    assert sheet_rows(path)[1][1] == "0117"
    assert report_of(path, rules(code))[0].ready()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != ".ods"])
def test_units_that_formats_add_by_row_are_told(tmp_path: Path, kind: str) -> None:
    """5.2 mmol/l and 200 mg/dl in one column, of which the numbers alone are read."""
    lab = ColumnContract(name="lab", range=(0, 500))
    cells: list[object] = [Shown(5.2 + row, ('0.0" mmol/l"', "0 [$mg/dl]")[row * 5 // 3 % 2]) for row in range(ROWS)]
    report, told = report_of(book(tmp_path, kind, "lab", cells), rules(lab))
    assert not report.ready() and told["shown-in-units:lab"].places
    alike: list[object] = [Shown(5.2 + row, '0.0" mmol/l"') for row in range(ROWS)]
    assert report_of(book(tmp_path, kind, "lab", alike), rules(lab))[0].ready()


def test_dates_in_a_column_of_numbers_are_never_numbers(tmp_path: Path) -> None:
    """A spreadsheet makes 5 February of 5.2, and 43866 of that."""
    lab = ColumnContract(name="lab", center=5, scale=2)
    path = book(tmp_path, ".xlsx", "lab", [Shown(43_866.0 + row, "d/m/yyyy") for row in range(ROWS)])
    report, told = report_of(path, rules(lab))
    assert not report.ready() and "as text" in told["date:lab"].hint


def test_a_styled_empty_cell_does_not_hide_the_error_behind_it(tmp_path: Path) -> None:
    """An empty cell without an end of its own was taken together with the next one, and #N/A passed as missing."""
    lab = ColumnContract(name="lab", range=(0, 500), max_missing=0.5)
    cells: list[list[object]] = [[None, "#N/A" if k == 4 else 5, k % 2] for k in range(ROWS)]
    write_workbook(tmp_path / "t.xlsx", {"S": [["x", "lab", "label"], *cells]})
    changed(tmp_path / "t.xlsx", b'<c r="B6"', b'<c r="A6" s="1"/><c r="B6"')
    assert [spot.line for spot in report_of(tmp_path / "t.xlsx", rules(lab))[1]["error-cell:lab"].places] == [6]


@pytest.mark.parametrize("form", ["prefix", "no places", "single quotes"])
def test_other_forms_of_the_same_xml_are_read_alike(tmp_path: Path, form: str) -> None:
    """Programs write <x:c>, leave the place of a cell out, or quote otherwise: errors and percentages went unseen."""
    lab = ColumnContract(name="lab", range=(0, 500), max_missing=0.5)
    cells: list[list[object]] = [["#N/A" if k == 4 else Shown(0.5, "0%") if k == 6 else 5, k % 2] for k in range(ROWS)]
    write_workbook(tmp_path / "t.xlsx", {"S": [["lab", "label"], *cells]})
    if form == "prefix":
        for name in ("worksheet", "sheetData", "row", "c", "v", "is", "t"):
            changed(tmp_path / "t.xlsx", f"<{name}".encode(), f"<x:{name}".encode(), (b" ", b">"))
            changed(tmp_path / "t.xlsx", f"</{name}>".encode(), f"</x:{name}>".encode())
        changed(tmp_path / "t.xlsx", b"xmlns=", b"xmlns:x=")
    if form == "no places":
        for column in "AB":
            for row in range(ROWS + 2):
                changed(tmp_path / "t.xlsx", f'<c r="{column}{row}"'.encode(), b"<c")
    if form == "single quotes":
        changed(tmp_path / "t.xlsx", b'"', b"'")
    told = report_of(tmp_path / "t.xlsx", rules(lab))[1]
    assert [spot.line for spot in told["error-cell:lab"].places] == [6]
    assert [spot.line for spot in told["percent:lab"].places] == [8]


def changed(path: Path, before: bytes, after: bytes, followed_by: tuple[bytes, ...] = (b"",)) -> None:
    with zipfile.ZipFile(path) as parts:
        contents = {name: parts.read(name) for name in parts.namelist()}
    for end in followed_by:
        sheet = contents["xl/worksheets/sheet1.xml"]
        contents["xl/worksheets/sheet1.xml"] = sheet.replace(before + end, after + end)
    with zipfile.ZipFile(path, "w") as parts:
        for name, content in contents.items():
            parts.writestr(name, content)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('percent = "as shown"\nduration = "hours"', "do not go together"),
        ('percent = "yes"', "percent"),
        ('duration = "weeks"', "duration"),
    ],
)
def test_a_mapping_that_contradicts_itself_is_refused(tmp_path: Path, settings: str, words: str) -> None:
    """A setting that nothing reads is not understood."""
    (tmp_path / "m.toml").write_text(f'[[columns]]\nname = "a"\nfrom = "a"\n{settings}\n')
    with pytest.raises(DataError) as caught:
        load_mapping(tmp_path / "m.toml")
    assert words in f"{caught.value} {caught.value.found}"
