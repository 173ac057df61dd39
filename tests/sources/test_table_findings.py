"""What a table's report says beside what is simply wrong: each kind of fault that was read without a word, as a small case."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from wardround.sources.opening import open_source
from wardround.sources.readiness.report import Finding
from wardround.study.contract import ColumnContract, DataContract, LabelContract, PatientContract, SplitsContract
from wardround.values.errors import DataError

AGE = ColumnContract(name="age", unit="years", range=(0, 120))
LACTATE = ColumnContract(name="lac", center=2.0, scale=1.0)
CODE = ColumnContract(name="code", kind="category", categories=("250.00", "401.9"))


def contract(*columns: ColumnContract, **more: object) -> DataContract:
    return DataContract(kind="table", columns=columns or (AGE,), **more)  # type: ignore[arg-type]


def findings(path: Path, text: str, rules: DataContract, **more: bool) -> dict[str, Finding]:
    file = path / "t.csv"
    file.write_bytes(text.encode())
    return {finding.code: finding for finding in open_source(file, rules, **more).check().findings}


def rows(count: int, line: str = "p{k},{age},{label}") -> str:
    return "".join(line.format(k=k, age=20 + k, label=(k * 7 // 3) % 2) + "\n" for k in range(count))


@pytest.mark.parametrize(
    ("header", "name"),
    [("label,patient,age,label", "label"), ("a,patient,age, Age ", "age"), ("a,patient,\ufeffage\u00a0,age", "age"),
     ("patient,age,label,Patient", "patient")],
)  # fmt: skip
def test_a_column_that_stands_twice_is_refused_by_name(tmp_path: Path, header: str, name: str) -> None:
    """The first of two label columns was taken without a word; in it the labels were turned around."""
    told = findings(tmp_path, f"{header}\n" + rows(20, "{label},p{k},{age},{k}"), contract())
    assert list(told) == ["unreadable"]
    assert f"more than one column called {name!r}" in told["unreadable"].text
    assert "columns" in told["unreadable"].where


def test_a_name_that_nobody_uses_may_stand_twice(tmp_path: Path) -> None:
    """Two columns of remarks are none of the study's business."""
    told = findings(tmp_path, "patient,age,label,note,note\n" + rows(20, "p{k},{age},{label},x,y"), contract())
    assert not any(finding.level == "error" for finding in told.values())


def test_a_typed_file_with_names_alike_but_for_case_is_refused(tmp_path: Path) -> None:
    """Parquet tells Age from age, and a person does not."""
    pl.DataFrame({"Age": [1, 2], "age": [3, 4], "label": [0, 1]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="more than one column called 'age'"):
        open_source(tmp_path / "t.parquet", contract()).load()


def test_a_contracts_header_names_each_column_once() -> None:
    """The second would be read as the first."""
    with pytest.raises(ValueError, match="names a column twice"):
        contract(header=("age", "label", "Label"))


def test_a_second_column_of_nearly_the_same_name_is_told(tmp_path: Path) -> None:
    """chol_1 beside chol is what a join of two tables leaves behind."""
    told = findings(tmp_path, "patient,age,label,age_1\n" + rows(20, "p{k},{age},{label},7"), contract())
    assert told["near-name:age"].level == "warning" and "age_1" in told["near-name:age"].where
    assert "age_1" not in told["near-name:age"].text + told["near-name:age"].hint


@pytest.mark.parametrize(
    ("categories", "cells", "wrong"),
    [(("250.00", "401.9"), ("250.00", "401.9", "250.0"), "250.0"), (("0117", "5"), ("0117", "5", "117"), "117"),
     (("9007199254740993", "1"), ("9007199254740993", "1", "9007199254740992"), "9007199254740992")],
)  # fmt: skip
def test_identifiers_are_not_numbers(tmp_path: Path, categories: tuple[str, ...], cells: tuple[str, ...], wrong: str) -> None:
    """Two diagnoses were merged into one because a float cannot tell them apart."""
    text = "patient,code,label\n" + "".join(f"p{k},{cells[k % 3]},{k // 3 % 2}\n" for k in range(30))
    told = findings(tmp_path, text, contract(CODE.changed(categories=categories)))
    finding = told["category:code"]
    assert finding.level == "error" and len(finding.places) == 10
    assert {spot.value for spot in finding.places} == {wrong}


def test_typed_numbers_mean_the_codes_that_are_written_like_them(tmp_path: Path) -> None:
    """A Parquet file that holds 117 as a number does not hold the code 0117."""
    frame = pl.DataFrame({"code": [250.0, 401.9, 7.0], "label": [0, 1, 0]})
    frame.write_parquet(tmp_path / "t.parquet")
    splits = SplitsContract(minimum_patients=1, test=0, validation=0)
    as_numbers = contract(CODE.changed(categories=(250, "401.9", 7)), splits=splits)
    assert open_source(tmp_path / "t.parquet", as_numbers).load().inputs.sum() == 3
    with pytest.raises(DataError, match="does not name"):
        open_source(tmp_path / "t.parquet", contract(CODE.changed(categories=("250.00", "401.9", 7)), splits=splits)).load()


def test_an_export_anonymised_with_one_word_is_called_so(tmp_path: Path) -> None:
    """'Leave this hospital out' would be the wrong mend: the pseudonyms are one export away."""
    told = findings(tmp_path, "patient,age,label\n" + rows(30, "ANONYMIZED,{age},{label}"), contract())
    assert "one word" in told["no-patients"].text and "pseudonym" in told["no-patients"].hint
    one = findings(tmp_path, "patient,age,label\n" + rows(30, "TRIAL-7,{age},{label}"), contract())
    assert "anonymised with one word" in one["too-few-patients"].hint


@pytest.mark.parametrize(("first", "second"), [("0007", "7"), ("7.0", "7"), ("P901", "p901"), ("a 1", "a1"), ("\uff17", "7"),
                                               ("Mu\u0308ller", "M\u00fcller")])  # fmt: skip
def test_two_spellings_of_one_patient_are_told_and_never_merged(tmp_path: Path, first: str, second: str) -> None:
    """20 people looked like 40, in train and in test."""
    lines = rows(20) + f"{first},30,0\n{second},31,1\n"
    finding = findings(tmp_path, "patient,age,label\n" + lines, contract())["patient-spellings"]
    assert {spot.value for spot in finding.places} == {first, second}
    assert open_source(tmp_path / "t.csv", contract()).load().patient_count == 22
    assert findings(tmp_path, "patient,age,label\n" + lines, contract(), private=True)["patient-spellings"].level == "error"


def test_a_parquet_with_patients_as_floats_names_them_as_a_csv_does(tmp_path: Path) -> None:
    """A patient's split follows from the identifier; 7.0 and 7 would be on two sides."""
    frame = pl.DataFrame({"patient": [float(k) for k in range(20)], "age": range(20), "label": [k % 2 for k in range(20)]})
    frame.write_parquet(tmp_path / "t.parquet")
    frame.cast({"patient": pl.Int64}).write_csv(tmp_path / "t.csv")
    typed, text = (open_source(tmp_path / name, contract()).load() for name in ("t.parquet", "t.csv"))
    assert typed.patients.tolist() == text.patients.tolist() and typed.splits.tolist() == text.splits.tolist()


def test_copied_rows_and_rows_that_differ_in_the_label_alone_are_told_with_their_lines(tmp_path: Path) -> None:
    """A row counted twice is a patient counted twice; one of two opposite labels is wrong."""
    lines = rows(20) + "p3,23,1\np4,24,0\n"
    told = findings(tmp_path, "patient,age,label\n" + lines, contract())
    assert [spot.line for spot in told["copied-rows"].places] == [22]
    assert [spot.line for spot in told["rows-other-label"].places] == [23]
    assert told["patient-both-labels"].level == "note"


@pytest.mark.parametrize("leak", ["{label}", "{flip}", "{score}"])
def test_a_column_that_tells_the_label_is_called_a_leak(tmp_path: Path, leak: str) -> None:
    """A column that was written after the outcome gives an AUC of 1 and helps nobody."""
    text = "patient,age,label\n"
    for k in range(40):
        label = (k * 7 // 3) % 2
        text += f"p{k}," + leak.format(label=label, flip=1 - label, score=label * 50 + k % 30) + f",{label}\n"
    assert findings(tmp_path, text, contract())["leak:age"].level == "warning"


def test_chance_is_no_leak(tmp_path: Path) -> None:
    """A warning at every table is no warning."""
    rng = np.random.default_rng(3)
    text = "patient,age,lac,label\n" + "".join(
        f"p{k},{rng.integers(20, 90)},{rng.normal(2, 1):.2f},{rng.integers(0, 2)}\n" for k in range(300)
    )
    told = findings(tmp_path, text, contract(AGE, LACTATE))
    assert not told, told


def test_constant_columns_and_copies_of_a_column_are_told(tmp_path: Path) -> None:
    """An export that filled one column with another looks complete."""
    text = "patient,age,lac,base,label\n" + "".join(f"p{k},{k + 20},{k + 20},1,{k * 7 // 3 % 2}\n" for k in range(30))
    told = findings(tmp_path, text, contract(AGE, LACTATE, LACTATE.changed(name="base")))
    assert told["copy:lac"].level == "warning" and "'age'" in told["copy:lac"].text
    assert told["constant:base"].level == "warning"


@pytest.mark.parametrize("code", ["9.96921e29", "1e20", "-999", "-9999", "32767", "65535", "9999"])
def test_a_fill_code_is_told(tmp_path: Path, code: str) -> None:
    """One cell of 9.97e29 turns the sum of a hospital into nothing, or into everything."""
    text = "patient,age,lac,label\n" + "".join(
        f"p{k},{k + 20},{code if k in (3, 4, 9, 11) else 2 + math.sin(k):},{k * 7 // 3 % 2}\n" for k in range(40)
    )
    finding = findings(tmp_path, text, contract(AGE, LACTATE))["fill-code:lac"]
    assert finding.level == "warning" and [spot.line for spot in finding.places] == [5, 6, 11, 13]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("patient;age;label\nMüller;3;1\n".encode("cp1252"), "not in UTF-8"),
        ("patient,age,label\np1,3,1\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"Export of 3 Jan\n\npatient;age;label\np1;3;1\n", "do not stand in the first line"),
        (b"Export, ward 3\npatient,age,label\np1,3,1\n", "do not stand in the first line"),
        (b"patient,age,label\np1,3,1\np2,4,0,7\n", "line 3 has 4"),
        (b"patient,age,label\np1,3,1\np2,4\n", "line 3 has 2"),
        (b'patient,age,label\np1,"3,1\np2,4,0\np3",5,1\np4,6,1\n', "opened and not closed"),
        (b'patient,age,label\np1,3,1\n"p2,4,0\n', "opened and not closed"),
        (b"", "is empty"),
        (b"\n\n", "table is empty"),
        (b"patient,age,label\n", "no row below it"),
        (b"patient,age,label\n,,\n,,\n", "no row below it"),
        (b"patient,age,label\rp1,3,1\rp2,3,1\r", "Macintosh"),
    ],
)
def test_each_cause_has_its_own_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    """'Export it again' sends a data manager back to a file that is as it was."""
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "t.csv", contract()).load()
    assert words in str(caught.value) and caught.value.hint


def test_an_absent_column_is_told_with_those_that_come_near(tmp_path: Path) -> None:
    """The report says what is there, on this machine alone."""
    told = findings(tmp_path, "patient,Age (years),Lable\n" + rows(20), contract())["unreadable"]
    assert "'age', 'label'" in told.text
    assert "Lable" in told.where and "Lable" not in told.text + told.hint


def test_a_file_with_a_byte_order_mark_is_read_in_the_encoding_that_it_names(tmp_path: Path) -> None:
    """The mark is no guess: Excel's 'Unicode text' carries it."""
    text = "patient\tage\tlabel\n" + rows(20, "pü{k}\t{age}\t{label}")
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "t.csv").write_bytes(text.encode(encoding))
        records = open_source(tmp_path / "t.csv", contract()).load()
        assert len(records) == 20 and records.patients[0].startswith("pü")


def test_lines_are_counted_through_cells_of_several_lines(tmp_path: Path) -> None:
    """The place of a finding is looked up in an editor."""
    text = 'patient,age,label,note\np1,30,1,"two\nlines"\np2,x,0,\n\np3,40,1,\n'
    finding = findings(tmp_path, text, contract())["not-a-number:age"]
    assert [spot.line for spot in finding.places] == [4]


@pytest.mark.parametrize(
    ("values", "words"),
    [([[1.0], [2.0]], "lists"), ([{"a": 1}, {"a": 2}], "groups"), ([b"1", b"2"], "bytes")],
)
def test_a_nested_column_is_refused_by_name(tmp_path: Path, values: list[object], words: str) -> None:
    """It ended with a traceback."""
    pl.DataFrame({"age": values, "label": [0, 1]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=f"'age' holds .*{words}"):
        open_source(tmp_path / "t.parquet", contract()).load()


def test_dates_and_durations_of_a_parquet_are_named_and_decimals_are_numbers(tmp_path: Path) -> None:
    """A date is a number inside; which one depends on the library."""
    from datetime import date, timedelta
    from decimal import Decimal

    splits = SplitsContract(minimum_patients=1, test=0, validation=0)
    for value, words in ((date(2020, 1, 2), "dates"), (timedelta(days=3), "durations")):
        pl.DataFrame({"age": [value, value], "label": [0, 1]}).write_parquet(tmp_path / "t.parquet")
        with pytest.raises(DataError, match=words):
            open_source(tmp_path / "t.parquet", contract(splits=splits)).load()
    pl.DataFrame({"age": [Decimal("60.00"), Decimal("90.00")], "label": [0, 1]}).write_parquet(tmp_path / "t.parquet")
    assert sorted(open_source(tmp_path / "t.parquet", contract(splits=splits)).load().inputs[:, 0].tolist()) == [0.0, 1.0]


def test_other_texts_are_one_category_and_the_logarithm_is_of_positive_numbers(tmp_path: Path) -> None:
    """A hospital writes more than the contract foresaw, and a laboratory value spans powers of ten."""
    ward = ColumnContract(name="ward", kind="category", categories=("ICU", "ER"), other=True, max_missing=0.5)
    crp = ColumnContract(name="crp", range=(0.1, 1000.0), log=True)
    rules = contract(ward, crp, splits=SplitsContract(minimum_patients=1, test=0, validation=0))
    (tmp_path / "t.csv").write_text("ward,crp,label\nicu,10,0\nGeriatrics,0.1,1\n,1000,0\n")
    assert rules.feature_names == ("ward=ICU", "ward=ER", "ward=other", "ward missing", "crp")
    rounded = [tuple(round(x, 5) for x in row) for row in open_source(tmp_path / "t.csv", rules).load().inputs.tolist()]
    assert sorted(rounded) == [(0, 0, 0, 1, 2.0), (0, 0, 1, 0, -2.0), (1, 0, 0, 0, 0.0)]
    told = findings(
        tmp_path, "ward,crp,label\nicu,0,0\n", contract(ward, ColumnContract(name="crp", center=1, scale=1, log=True))
    )
    assert "no logarithm" in told["no-logarithm:crp"].text


def test_hospital_names_that_a_division_would_reject_are_told_before(tmp_path: Path) -> None:
    """READY, and then refused by the command that the report was made for."""
    text = "patient,age,label,site\n" + rows(20, "p{k},{age},{label},St. Mary")
    assert findings(tmp_path, text, contract())["site-name"].level == "warning"


def test_required_patients_are_required_of_every_row(tmp_path: Path) -> None:
    """20 rows of NA passed as one patient."""
    text = "patient,age,label\n" + rows(20) + rows(20, "NA,{age},{label}")
    finding = findings(tmp_path, text, contract(patient=PatientContract(required=True)))["patient-absent"]
    assert finding.level == "error" and len(finding.places) == 20 and finding.places[0].line == 22


def test_case_is_compared_as_the_contract_says(tmp_path: Path) -> None:
    """a and A are two blood groups' antigens at one place, and one word at another."""
    text = "code,label\na,0\nA,1\n"
    splits = SplitsContract(minimum_patients=1, test=0, validation=0)
    exact = CODE.changed(categories=("a", "A"), case="exact")
    (tmp_path / "t.csv").write_text(text)
    assert open_source(tmp_path / "t.csv", contract(exact, splits=splits)).load().inputs.sum(axis=0).tolist() == [1, 1]
    assert LabelContract(positive=("F",), negative=("f",), case="exact").judge("f") == 0


def test_a_name_on_two_lines_is_one_name(tmp_path: Path) -> None:
    """A spreadsheet's header often holds its unit on a second line."""
    text = 'patient,age,label,"note\n(free text)"\np1,30,1,"a\nb"\np2,x,0,\n'
    finding = findings(tmp_path, text, contract())["not-a-number:age"]
    assert [spot.line for spot in finding.places] == [5]
