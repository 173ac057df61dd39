"""CSV, gzipped CSV and Parquet."""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardround.sources.opening import open_source
from wardround.sources.read_result import row_by_row
from wardround.sources.tables import table
from wardround.sources.tables.frame_rows import read_rows
from wardround.sources.tables.table import records_of
from wardround.study.contract import ColumnContract, DataContract, LabelContract, SplitsContract
from wardround.values.errors import DataError

from .source_conformance import Item, SourceConformance

AGE = ColumnContract(name="age", unit="years", range=(0, 120), center=50, scale=10)
CHOL = ColumnContract(name="chol", unit="mg/dl", range=(100, 600), missing=("?", 0, -9), max_missing=0.7)
SEX = ColumnContract(name="sex", kind="binary", categories=("f", "m"))
PAIN = ColumnContract(name="pain", kind="category", categories=(1, 2, "none"), max_missing=0.5)
FEW = SplitsContract(minimum_patients=1, validation=0.0, test=0.0)


def contract(*columns: ColumnContract, **more: object) -> DataContract:
    return DataContract(kind="table", columns=columns, **{"splits": FEW, **more})  # type: ignore[arg-type]


def load(path: Path, text: str, *columns: ColumnContract, **more: object):  # type: ignore[no-untyped-def]
    file = path / "t.csv"
    file.write_text(text)
    return open_source(file, contract(*columns, **more)).load()


class TestCsv(SourceConformance):
    def contract(self) -> DataContract:
        return DataContract(
            kind="table", columns=(ColumnContract(name="x", range=(0, 1)), ColumnContract(name="y", range=(0, 255)))
        )

    def write(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        lines = ["patient,x,y,label,split"]
        lines += [f"{i.patient},{i.number / 1000},{i.image()[0, 0]},{i.label},{i.split}" for i in items]
        (folder / "t.csv").write_text("\n".join(lines))
        return folder

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        lines = ["patient,x,y", *(f"{i.patient},{i.number / 1000},{i.image()[0, 0]}" for i in items)]
        (folder / "t.csv").write_text("\n".join(lines))
        return folder

    def raw_records(self, path: Path) -> list[Any]:
        return pl.read_csv(path / "t.csv", infer_schema=False).to_dicts()


class TestParquet(TestCsv):
    def write(self, folder: Path, items: list[Item]) -> Path:
        path = super().write(folder, items) / "t.csv"
        frame = pl.read_csv(path, schema_overrides={"split": pl.String})
        frame.with_columns(pl.col("split").fill_null("")).write_parquet(folder / "t.parquet")
        path.unlink()
        return folder / "t.parquet"

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        path = super().write_unlabelled(folder, items) / "t.csv"
        pl.read_csv(path).write_parquet(folder / "t.parquet")
        path.unlink()
        return folder / "t.parquet"

    def raw_records(self, path: Path) -> list[Any]:
        return pl.read_parquet(path).to_dicts()


def test_features_are_scaled_by_declared_constants_with_indicators_and_one_hot(tmp_path: Path) -> None:
    """A statistic of the site's own data would leave it through the model; a declared constant says nothing."""
    text = "age,chol,sex,pain,label\n60,350,m,1,1\n50,?,f,none,0\n50,-9.0,f,?,0\n"
    records = load(tmp_path, text, AGE, CHOL, SEX, PAIN)
    rows = {tuple(row) for row in records.inputs.tolist()}
    assert contract(AGE, CHOL, SEX, PAIN).feature_names == (
        "age", "chol", "chol missing", "sex", "pain=1", "pain=2", "pain=none", "pain missing",
    )  # fmt: skip
    assert rows == {(1, 0, 0, 1, 1, 0, 0, 0), (0, 0, 1, 0, 0, 0, 1, 0), (0, 0, 1, 0, 0, 0, 0, 1)}
    assert records.inputs.dtype == np.float32


def test_nan_in_a_column_is_missing_and_refused_where_none_is_allowed(tmp_path: Path) -> None:
    """NaN in one feature turns every weight into NaN within a step."""
    text = "age,label\n60,1\nNaN,0\n50,0\n"
    with pytest.raises(DataError, match=r"'age' has more missing values.*position 2 of the rows"):
        load(tmp_path, text, AGE)
    allowed = AGE.changed(max_missing=0.5)
    assert np.isfinite(load(tmp_path, text, allowed).inputs).all()
    frame = pl.DataFrame({"age": [60.0, float("nan"), None, 40.0], "label": [1, 0, 1, 0]})
    frame.write_parquet(tmp_path / "n.parquet")
    assert open_source(tmp_path / "n.parquet", contract(allowed)).load().inputs[:, 1].sum() == 2


def test_too_many_missing_values_are_refused(tmp_path: Path) -> None:
    """The contract says how much guessing is acceptable."""
    with pytest.raises(DataError, match="more missing values than the contract allows"):
        load(tmp_path, "chol,label\n?,1\n?,0\n0,0\n200,0\n", CHOL)


def test_values_outside_the_range_follow_the_contract(tmp_path: Path) -> None:
    """An age of 999 is a code, not an age."""
    text = "age,label\n999,1\n50,0\n"
    with pytest.raises(DataError, match="outside 0 to 120 years"):
        load(tmp_path, text, AGE)
    assert load(tmp_path, text, AGE.changed(outside="clip")).inputs.max() == 7
    gone = AGE.changed(outside="missing", max_missing=0.5)
    assert sorted(load(tmp_path, text, gone).inputs.tolist()) == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("young", "not numbers"), ("1_0", "as programs write"), ("0x10", "as programs write"), ("inf", "mean infinity"),
        ("1e300", "fill values"), ("1e400", "fill values"), ('"1 234,5"', "decimal comma"), ('"1.234,5"', "decimal comma"),
        ('"3,5"', "decimal comma"), ('"1,234.5"', "between the thousands"), ("<0.01", "such as <"), (">89", "such as <"),
        ("١٢", "digits other"), ("12 mg", "unit behind"), ("31.12.2020", "dates"),
    ],
)  # fmt: skip
def test_cells_that_are_no_numbers_are_refused(tmp_path: Path, value: str, match: str) -> None:
    """Python reads 1_0 as ten; a person who typed it meant something else."""
    with pytest.raises(DataError, match=match):
        load(tmp_path, f"age,label\n{value},1\n50,0\n", AGE)


@pytest.mark.parametrize(("center", "scale"), [(0.0, 1e-12), (-1e308, 1.0), (0.0, 1e-300)])
def test_a_number_that_no_network_can_read_after_scaling_is_refused(tmp_path: Path, center: float, scale: float) -> None:
    """It became infinity with a warning, and one such record made the whole hospital's update count as no change."""
    dose = ColumnContract(name="dose", center=center, scale=scale)
    with pytest.raises(DataError, match=r"'dose' has numbers that are too large after scaling.*larger scale"):
        load(tmp_path, "dose,label\n1e30,1\n9e29,0\n3e29,1\n", dose)


def test_a_number_that_is_no_measurement_is_one_fault_under_any_scale(tmp_path: Path) -> None:
    """It is left out before it is scaled: a second message for it would send its reader to the contract."""
    with pytest.raises(DataError, match="fill values") as caught:
        load(tmp_path, "dose,label\n1e31,1\n0,0\n", ColumnContract(name="dose", center=0.0, scale=1e-12))
    assert "after scaling" not in str(caught.value)


def test_an_unknown_category_is_refused(tmp_path: Path) -> None:
    """All zeros would be an invented category."""
    with pytest.raises(DataError, match="'pain' has values the contract does not name"):
        load(tmp_path, "pain,label\n7,1\n1,0\n", PAIN)


def test_headerless_files_take_their_names_from_the_contract(tmp_path: Path) -> None:
    """The files of UCI have no header."""
    more = {"header": ("age", "sex", "num"), "label": LabelContract(column="num", positive="> 0", negative="= 0")}
    records = load(tmp_path, "60,m,3\n50,f,0\n", AGE, SEX, **more)
    assert sorted(zip(records.inputs[:, 0].tolist(), records.labels.tolist(), strict=True)) == [(0, 0), (1, 1)]
    with pytest.raises(DataError, match="another number of columns"):
        load(tmp_path, "60,m\n50,f\n", AGE, SEX, **more)


def test_records_with_a_left_out_code_are_left_out_and_counted(tmp_path: Path) -> None:
    """Complete-case handling is a choice that the report has to tell."""
    column = AGE.changed(left_out=("?", ""))
    (tmp_path / "t.csv").write_text("age,label\n60,1\n?,0\n,1\n50,0\n")
    source = open_source(tmp_path / "t.csv", contract(column))
    assert len(source.load()) == 2
    assert "left-out" in {finding.code for finding in source.check().findings}


def test_gzipped_csv_is_read(tmp_path: Path) -> None:
    """Exports of large tables come compressed."""
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"age,label\n60,1\n50,0\n"))
    assert len(open_source(tmp_path, contract(AGE)).load()) == 2


def test_ragged_and_broken_tables_are_refused_without_showing_a_cell(tmp_path: Path) -> None:
    """The library's own message quotes the offending cells."""
    with pytest.raises(DataError, match="line 2 has 3") as caught:
        load(tmp_path, "age,label\n60,1,Mustermann\n50,0\n", AGE)
    assert "Mustermann" not in str(caught.value)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"age,label\n60,1\n" * 999)[:40])
    with pytest.raises(DataError, match="cannot be read"):
        open_source(tmp_path / "b.csv.gz", contract(AGE)).load()
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match="cannot be read"):
        open_source(tmp_path / "b.parquet", contract(AGE)).load()


def test_an_absent_column_is_named(tmp_path: Path) -> None:
    """Column names are the study's words, not the site's data."""
    with pytest.raises(DataError, match="lacks the column 'chol'"):
        load(tmp_path, "age,label\n60,1\n", AGE, CHOL)


def test_another_unit_is_recognised(tmp_path: Path) -> None:
    """Cholesterol in mmol/l is the classic; the report says what to multiply by."""
    (tmp_path / "t.csv").write_text("chol,label\n" + "".join(f"{4 + k / 10},{k % 2}\n" for k in range(20)))
    findings = {f.code: f for f in open_source(tmp_path / "t.csv", contract(CHOL)).check().findings}
    assert findings["unit:chol"].level == "error"
    assert "mmol/l" in findings["unit:chol"].text
    assert "38.67" in findings["unit:chol"].hint


def test_images_and_tables_are_not_confused(tmp_path: Path) -> None:
    """The message says what was found instead of failing in the reader."""
    (tmp_path / "t.csv").write_text("age,label\n60,1\n")
    with pytest.raises(DataError, match="holds a table"):
        open_source(tmp_path / "t.csv", DataContract(kind="image"))


@pytest.mark.parametrize("patient", ["patient", "somebody"])
def test_columns_are_let_go_of_as_they_are_read_and_the_records_are_the_same(tmp_path: Path, patient: str) -> None:
    """The text of a million rows takes four times the memory of their numbers; both at once is what a small machine lacks."""
    rng = np.random.default_rng(3)
    numbers = rng.integers(18, 110, (5000, 40))
    names = [f"x{k}" for k in range(40)]
    lines = [f"p{row % 900},{','.join(map(str, values))},{row % 2}\n" for row, values in enumerate(numbers.tolist())]
    (tmp_path / "t.csv").write_text(",".join([patient, *names, "label"]) + "\n" + "".join(lines))
    rules = DataContract(
        kind="table", columns=tuple(ColumnContract(name=name, range=(0, 200), center=0, scale=1) for name in names)
    )
    rows = read_rows(tmp_path / "t.csv", rules)
    read_result = records_of(rows, rules, "required")
    assert [rows.cells_of(name) for name in names] == [None] * 40
    assert np.array_equal(read_result.inputs, numbers[read_result.positions].astype(np.float32))
    rows_of_numbers = row_by_row(read_result.inputs)
    assert rows_of_numbers.flags.c_contiguous and np.array_equal(rows_of_numbers, read_result.inputs)
    digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in rows_of_numbers]
    names_of = read_result.patients.tolist()
    pairs = list(zip(names_of, digests, strict=True))
    assert pairs == sorted(pairs) or patient != "patient"
    assert patient == "patient" or all(digest[:20] in name for name, digest in zip(names_of, digests, strict=True))


def test_columns_judged_at_once_say_what_they_say_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which thread is the first must not decide which of two columns is called the copy, nor the order of the report."""
    names = [f"x{k}" for k in range(12)]
    body = [f"{','.join(str((row * (k % 5 + 3)) % 97) for k in range(12))},{row % 2}\n" for row in range(60)]
    (tmp_path / "t.csv").write_text(",".join([*names, "label"]) + "\n" + "".join(body).replace("\n3,", "\nold,"))
    rules = contract(*(ColumnContract(name=name, range=(0, 80)) for name in names))
    alone = table.read_table(tmp_path / "t.csv", rules)
    monkeypatch.setattr(table, "_MANY_ROWS", 1)
    monkeypatch.setattr(table, "spare_threads", lambda: 4)
    together = table.read_table(tmp_path / "t.csv", rules)
    said = [[(problem.code, problem.text, list(problem.places)) for problem in result.problems] for result in (alone, together)]
    assert said[0] == said[1] and {"copy:x10", "copy:x11", "outside:x0", "not-a-number:x0"} <= {code for code, *_ in said[0]}
    assert together.columns == alone.columns and np.array_equal(together.inputs, alone.inputs)


def test_a_column_that_is_learned_from_may_name_the_hospital_too(tmp_path: Path) -> None:
    """Its text was let go of once its numbers were made, and every row then came from no hospital, without a word."""
    place = ColumnContract(name="site", kind="category", categories=("lund", "oslo"))
    (tmp_path / "t.csv").write_text("site,age,label\nlund,60,1\noslo,50,0\noslo,40,1\n")
    sites = open_source(tmp_path / "t.csv", contract(AGE, place)).sites()
    assert sites is not None
    assert sorted(sites.tolist()) == ["lund", "oslo", "oslo"]


def test_equal_rows_are_different_people(tmp_path: Path) -> None:
    """Two people may well share an age."""
    assert load(tmp_path, "age,label\n60,1\n60,1\n60,0\n", AGE).patient_count == 3


def test_semicolons_and_tabs_are_separators_too(tmp_path: Path) -> None:
    """Half of Europe's spreadsheets write semicolons."""
    for separator in (";", "\t"):
        assert len(load(tmp_path, "age,label\n60,1\n50,0\n".replace(",", separator), AGE)) == 2
