"""Exports that were put one behind the other: the header stands again among the rows."""

import gzip
from pathlib import Path

import pytest

from wardround.sources.mapping.proposing import propose
from wardround.sources.mapping.sections import load_mapping
from wardround.sources.opening import open_source
from wardround.study.contract import ColumnContract, DataContract
from wardround.values.errors import DataError

from .workbook_kinds import KINDS, SheetLook

AGE, SEX = ColumnContract(name="age", range=(0, 120)), ColumnContract(name="sex", kind="binary", categories=("f", "m"))
RULES = DataContract(kind="table", columns=(AGE, SEX))
HEAD = ["patient", "age", "sex", "label"]
ROWS = 8


def rows(first: int = 0) -> list[list[object]]:
    return [[f"p{first + k}", 40 + k, "fm"[k % 2], k * 5 // 3 % 2] for k in range(ROWS)]


def csv(folder: Path, *lines: list[object]) -> Path:
    (folder / "t.csv").write_text("".join(",".join(map(str, line)) + "\n" for line in lines), encoding="utf-8")
    return folder / "t.csv"


def mended(path: Path, text: str) -> int:
    path.with_suffix(".toml").write_text(text)
    source = open_source(path, RULES, mapping=load_mapping(path.with_suffix(".toml")))
    report = source.check()
    assert report.ready(), report.findings
    assert all(spot.line != ROWS + 2 for finding in report.findings for spot in finding.places)
    return len(source.load())


@pytest.mark.parametrize(
    "again", [HEAD, [name.upper() for name in HEAD], ["\ufeffpatient", *HEAD[1:]], [" patient", "age ", "sex", "label"]]
)
def test_a_header_among_the_rows_is_named_with_its_line_and_its_mend(tmp_path: Path, again: list[object]) -> None:
    """Cells that are not numbers, said the report, and named the word as a code for missing: a patient more."""
    path = csv(tmp_path, [*HEAD], *rows(), again, *rows(50), again, *rows(90))
    with pytest.raises(DataError, match="stands again") as caught:
        open_source(path, RULES).load()
    assert caught.value.found == f"line {ROWS + 2}, line {2 * ROWS + 3}"
    assert mended(path, '[source]\nrepeated_header = "left out"\n') == 3 * ROWS
    proposed = propose(path, RULES).text
    assert 'repeated_header = "left out"' in proposed and mended(path, proposed) == 3 * ROWS
    kept = [line for at, line in enumerate(path.read_text().splitlines(), 1) if at not in (ROWS + 2, 2 * ROWS + 3)]
    path.write_text("\n".join(kept))
    assert len(open_source(path, RULES).load()) == 3 * ROWS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_header_among_the_rows_of_a_workbook_is_named_too(tmp_path: Path, kind: str) -> None:
    """Sheets are put one below the other as files are."""
    path = tmp_path / f"t{kind}"
    KINDS[kind](path, [[*HEAD], *rows(), [*HEAD], *rows(50)], SheetLook())
    with pytest.raises(DataError, match="stands again") as caught:
        open_source(path, RULES).load()
    assert caught.value.found == f"line {ROWS + 2}"
    assert mended(path, propose(path, RULES).text) == 2 * ROWS


def test_a_header_of_another_order_is_refused_with_every_mapping(tmp_path: Path) -> None:
    """Below it ages are in the column of another number: left out, the line took the only trace of it along."""
    two = DataContract(kind="table", columns=(AGE, AGE.changed(name="bmi")))
    lines = [["age", "bmi", "label"], *[[40, 22, k % 2] for k in range(9)], ["bmi", "age", "label"], [22, 40, 1]]
    path = csv(tmp_path, *lines)
    for left_out in ("", '[source]\nrepeated_header = "left out"\n'):
        path.with_suffix(".toml").write_text(left_out)
        with pytest.raises(DataError, match="another order") as caught:
            open_source(path, two, mapping=load_mapping(path.with_suffix(".toml"))).load()
        assert caught.value.found == "line 11"


def test_words_that_are_names_of_columns_too_are_rows(tmp_path: Path) -> None:
    """A column male of male and female, and a site called age."""
    male = ColumnContract(name="male", kind="binary", categories=("female", "male"))
    rules = DataContract(kind="table", columns=(AGE, male))
    head = ["patient", "site", "age", "male", "label"]
    body: list[list[object]] = [[f"p{k}", "age", 40 + k, ("female", "male")[k % 2], k // 2 % 2] for k in range(9)]
    assert len(open_source(csv(tmp_path, [*head], *body), rules).load()) == 9


def test_a_gzipped_file_of_files_is_named_as_one(tmp_path: Path) -> None:
    """gzip files may be put one behind the other, and are one."""
    path = csv(tmp_path, [*HEAD], *rows())
    (tmp_path / "two.csv.gz").write_bytes(gzip.compress(path.read_bytes()) * 2)
    with pytest.raises(DataError, match="stands again"):
        open_source(tmp_path / "two.csv.gz", RULES).load()


@pytest.mark.parametrize(
    ("dates", "said"),
    [("202012{day}", True), ("202012{day}2359", True), ("202012{day}235959", True), ("2020{day}", False), ("99{day}45.5", False)],
)
def test_dates_as_numbers_are_told_where_no_range_is_given(tmp_path: Path, dates: str, said: bool) -> None:
    """20201231 was a laboratory value, READY, and a million scales from the others."""
    lab = ColumnContract(name="lab", center=1e6, scale=1e9)
    lines: list[list[object]] = [[dates.format(day=k + 10), k % 2] for k in range(9)]
    report = open_source(csv(tmp_path, ["lab", "label"], *lines), DataContract(kind="table", columns=(lab,))).check()
    assert ("dates-as-numbers:lab" in {finding.code for finding in report.findings}) is said


def test_a_column_far_from_the_center_of_the_contract_is_told(tmp_path: Path) -> None:
    """Without a range, millimoles in place of milligrams were READY in silence."""
    lab = ColumnContract(name="lab", center=200, scale=40)
    for values, said in (([5000 + k for k in range(9)], True), ([180 + k for k in range(9)], False)):
        lines: list[list[object]] = [[value, k % 2] for k, value in enumerate(values)]
        report = open_source(csv(tmp_path, ["lab", "label"], *lines), DataContract(kind="table", columns=(lab,))).check()
        assert report.ready() and ("far-from-center:lab" in {finding.code for finding in report.findings}) is said


@pytest.mark.parametrize(
    ("cells", "sign"),
    [("1\u2019{k}4.5", "\u2019"), ("1'{k}4.5", "'"), ("1\u202f{k}4.5", " "), ("1\u2009{k}4,5", " "), ("1\u00a0{k}4", " "),
     ("1,00,{k}4.5", ","), ("1\u02bc{k}4.5", "'"), ("1.000.{k}4", "."), ("1,000,{k}4", ",")],
)  # fmt: skip
def test_signs_between_thousands_are_proposed_and_read(tmp_path: Path, cells: str, sign: str) -> None:
    """The report said to name the sign that is written, and the mapping took none but four."""
    cost = ColumnContract(name="cost", range=(0, 2_000_000))
    path = tmp_path / "t.csv"
    path.write_text(
        "patient;cost;label\n" + "".join(f"p{k};{cells.format(k=k)};{k % 2}\n" for k in range(10, 30)), encoding="utf-8"
    )
    rules = DataContract(kind="table", columns=(cost,))
    report = open_source(path, rules).check()
    told = {finding.code for finding in report.findings if finding.level == "error"}
    assert told <= {"thousands:cost", "decimal-comma:cost"} and told
    proposed = propose(path, rules).text
    assert f'thousands = "{sign}"' in proposed
    path.with_suffix(".toml").write_text(proposed, encoding="utf-8")
    assert open_source(path, rules, mapping=load_mapping(path.with_suffix(".toml"))).check().ready()


@pytest.mark.parametrize("sign", ["'", "\u2019", " ", "\u00a0", "\u202f", "\u2009"])
def test_one_apostrophe_or_space_stands_for_all(tmp_path: Path, sign: str) -> None:
    """They look alike in most fonts, and stand mixed where two programs wrote one file."""
    cost = ColumnContract(name="cost", range=(0, 2000))
    signs = "'\u2019\u02bc" if sign in "'\u2019" else " \u00a0\u202f\u2009"
    path = tmp_path / "t.csv"
    path.write_text("cost;label\n" + "".join(f"1{signs[k % len(signs)]}0{k};{k % 2}\n" for k in range(10, 30)), encoding="utf-8")
    path.with_suffix(".toml").write_text(f'[source]\nthousands = "{sign}"\n', encoding="utf-8")
    rules = DataContract(kind="table", columns=(cost,))
    source = open_source(path, rules, mapping=load_mapping(path.with_suffix(".toml")))
    assert source.check().ready()
    center, scale = cost.constants
    assert sorted(round(float(value) * scale + center) for value in source.load().inputs[:, 0]) == list(range(1010, 1030))
