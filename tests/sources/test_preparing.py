"""One record at a time gives what reading the whole source gives."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.sources import network_input, open_source, prepare
from wardround.sources.made_records import to_named
from wardround.sources.tables.table import rows_result
from wardround.study.contract import ColumnContract, DataContract, ImageContract
from wardround.training.images.pixels import rows_of
from wardround.training.inputs import shape_of
from wardround.values.errors import DataError
from wardround.values.records import Records

COLUMNS = (
    ColumnContract(name="age", unit="years", range=(0, 120), center=50, scale=10),
    ColumnContract(name="chol", range=(100, 600), missing=("?", 0, -9), max_missing=0.7, outside="missing"),
    ColumnContract(name="pulse", range=(30, 220), outside="clip", max_missing=0.5),
    ColumnContract(name="sex", kind="binary", categories=("f", "m"), max_missing=0.2),
    ColumnContract(name="pain", kind="category", categories=(1, 2, "none"), max_missing=0.5, left_out=("refused",)),
)
TABLE = DataContract(kind="table", columns=COLUMNS)
CELLS = {
    "age": st.one_of(st.floats(-50, 200), st.sampled_from(["", "x", "60", " 60.0 ", None, 1e31, float("inf"), True])),
    "chol": st.one_of(st.floats(0, 900), st.sampled_from(["?", "0", -9, "-9.0", "", None, float("nan"), "high"])),
    "pulse": st.one_of(st.integers(-10, 400), st.sampled_from(["", "NaN", None, "72"])),
    "sex": st.sampled_from(["f", "M", " m ", "", None, "d", 1, "NA"]),
    "pain": st.sampled_from([1, "1.0", 2, "None", "", "refused", 3, None, np.int64(2)]),
}
ROWS = st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=8)


def prepared_or_none(row: dict[str, object]) -> np.ndarray | None:
    try:
        return prepare(TABLE, row)
    except DataError:
        return None


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_rows_prepared_one_by_one_equal_the_table_read_whole(rows: list[dict[str, object]]) -> None:
    """The clinic asks about one patient; the model learned from tables."""
    from wardround.sources.tables.columns import cell_of

    def cells(name: str) -> list[str] | None:
        return [cell_of(row[name]) for row in rows] if name in CELLS else None

    result = rows_result(len(rows), cells, lambda _: None, TABLE, "optional")
    single = [prepared_or_none(row) for row in rows]
    wrong = {position for problem in result.problems for position in problem.positions}
    kept = np.argsort(result.positions, kind="stable")
    together = {int(name): row for name, row in zip(result.names[kept].tolist(), result.inputs[kept], strict=True)}
    for number, alone in enumerate(single, 1):
        if alone is None:
            assert number in wrong or number not in together or len(wrong) >= 5
        else:
            assert np.array_equal(alone, together[number])


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_a_table_of_sound_rows_is_the_rows_that_prepare_gives(rows: list[dict[str, object]]) -> None:
    """No row may pull another one with it."""
    import polars as pl

    from wardround.sources.tables.table import table_result

    sound = [row for row in rows if prepared_or_none(row) is not None]
    if sound:
        words = [{name: "" if value is None else str(int(value) if value is True else value) for name, value in row.items()}
                 for row in sound]  # fmt: skip
        frame = pl.DataFrame(words, schema=dict.fromkeys(CELLS, pl.String))
        records = to_named(table_result(frame, TABLE, "optional"))
        assert np.array_equal(records.inputs, np.stack([prepare(TABLE, row) for row in words]))


def test_a_record_without_a_column_is_refused_and_told() -> None:
    """A column forgotten by a form must not become 0."""
    with pytest.raises(DataError, match="lacks the column 'sex'"):
        prepare(TABLE, {"age": 60, "chol": 200, "pulse": 70, "pain": 1})


def test_no_refusal_holds_a_value_of_the_record() -> None:
    """Messages are copied into mails."""
    with pytest.raises(DataError) as caught:
        prepare(TABLE, {"age": 31.25, "chol": 200, "pulse": 70, "sex": "Erika Mustermann", "pain": 1})
    assert "Mustermann" not in str(caught.value) and "31.25" not in str(caught.value)


@pytest.mark.parametrize(
    ("contract", "record"),
    [(TABLE, np.zeros((8, 8), np.uint8)), (DataContract(kind="image"), {"age": 3}), (DataContract(kind="image"), b"no image")],
)
def test_a_record_of_another_kind_is_refused(contract: DataContract, record: object) -> None:
    """The wrong model is picked sooner or later."""
    with pytest.raises(DataError, match="What to do"):
        prepare(contract, record)  # type: ignore[arg-type]


@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (1, 16), (3, 16)])
def test_the_networks_input_is_the_one_of_training(channels: int, bits: int) -> None:
    """A last bit of difference here is a difference in every answer."""
    contract = DataContract(kind="image", image=ImageContract(size=(9, 8), channels=channels, kept_bits=bits))
    shape = (5, 9, 8, 3) if channels == 3 else (5, 9, 8)
    raw = np.random.default_rng(1).integers(0, 2**bits, shape).astype(np.uint8 if bits == 8 else np.uint16)
    records = Records(raw, np.zeros(5, np.int8), np.array(list("abcde")), np.array(["train"] * 5))
    expected = rows_of(records, shape_of(records), torch.device("cpu")).read(torch.arange(5)).numpy()
    assert np.array_equal(network_input(contract, raw), expected)


def test_one_record_is_prepared_without_torch_and_without_polars(tmp_path: Path) -> None:
    """The clinic's program starts in a second and holds no training library."""
    code = (
        "import sys\n"
        "from wardround.sources import prepare\n"
        "from wardround.study.contract import ColumnContract, DataContract\n"
        "contract = DataContract(kind='table', columns=(ColumnContract(name='age', range=(0, 120)),))\n"
        "assert prepare(contract, {'age': '60'}).tolist() == [0.0]\n"
        "heavy = {'torch', 'polars'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_labels_may_be_there_for_some_rows(tmp_path: Path) -> None:
    """A list of patients often has the outcomes that are known so far; a word that is no outcome counts as none."""
    path = tmp_path / "t.csv"
    path.write_text("age,label\n60,1\n50,\n40,0\n30,later\n")
    contract = DataContract(kind="table", columns=COLUMNS[:1])
    records = open_source(path, contract).named()
    assert records.names.tolist() == ["1", "2", "3", "4"]
    assert records.labelled.tolist() == [True, False, True, False]
    assert records.labels[records.labelled].tolist() == [1, 0]
