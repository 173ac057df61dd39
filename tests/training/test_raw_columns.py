"""A table's ONNX file reads raw columns as the readers of the product do."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.sources import prepare
from wardround.study.contract import ColumnContract, DataContract
from wardround.study.record.model_statement import METADATA_KEY, ModelStatement
from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import InputShape
from wardround.training.model_tree import initial_tree
from wardround.training.onnx_export import export_onnx
from wardround.training.scoring import score
from wardround.values.errors import DataError
from wardround.values.records import Records
from wardround.values.tree import Tree

COLUMNS = (
    ColumnContract(name="age in years", unit="years", range=(0, 120), center=50, scale=10),
    ColumnContract(name="chol", range=(100, 600), missing=("?", 0, -9), max_missing=0.7, outside="missing"),
    ColumnContract(name="pulse", range=(30, 220), outside="clip", max_missing=0.5, left_out=(-1,)),
    ColumnContract(name="blutdruck übrig", center=0.1, scale=0.3),
    ColumnContract(name="dose", center=0, scale=1e-12, max_missing=0.5),
    ColumnContract(name="sex", kind="binary", categories=("F", "M"), max_missing=0.2),
    ColumnContract(name="smoker", kind="binary"),
    ColumnContract(name="pain", kind="category", categories=(1, 2, "None"), max_missing=0.5, left_out=("refused",)),
    ColumnContract(name="probability", kind="category", categories=("low", "high")),
    ColumnContract(name="wardround/0", range=(0, 1), max_missing=0.5, left_out=("",)),
    ColumnContract(name="crp", range=(0.1, 1000), log=True, outside="clip", missing=(-9, "-99.0", "-8"), max_missing=0.5),
    ColumnContract(name="ferritin", center=1.0, scale=2.0, log=True),
    ColumnContract(name="icd", kind="category", categories=("250.00", "0117", 5, "1e3"), missing=(-9, "-8.0"), max_missing=0.5),
    ColumnContract(name="ward", kind="category", categories=("ICU", "ER"), other=True, max_missing=0.5),
    ColumnContract(name="allele", kind="binary", categories=("a", "A"), case="exact"),
)
CONTRACT = DataContract(kind="table", columns=COLUMNS)
STATEMENT = ModelStatement(
    study_title="A study", study_hash="0" * 64, synthetic=False, output="a chance", threshold=0.5, data=CONTRACT, wardround="0"
)
NETWORK = NetworkSection(name="mlp")
SHAPE = InputShape("table", features=len(CONTRACT.feature_names))
NAN = float("nan")
ROW = st.fixed_dictionaries(
    {
        "age in years": st.one_of(st.floats(-20, 140), st.sampled_from([60.0, 0.0, 120.0, NAN, 1e31])),
        "chol": st.one_of(st.floats(50, 700), st.sampled_from([0.0, -9.0, 100.0, NAN, float("inf")])),
        "pulse": st.one_of(st.floats(0, 300), st.sampled_from([-1.0, NAN, -1e31])),
        "blutdruck übrig": st.one_of(st.floats(-5, 5), st.sampled_from([NAN, 1e30])),
        "dose": st.one_of(st.floats(0, 5e-12), st.sampled_from([NAN, 1e30, -4e26, 1e31])),
        "sex": st.sampled_from(["f", "M", "m", "", "NA", "d", "?", "null"]),
        "smoker": st.sampled_from(["0", "1", "", "2"]),
        "pain": st.sampled_from(["1", "2", "None", "none", "", "?", "refused", "3"]),
        "probability": st.sampled_from(["low", "high", "middle", ""]),
        "wardround/0": st.one_of(st.floats(0, 1), st.sampled_from([NAN])),
        "crp": st.one_of(st.floats(-1, 2000), st.sampled_from([NAN, -9.0, -99.0, -8.0, 0.0])),
        "ferritin": st.one_of(st.floats(-1, 500), st.just(0.0)),
        "icd": st.sampled_from(["250.00", "250.0", "250", "0117", "117", "5", "5.0", "1e3", "1000", "-9", "-8", "-8.0", ""]),
        "ward": st.sampled_from(["ICU", "icu", "Er", "Geriatrics", "", "NA", "other", "0"]),
        "allele": st.sampled_from(["a", "A", "b"]),
    }
)
SOUND = {
    "age in years": 60.0, "chol": NAN, "pulse": 400.0, "blutdruck übrig": 0.2, "dose": 2e-12, "sex": "", "smoker": "1",
    "pain": "none", "probability": "high", "wardround/0": 0.25,
    "crp": 5.0, "ferritin": 3.0, "icd": "0117", "ward": "Geriatrics", "allele": "A",
}  # fmt: skip


def tree() -> Tree:
    arrays = initial_tree(NETWORK, SHAPE, 3)
    rng = np.random.default_rng(0)
    return {name: rng.normal(0, 0.4, array.shape).astype(np.float32) for name, array in sorted(arrays.items())}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    path = tmp_path_factory.mktemp("onnx") / "m.onnx"
    export_onnx(NETWORK, SHAPE, tree(), path, flip_average=False, statement=STATEMENT)
    return onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def asked(session: onnxruntime.InferenceSession, rows: list[dict[str, object]]) -> np.ndarray:
    kinds = {column.name: np.float64 if column.kind == "number" else object for column in COLUMNS}
    return session.run(None, {name: np.array([row[name] for row in rows], kind) for name, kind in kinds.items()})[0]


def learned(features: np.ndarray) -> float:
    records = Records(features[None], np.zeros(1, np.int8), np.array(["p"]), np.array(["test"]))
    logit = score(NETWORK, SHAPE, tree(), records, flip_average=False, device="cpu", threads=1)
    return float(0.5 + 0.5 * np.tanh(logit[0].astype(np.float64) / 2))


def test_inputs_are_the_columns_by_name(session: onnxruntime.InferenceSession) -> None:
    """A consumer fills in a form; it knows no vector of features."""
    assert [entry.name for entry in session.get_inputs()] == [column.name for column in COLUMNS]
    kinds = {entry.name: entry.type for entry in session.get_inputs()}
    assert kinds["age in years"] == "tensor(double)" and kinds["sex"] == "tensor(string)"


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=6))
def test_the_file_answers_as_the_readers_and_torch_do_and_never_where_they_refuse(
    session: onnxruntime.InferenceSession, rows: list[dict[str, object]]
) -> None:
    """Two programs that prepare a value in two ways give one patient two answers."""
    answers = asked(session, [*rows, SOUND])
    assert np.isfinite(answers[-1])
    for row, answer in zip([*rows, SOUND], answers, strict=True):
        try:
            expected = learned(prepare(CONTRACT, row))
        except DataError:
            assert np.isnan(answer), row
        else:
            assert abs(answer - expected) <= 1e-6, row


def test_the_statement_comes_back_from_the_file(session: onnxruntime.InferenceSession) -> None:
    """A model file is copied without its folder; it must say by itself what goes into it."""
    text = session.get_modelmeta().custom_metadata_map[METADATA_KEY]
    assert ModelStatement.from_json(text, name="m.onnx") == STATEMENT


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    """The registry knows a file by its hash."""
    for name in ("a", "b"):
        export_onnx(NETWORK, SHAPE, tree(), tmp_path / name, flip_average=False, statement=STATEMENT)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
