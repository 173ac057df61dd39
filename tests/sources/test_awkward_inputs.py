"""Forty awkward tables and mappings: each is read right, told, or refused with cause, place and a mend. None is READY and wrong.

The page of data lists them by kind (`docs/data.md`, "Bad input").
"""

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from wardround.sources.mapping.sections import load_mapping
from wardround.sources.opening import open_source
from wardround.sources.readiness.report import Readiness, refused
from wardround.study.contract import ColumnContract, DataContract
from wardround.values.errors import DataError

from .workbooks import write_workbook

AGE = ColumnContract(name="age", unit="years", range=(0, 120))
LAC = ColumnContract(name="lac", center=2.0, scale=1.0)
CODE = ColumnContract(name="code", kind="category", categories=("0117", "250.00", "x"))
ROWS = 24
Written = str | bytes | Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """content: of the file. says: words of an error's text; "" where it is read. told: a warning's code. line: of
    the first place. right: how many records a table gives that is read.
    """

    name: str
    file: str
    content: Written
    columns: tuple[ColumnContract, ...] = (AGE,)
    mapping: str = ""
    says: str = ""
    told: str = ""
    line: int = 0
    right: int = ROWS


def table(head: str = "patient,age,label", row: str = "p{k},{age},{label}", count: int = ROWS, **odd: str) -> str:
    """Rows that are right but for those in `odd`, `r3="..."` in place of row 3."""
    rows = [odd.get(f"r{k}", row.format(k=k, age=20 + k * 2, label=k * 7 // 3 % 2)) for k in range(count)]
    return "\n".join([head, *rows]) + "\n"


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as parts:
        for name, content in members.items():
            parts.writestr(name, content)
    return buffer.getvalue()


def parquet(**columns: list[object]) -> Callable[[Path], None]:
    return lambda path: pl.DataFrame(columns).write_parquet(path)


def workbook(sheets: dict[str, list[list[object]]]) -> Callable[[Path], None]:
    return lambda path: write_workbook(path, sheets)


SHEET: list[list[object]] = [["patient", "age", "label"], *([f"p{k}", 20 + k * 2, k * 7 // 3 % 2] for k in range(ROWS))]
TWICE = "more than one column"
CASES = (
    # names
    Case("label twice", "t.csv", table("label,patient,age,label", "{label},p{k},{age},1"), says=TWICE),
    Case("age twice but for case and a hard space", "t.csv", table("Age\u00a0,patient,age,label", "7,p{k},{age},{label}"),
         says=TWICE),
    Case("a byte order mark before a name", "t.csv", b"\xef\xbb\xbf" + table().encode()),
    Case("spaces around names", "t.csv", table(" patient , age , label ")),
    Case("a name misspelt", "t.csv", table("patient,aeg,label"), says="lacks the column 'age'"),
    Case("a second column of nearly the name", "t.csv", table("patient,age,age.1,label", "p{k},{age},7,{label}"),
         told="near-name:age"),
    # cells
    Case("decimal commas", "t.csv", table("patient;age;label", "p{k};{age},5;{label}"), says="decimal comma", line=2),
    Case("thousands", "t.csv", table(r5='p5,"1,030.5",1'), says="between the thousands", line=7),
    Case("below what can be measured", "t.csv", table(r5="p5,<0.01,1"), says="such as <", line=7),
    Case("a number with its unit", "t.csv", table(r5="p5,30 a,1"), says="a unit behind", line=7),
    Case("a date", "t.csv", table(r5="p5,31.12.2020,1"), says="dates where", line=7),
    Case("a date with dashes", "t.csv", table(r5="p5,31-12-2020,1"), says="dates where", line=7),
    Case("a time", "t.csv", table(r5="p5,12:30,1"), says="with a colon", line=7),
    Case("a long dash for a minus", "t.csv", table(r5="p5,\u221230,1"), says="without a plain -", line=7),
    Case("a minus behind", "t.csv", table(r5="p5,30-,1"), says="without a plain -", line=7),
    Case("a blood pressure of two numbers", "t.csv", table(r5="p5,120/80,1"), says="with a slash", line=7),
    Case("a span", "t.csv", table(r5="p5,30-40,1"), says="spans such as", line=7),
    Case("a span with its mend", "t.csv", table(r5="p5,30-40,1"),
         mapping='[[columns]]\nname = "age"\nfrom = "age"\ncodes = { "30-40" = "35" }\n'),
    Case("a mark beside a number", "t.csv", table(r5="p5,30 (H),1"), says="with a mark", line=7),
    Case("apostrophes between thousands", "t.csv", table(r5="p5,1'030.5,1"), says="between the thousands", line=7),
    Case("apostrophes with their mend", "t.csv", table("patient,sold,label", "p{k},1'0{age}.5,{label}"),
         (ColumnContract(name="sold", range=(0, 2000)),), mapping='[source]\nthousands = "\'"\n'),
    Case("years of birth for an age", "t.csv", table(row="p{k},19{age},{label}"), says="years or dates as numbers"),
    Case("days of a spreadsheet for an age", "t.csv", table(row="p{k},441{age},{label}"), says="years or dates as numbers"),
    Case("1e400", "t.csv", table(r5="p5,1e400,1"), says="fill values", line=7),
    Case("other digits", "t.csv", table(r5="p5,\u0663\u0661,1"), says="digits other", line=7),
    Case("hexadecimal", "t.csv", table(r5="p5,0x1F,1"), says="as programs", line=7),
    Case("a fill code without a range", "t.csv", table("patient,lac,label", "p{k},{age}.5,{label}", r5="p5,9.96921e29,1"),
         (LAC,), told="fill-code:lac"),
    Case("a leading zero lost", "t.csv", table("patient,code,label", "p{k},0117,{label}", r5="p5,117,1"), (CODE,),
         says="does not name", line=7),
    Case("a trailing zero lost", "t.csv", table("patient,code,label", "p{k},250.00,{label}", r5="p5,250.0,1"), (CODE,),
         says="does not name", line=7),
    # patients
    Case("NA for a patient", "t.csv", table(r5="NA,30,1", r6="unknown,32,0"), told="patient-absent"),
    Case("one word for every patient", "t.csv", table(row="ANONYM,{age},{label}"), told="no-patients"),
    Case("one patient in two cases", "t.csv", table(r5="P4,30,1"), told="patient-spellings"),
    Case("a patient as a float", "t.parquet", parquet(patient=[float(k) for k in range(ROWS)], age=[20 + k for k in range(ROWS)],
         label=[k * 7 // 3 % 2 for k in range(ROWS)])),
    # rows
    Case("a row copied", "t.csv", table(r5="p4,28,1"), told="copied-rows"),
    Case("a row with the other label", "t.csv", table(r5="p4,28,0"), told="rows-other-label"),
    Case("the label in a column", "t.csv", table(row="p{k},{label},{label}"), told="leak:age"),
    Case("a row too long", "t.csv", table(r5="p5,30,1,9"), says="line 7 has 4"),
    Case("a row too short", "t.csv", table(r5="p5,30"), says="line 7 has 2"),
    Case("a separator behind every row", "t.csv", table(row="p{k},{age},{label},"), says="ends with a separator"),
    Case("a separator behind every row and the header", "t.csv", table("patient,age,label,", "p{k},{age},{label},")),
    Case("a quotation mark left open", "t.csv", table(r5='p5,"30,1', r9='p9",30,1'), says="opened and not closed"),
    Case("blank lines and lines of separators", "t.csv", table() + "\n,,\n\n"),
    # the file
    Case("cp1252", "t.csv", table(row="pü{k},{age},{label}").encode("cp1252"), says="not in UTF-8"),
    Case("UTF-16 with its mark", "t.csv", table().encode("utf-16")),
    Case("UTF-16 without a mark", "t.csv", table().encode("utf-16-le"), says="without a byte order mark"),
    Case("a title above the header", "t.csv", "Export of 3 January\n" + table(), says="line 2"),
    Case("a gzipped tar", "t.csv", gzip.compress(b"\0" * 600), says="not in UTF-8"),
    Case("a header alone", "t.csv", "patient,age,label\n", says="no row below"),
    Case("SPSS", "t.sav", b"$FL2@(#) SPSS DATA FILE" + bytes(200), says="SPSS"),
    Case("a zip of tables", "t.zip", archive({"a.csv": b"x", "b.csv": b"y"}), says="zip of tables"),
    Case("a workbook of two sheets", "t.xlsx", workbook({"a": SHEET, "b": SHEET}), says="several sheets"),
    Case("a workbook", "t.xlsx", workbook({"a": SHEET, "empty": []})),
    Case("lists in a Parquet column", "t.parquet", parquet(age=[[1.0]], label=[1]), says="holds lists"),
    Case("dates in a Parquet column", "t.parquet", parquet(patient=["a"], age=[date(2020, 1, 1)], label=[1]), says="dates where"),
    # mappings
    Case("a mapping with an open line", "t.csv", table(), mapping='[[columns]]\nname = "age"\nfrom = ""\n', says="from is empty"),
    Case("a mapping with a misspelt column", "t.csv", table(), mapping='[patient]\nfrom = "patint"\n',
         says="lacks the column 'patint'"),
    Case("a number not as the mapping says", "t.csv", table("patient;age;label", "p{k};{age},5;{label}", r5="p5;30.5;1"),
         mapping='[source]\ndecimal = ","\n', says="not written as the mapping", line=7),
    Case("a unit that no factor is for", "t.csv", table("patient,age,u,label", "p{k},{age},a,{label}", r5="p5,30,months,1"),
         mapping='[[columns]]\nname = "age"\nfrom = "age"\nunit_column = "u"\nunits = { "a" = 1.0 }\n',
         says="whose unit", line=7),
    Case("an impossible date", "t.csv",
         table("patient,a,b,label", "p{k},01.01.2020,05.01.2020,{label}", r5="p5,30.02.2020,5.3.2020,1"),
         mapping='[[columns]]\nname = "age"\nfrom = "b"\nminus = "a"\ndate_format = "%d.%m.%Y"\n',
         says="dates that are not", line=7),
    Case("a mapping that is no TOML", "t.csv", table(), mapping="[source\n", says="not valid TOML"),
)  # fmt: skip


def checked(folder: Path, case: Case) -> tuple[Readiness, Callable[[], int]]:
    """The report, and how many records there are; a refusal before any report as one."""
    path = folder / case.file
    if callable(case.content):
        case.content(path)
    else:
        path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    if case.mapping:
        (folder / "mapping.toml").write_text(case.mapping)
    try:
        kept = load_mapping(folder / "mapping.toml") if case.mapping else None
        source = open_source(path, DataContract(kind="table", columns=case.columns), mapping=kept)
    except DataError as error:
        return refused("table", error), lambda: 0
    return source.check(), lambda: len(source.load())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_awkward_input_is_right_or_told_or_refused_with_its_mend(case: Case, tmp_path: Path) -> None:
    """READY and wrong is the one answer that nobody can mend."""
    report, records = checked(tmp_path, case)
    if case.says:
        errors = [finding for finding in report.findings if finding.level == "error"]
        fitting = [finding for finding in errors if case.says in f"{finding.exact or finding.text} {finding.where}"]
        assert fitting and all(finding.hint for finding in errors), report.findings
        assert not case.line or next(iter(fitting[0].places)).line == case.line
        return
    assert report.ready(), report.findings
    assert records() == case.right
    warned = {finding.code for finding in report.findings if finding.level == "warning"}
    assert warned == ({case.told} if case.told else set()) or case.told in warned


def test_a_column_of_cells_that_cannot_be_read_is_not_called_constant(tmp_path: Path) -> None:
    """All became 0, and the manager was sent to look for one value that stands in no row."""
    report, _ = checked(tmp_path, Case("percent", "t.csv", table(row="p{k},{age} %,{label}")))
    codes = {finding.code for finding in report.findings}
    assert "percent:age" in codes and "constant:age" not in codes


def test_dates_as_numbers_are_given_no_factor(tmp_path: Path) -> None:
    """Years of birth times 0.01 are all within the range of an age: everybody was 19 years old, READY."""
    report, _ = checked(tmp_path, Case("years", "t.csv", table(row="p{k},19{age},{label}")))
    assert not any("factor" in finding.hint for finding in report.findings)
    pressures, _ = checked(tmp_path, Case("tenfold", "t.csv", table(row="p{k},{age}5,{label}")))
    assert any("factor = 0.1" in finding.hint for finding in pressures.findings)


def test_there_are_forty_and_each_has_a_name() -> None:
    """The page promises it."""
    assert len(CASES) >= 40 and len({case.name for case in CASES}) == len(CASES)
