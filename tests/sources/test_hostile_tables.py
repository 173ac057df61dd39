"""Tables and mappings as a data manager met them in a second round. Each was READY and wrong, lost, or sent her the wrong way."""

from pathlib import Path

import polars as pl
import pytest

from wardround.sources.mapping.sections import load_mapping
from wardround.sources.opening import open_source
from wardround.sources.readiness.report import Finding, Readiness
from wardround.study.contract import ColumnContract, DataContract
from wardround.values.errors import DataError

from .workbooks import write_workbook

AGE = ColumnContract(name="age", unit="years", range=(0, 120))
LAB = ColumnContract(name="lab", center=140, scale=40, max_missing=0.5)
ROWS = 24


def rules(*columns: ColumnContract) -> DataContract:
    return DataContract(kind="table", columns=columns or (AGE,))


def csv(folder: Path, head: str = "patient,age,label", row: str = "p{k},{age},{label}", count: int = ROWS, **odd: str) -> Path:
    lines = [odd.get(f"r{k}", row.format(k=k, age=20 + k * 2, label=k * 7 // 3 % 2)) for k in range(count)]
    (folder / "t.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return folder / "t.csv"


def report_of(path: Path, contract: DataContract | None = None, mapping: str = "") -> tuple[Readiness, dict[str, Finding]]:
    path.with_suffix(".toml").write_text(mapping, encoding="utf-8")
    kept = load_mapping(path.with_suffix(".toml")) if mapping else None
    report = open_source(path, contract or rules(), mapping=kept).check()
    return report, {finding.code: finding for finding in report.findings}


def refusal(path: Path, contract: DataContract | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        open_source(path, contract or rules()).load()
    return caught.value


UNSEEN = ["\ufeffp4", "p4\u200b", "p\u00ad4", "\u0440" + "4", "p\u00a04", "\u03a14"]


@pytest.mark.parametrize("other", UNSEEN)
def test_identifiers_that_look_alike_are_told_and_merged_when_asked(tmp_path: Path, other: str) -> None:
    """A byte order mark inside a file of files, a sign of no width, a Cyrillic letter: one patient was two, in silence."""
    path = csv(tmp_path, r5=f"{other},30,1")
    assert [spot.line for spot in report_of(path)[1]["patient-spellings"].places] == [6, 7]
    for same in ("ignore case", "ignore case and zeros"):
        mapping = f'[patient]\nfrom = "patient"\nsame = "{same}"\n'
        path.with_suffix(".toml").write_text(mapping)
        source = open_source(path, rules(), mapping=load_mapping(path.with_suffix(".toml")))
        assert len(set(source.load().patients.tolist())) == ROWS - 1


def test_letters_of_one_alphabet_stay_what_they_are(tmp_path: Path) -> None:
    """Names in Cyrillic alone are no Latin names."""
    path = csv(tmp_path, row="\u043f\u0430\u0446{k},{age},{label}", r5="\u0420\u043e\u0430,30,1", r6="Poa,30,1")
    assert "patient-spellings" not in report_of(path)[1]


@pytest.mark.parametrize("error", ["#REF!", "#DIV/0!", "#N/A", "=A1"])
def test_an_error_of_a_spreadsheet_is_no_patient_and_no_category(tmp_path: Path, error: str) -> None:
    """All rows whose formula broke were one patient; and in a column with `other` one more kind of thing."""
    drug = ColumnContract(name="drug", kind="category", categories=("a", "b"), other=True)
    cells: list[list[object]] = [[error if k in (3, 4) else f"p{k}", error if k == 7 else "a", k % 2] for k in range(ROWS)]
    write_workbook(tmp_path / "t.xlsx", {"S": [["patient", "drug", "label"], *cells]})
    told = report_of(tmp_path / "t.xlsx", rules(drug))[1]
    assert [spot.line for spot in told["patient-absent"].places] == [5, 6]
    assert [spot.line for spot in told["error-cell:drug"].places] == [9]


def test_numbers_of_patients_that_a_float_cannot_hold_are_an_error(tmp_path: Path) -> None:
    """Sixteen digits and more in a column of floats: 24 people were 13, READY."""
    frame = {"patient": [9007199254740993.0 + k for k in range(ROWS)], "age": [30.0] * ROWS, "label": [0, 1] * (ROWS // 2)}
    pl.DataFrame(frame).write_parquet(tmp_path / "t.parquet")
    assert "patient-rounded" in report_of(tmp_path / "t.parquet")[1]
    whole = frame | {"patient": [9007199254740993 + k for k in range(ROWS)]}
    pl.DataFrame(whole).write_parquet(tmp_path / "t.parquet")
    assert "patient-rounded" not in report_of(tmp_path / "t.parquet")[1]


def test_numbers_that_a_spreadsheet_cut_to_fifteen_digits_are_an_error(tmp_path: Path) -> None:
    """Insurance numbers of sixteen digits end with a zero once a spreadsheet has opened them: ten people are one."""
    assert "patient-rounded" in report_of(csv(tmp_path, row="1234567890123{age}0,{age},{label}", r5="p5,30,1"))[1]
    assert "patient-rounded" not in report_of(csv(tmp_path, row="1234567890123{age}1,{age},{label}"))[1]


@pytest.mark.parametrize("code", ["888", "777", "999.9", "-7", "0"])
def test_codes_for_not_measured_are_told(tmp_path: Path, code: str) -> None:
    """Each questionnaire has its own; a pressure of 0 was never measured."""
    path = csv(tmp_path, "patient,lab,label", "p{k},1{age},{label}", r5=f"p5,{code},1", r9=f"p9,{code},0", r12=f"p12,{code},0")
    assert [spot.line for spot in report_of(path, rules(LAB))[1]["fill-code:lab"].places] == [7, 11, 14]


def test_a_zero_among_small_counts_is_no_code(tmp_path: Path) -> None:
    """A warning that comes with every table is read by nobody."""
    path = csv(tmp_path, "patient,lab,label", "p{k},{k},{label}", r5="p5,0,1", r9="p9,0,0")
    assert "fill-code:lab" not in report_of(path, rules(LAB.changed(center=10, scale=5)))[1]


@pytest.mark.parametrize("cell", ["89+", "90 or older", "über 90", "over 89", "at least 90", "90 und älter"])
def test_ages_above_a_bound_are_called_so(tmp_path: Path, cell: str) -> None:
    """Named under missing, as the report said, the oldest patients had no age."""
    path = csv(tmp_path, r5=f"p5,{cell},1")
    assert [spot.line for spot in report_of(path)[1]["bound:age"].places] == [7]
    assert report_of(path, mapping=f'[[columns]]\nname = "age"\nfrom = "age"\ncodes = {{ "{cell}" = "90" }}\n')[0].ready()


@pytest.mark.parametrize("cell", ['5" tube', 'tube 5"', 'a "b'])
def test_a_quotation_mark_within_a_cell_is_named_with_its_line(tmp_path: Path, cell: str) -> None:
    """ "The table cannot be read; export it again" was all that was said."""
    path = csv(tmp_path, "patient,note,age,label", "p{k},x,{age},{label}", r5=f"p5,{cell},30,1", r9=f"p9,{cell},30,1")
    error = refusal(path)
    assert "inside a cell" in error.what and error.found == "line 7"
    quoted = '"' + cell.replace('"', '""') + '"'
    mended = csv(tmp_path, "patient,note,age,label", "p{k},x,{age},{label}", r5=f"p5,{quoted},30,1", r9=f"p9,{quoted},30,1")
    assert report_of(mended)[0].ready()


@pytest.mark.parametrize(
    ("head", "row"),
    [("'patient','age','label'", "'p{k}','{age}','{label}'"), ('"patient", "age", "label"', '"p{k}", "{age}", "{label}"'),
     ("\u201cpatient\u201d,\u201cage\u201d,\u201clabel\u201d", "\u201cp{k}\u201d,\u201c{age}\u201d,\u201c{label}\u201d")],
)  # fmt: skip
def test_quotation_marks_of_other_kinds_are_named(tmp_path: Path, head: str, row: str) -> None:
    """A mapping of the columns, as the report said, ended in cells that are not numbers."""
    assert "quotation marks that are not read" in refusal(csv(tmp_path, head, row)).what


@pytest.mark.parametrize("far", [False, True])
def test_zero_bytes_are_found_wherever_they_stand(tmp_path: Path, far: bool) -> None:
    """In an identifier far below, one made a new patient."""
    path = csv(tmp_path, row="p{k},30,{label}", count=30_000 if far else ROWS)
    with path.open("ab") as file:
        file.write(b"p\x004,30,1\n")
    error = refusal(path)
    assert "Zero bytes" in error.what and f"line {(30_000 if far else ROWS) + 2}" in error.found


def test_a_text_that_is_written_as_a_formula_is_that_text(tmp_path: Path) -> None:
    """="0117" keeps a spreadsheet from making 117 of it."""
    code = ColumnContract(name="code", kind="category", categories=("0117", "0250"))
    path = csv(tmp_path, "patient,code,label", 'p{k},="0117",{label}', r5='p5,"=""0250""",1')
    assert report_of(path, rules(code))[0].ready()


def test_a_column_that_is_read_twice_is_still_there(tmp_path: Path) -> None:
    """A mapping that read an age from the patients' column took the patients away."""
    path = csv(tmp_path, row="{k},{age},{label}")
    assert "no-patients" not in report_of(path, mapping='[[columns]]\nname = "age"\nfrom = "patient"\n')[1]
    report, told = report_of(path, mapping='[[columns]]\nname = "age"\nfrom = "label"\n')
    assert report.ready() and "leak:age" in told


def dated(folder: Path, contract: DataContract, birth: str, **odd: str) -> tuple[Readiness, dict[str, Finding]]:
    path = csv(folder, "patient,birth,day,label", f"p{{k}},{birth},2020-02-10,{{label}}", **odd)
    mapping = '[[columns]]\nname = "age"\nfrom = "day"\nminus = "birth"\ncount = "whole years"\n'
    return report_of(path, contract, mapping)


@pytest.mark.parametrize("outside", ["clip", "missing"])
def test_times_that_run_backwards_are_an_error(tmp_path: Path, outside: str) -> None:
    """Born in 2040, moved to the bound: everybody was newly born, READY."""
    contract = rules(AGE.changed(outside=outside, max_missing=1.0))
    report, told = dated(tmp_path, contract, "1960-01-01", r5="p5,2040-01-01,2020-02-10,1")
    assert not report.ready() and [spot.line for spot in told["date-order:age"].places] == [7]


def test_a_time_that_may_be_negative_may_run_backwards(tmp_path: Path) -> None:
    """Days from one event to another, in either order."""
    contract = rules(AGE.changed(range=(-120, 120)))
    assert "date-order:age" not in dated(tmp_path, contract, "1960-01-01", r5="p5,2040-01-01,2020-02-10,1")[1]


def test_a_first_day_of_a_calendar_is_told_as_a_date_that_nobody_knows(tmp_path: Path) -> None:
    """Born on 1 January 1900: 120 years old, and within the range."""
    report, told = dated(tmp_path, rules(), "1960-03-01", r5="p5,1900-01-01,2020-02-10,1", r6="p6,1900-01-01,2020-02-10,0")
    assert report.ready() and [spot.line for spot in told["date-unknown:age"].places] == [7, 8]
    once = dated(tmp_path, rules(), "1960-03-01", r5="p5,1900-01-01,2020-02-10,1")[1]
    assert "date-unknown:age" not in once


def test_a_workbook_that_was_cut_short_is_called_so(tmp_path: Path) -> None:
    """It was said to hold images."""
    write_workbook(tmp_path / "t.xlsx", {"S": [["patient", "age", "label"], *([f"p{k}", 30, k % 2] for k in range(ROWS))]})
    (tmp_path / "t.xlsx").write_bytes((tmp_path / "t.xlsx").read_bytes()[:-100])
    assert "workbook that is damaged" in refusal(tmp_path / "t.xlsx").what


def test_bytes_in_a_column_are_to_be_exported_as_text(tmp_path: Path) -> None:
    """The report asked for the mean of the list."""
    pl.DataFrame({"patient": [b"p"], "age": [1], "label": [1]}).write_parquet(tmp_path / "t.parquet")
    assert refusal(tmp_path / "t.parquet").hint == "export it as text"


def test_the_parts_of_a_table_in_folders_are_counted(tmp_path: Path) -> None:
    """ "2 files, 0 of them CSV or Parquet", of two Parquet files."""
    for part in ("year=1", "year=2"):
        (tmp_path / part).mkdir()
        pl.DataFrame({"age": [1], "label": [1]}).write_parquet(tmp_path / part / "a.parquet")
    assert "2 in folders within" in refusal(tmp_path).found
