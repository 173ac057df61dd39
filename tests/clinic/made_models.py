"""Models of known weights as Wardround writes them, and acceptance records of them: what a test can check by hand."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from wardround.clinic.place.acceptance_record import (
    AcceptanceRecord,
    CalibrationRecord,
    CandidateRecord,
    CasesRecord,
    ConformalRecord,
)
from wardround.clinic.place.origin_record import OriginRecord
from wardround.study.contract import ColumnContract, DataContract, ImageContract, LabelContract
from wardround.study.record.evaluation_record import Evaluation
from wardround.study.record.model_statement import INNER_VALUES_KEY, METADATA_KEY, ModelStatement
from wardround.tasks.binary.conformal import ConformalLimits
from wardround.tasks.binary.local_map import LocalMap
from wardround.values.canonical import canonical_json, sha256_hex

SIDE = 32
FILMS = DataContract(kind="image", image=ImageContract(size=(SIDE, SIDE)), label=LabelContract(name="pneumonia"))
TABLE = DataContract(
    kind="table",
    columns=(
        ColumnContract(name="age", range=(0, 100), unit="years"),
        ColumnContract(name="sex", kind="category", categories=("f", "m")),
        ColumnContract(name="pressure", range=(60, 220), unit="mmHg"),
    ),
    label=LabelContract(name="heart disease", column="ill"),
)


def statement_of(contract: DataContract, threshold: float | None = 0.5) -> ModelStatement:
    return ModelStatement(
        study_title="A made question",
        study_hash="0" * 64,
        synthetic=True,
        output="a probability",
        threshold=threshold,
        data=contract,
        wardround="0",
    )


def film_model(*, bias: float = -2.0, gain: float = 20.0) -> bytes:
    """Score: gain times the mean of (brightness - 0.6)+ over 5 x 5 blurs, plus bias."""
    tensors = {
        "blur": np.full((2, 1, 5, 5), 1 / 25, np.float32),
        "shift": np.array([-0.6, 0.0], np.float32),
        "weight": np.array([[gain, 0.0]], np.float32),
        "bias": np.array([bias], np.float32),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        ("Conv", ["pixels", "blur", "shift"], "conv", {"pads": [2, 2, 2, 2]}),
        ("Relu", ["conv"], "maps", {}),
        ("GlobalAveragePool", ["maps"], "pooled", {}),
        ("Flatten", ["pooled"], "flat", {}),
        ("Gemm", ["flat", "weight", "bias"], "head", {"transB": 1}),
        ("Squeeze", ["head", "axis"], "score", {}),
        ("Sigmoid", ["score"], "probability", {}),
    ]
    return _model(nodes, tensors, "pixels", ["batch", 1, SIDE, SIDE], FILMS)


def mirrored_film_model(*, pools: bool = True) -> bytes:
    """The mean of two branches, of the film and of its mirror image. pools: whether maps are pooled; else they are flattened."""
    half = SIDE // 2
    weight = np.ones((1, 1, half, half), np.float32)
    tensors = {
        "axis": np.array([1], np.int64),
        "two": np.array(2.0, np.float32),
        "starts": np.array([-1], np.int64),
        "ends": np.array([-(1 << 31)], np.int64),
        "axes": np.array([3], np.int64),
        "steps": np.array([-1], np.int64),
        "blur": np.full((1, 1, 2, 2), 0.25, np.float32),
        "shift": np.array([-0.5], np.float32),
        "weight": weight.reshape(-1, 1) / 20 if not pools else np.array([[30.0]], np.float32),
    }
    nodes = [("Slice", ["pixels", "starts", "ends", "axes", "steps"], "turned", {})]
    for side, source in (("a", "pixels"), ("b", "turned")):
        pool = ("GlobalAveragePool", [f"maps {side}"], f"pooled {side}", {})
        nodes += [
            ("Conv", [source, "blur", "shift"], f"conv {side}", {"strides": [2, 2]}),
            ("Relu", [f"conv {side}"], f"maps {side}", {}),
            *([pool] if pools else []),
            ("Flatten", [f"{'pooled' if pools else 'maps'} {side}"], f"flat {side}", {}),
            ("MatMul", [f"flat {side}", "weight"], f"head {side}", {}),
            ("Squeeze", [f"head {side}", "axis"], f"score {side}", {}),
        ]
    nodes += [
        ("Add", ["score a", "score b"], "sum", {}),
        ("Div", ["sum", "two"], "score", {}),
        ("Sigmoid", ["score"], "probability", {}),
    ]
    return _model(nodes, tensors, "pixels", ["batch", 1, SIDE, SIDE], FILMS)


def linear_model(weights: NDArray[Any], bias: float, contract: DataContract = TABLE) -> bytes:
    """Score: weights times the features, plus bias."""
    tensors = {
        "weight": np.asarray(weights, np.float32)[None],
        "bias": np.array([bias], np.float32),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        ("Gemm", ["features", "weight", "bias"], "head", {"transB": 1}),
        ("Squeeze", ["head", "axis"], "score", {}),
        ("Sigmoid", ["score"], "probability", {}),
    ]
    return _model(nodes, tensors, "features", ["batch", *contract.input_shape], contract)


def curved_model(first: NDArray[Any], second: NDArray[Any], contract: DataContract) -> bytes:
    """Score: a network of one hidden layer with tanh."""
    tensors = {
        "first": np.asarray(first, np.float32),
        "second": np.asarray(second, np.float32)[:, None],
        "axis": np.array([1], np.int64),
    }
    nodes = [
        ("MatMul", ["features", "first"], "inner", {}),
        ("Tanh", ["inner"], "bent", {}),
        ("MatMul", ["bent", "second"], "head", {}),
        ("Squeeze", ["head", "axis"], "score", {}),
        ("Sigmoid", ["score"], "probability", {}),
    ]
    return _model(nodes, tensors, "features", ["batch", *contract.input_shape], contract)


def _model(
    nodes: list[tuple[str, list[str], str, dict[str, Any]]],
    tensors: dict[str, NDArray[Any]],
    name: str,
    shape: list[str | int],
    contract: DataContract,
) -> bytes:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, inputs, [output], **settings) for kind, inputs, output, settings in nodes],
        "made",
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, ["batch"])],
        [onnx.numpy_helper.from_array(array, label) for label, array in tensors.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    inner = canonical_json({"features": name, "scores": "score"}).decode()
    onnx.helper.set_model_props(model, {METADATA_KEY: statement_of(contract).to_json(), INNER_VALUES_KEY: inner})
    return bytes(model.SerializeToString(deterministic=True))


def record_of(
    content: bytes,
    contract: DataContract,
    *,
    local: LocalMap | None = None,
    limits: ConformalLimits | None = None,
    name: str = "made",
    created: str = "2026-11-29T08:00:00+00:00",
    origin: OriginRecord | None = None,
) -> AcceptanceRecord:
    """A record that says little, and says it soundly."""
    figures = Evaluation(values={"auc": 0.9, "sensitivity": 0.9}, intervals={"auc": (0.85, 0.95), "sensitivity": (0.8, 0.95)})
    sha256 = sha256_hex(content)
    return AcceptanceRecord(
        created=created,
        hospital="St Anna",
        wardround="0",
        seed=1,
        model=sha256,
        name=name,
        statement=statement_of(contract),
        cases=CasesRecord(source="made", sha256="1" * 64, cases=100, patients=100, positives=40),
        candidates=(CandidateRecord(name=name, sha256=sha256, role="asked", raw=figures, local=figures),),
        calibration=CalibrationRecord(chosen=local or LocalMap(), losses={"identity": 0.3}),
        threshold=0.5,
        threshold_rule="half",
        conformal=ConformalRecord(
            limits=limits or ConformalLimits(promise=0.9, positive_from=-1.0, negative_to=1.0, positives=40, negatives=60),
            measured=Evaluation(values={}),
        ),
        origin=origin,
    )
