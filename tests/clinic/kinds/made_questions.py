"""A question of every kind over one table of made patients, with a model of known weights: what a test can check by hand.

The truth follows the columns of `made_cases`, by the law that the kind is made for. The model knows that law, but for a slope and
an offset of its own, as a model of other hospitals would.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.clinic.made_cases import WEIGHTS, made_rows, write_rows
from tests.clinic.made_models import TABLE, statement_of
from wardround.study.contract import DataContract, LabelContract
from wardround.study.record.model_statement import INNER_VALUES_KEY, METADATA_KEY
from wardround.study.sections.task import ClassSection, FindingSection, TaskSection
from wardround.values.canonical import canonical_json

Nodes = list[tuple[str, list[str], str, dict[str, Any]]]
GRADE_CUTS = np.array([1.5, 0.5, -0.5, -1.5])
GRID, HORIZONS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0), (2.0, 5.0)


@dataclass(frozen=True)
class Question:
    """One kind. label: of the contract. outputs: names in the file. weights, biases: of each number before the ending. ending:
    nodes from "linear" (n, j) to "shown" (n, k). drawn: scores -> label columns of the rows."""

    label: LabelContract
    outputs: tuple[str, ...]
    weights: NDArray[np.float64]
    biases: NDArray[np.float64]
    ending: Nodes
    drawn: Callable[[NDArray[np.float64], np.random.Generator], dict[str, list[Any]]]

    @property
    def contract(self) -> DataContract:
        return TABLE.changed(label=self.label.model_dump(mode="json"))

    def model(self, *, slope: float = 1.0, offset: float = 0.0) -> bytes:
        """slope, offset: by which the model's numbers before its last step are off."""
        weight = slope * self.weights[:, None] * WEIGHTS[None]
        tensors = {"weight": weight.astype(np.float32), "bias": (slope * self.biases + offset).astype(np.float32)}
        tensors |= _constants(self.ending)
        nodes: Nodes = [("Gemm", ["features", "weight", "bias"], "linear", {"transB": 1})]
        nodes += [one for one in self.ending if one[0] != "Constant"]
        return model_file(nodes, tensors, self.contract, self.outputs)


def _constants(ending: Nodes) -> dict[str, NDArray[Any]]:
    return {output: settings["value"] for kind, _, output, settings in ending if kind == "Constant"}


def model_file(
    nodes: Nodes, tensors: dict[str, NDArray[Any]], contract: DataContract, outputs: tuple[str, ...], reads: str = "features"
) -> bytes:
    """A file as Wardround writes it, whose outputs are the columns of "shown". reads: the name of the network's input."""
    tensors = {**tensors, **{f"at {position}": np.array(position, np.int64) for position in range(len(outputs))}}
    columns: Nodes = [("Gather", ["shown", f"at {at}"], name, {"axis": 1}) for at, name in enumerate(outputs)]
    nodes = [*nodes, *columns]
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, inputs, [output], **settings) for kind, inputs, output, settings in nodes],
        "made",
        [onnx.helper.make_tensor_value_info(reads, floats, ["batch", *contract.input_shape])],
        [onnx.helper.make_tensor_value_info(name, floats, ["batch"]) for name in outputs],
        [onnx.numpy_helper.from_array(array, label) for label, array in tensors.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    scores = outputs[0] if len(outputs) == 1 else list(outputs)
    inner = canonical_json({"features": reads, "scores": scores}).decode()
    statement = statement_of(contract, None)
    onnx.helper.set_model_props(model, {METADATA_KEY: statement.to_json(), INNER_VALUES_KEY: inner})
    return bytes(model.SerializeToString(deterministic=True))


def write_cases(path: Path, question: Question, count: int, *, seed: int = 0, films: int = 1) -> Path:
    """A table of made patients with their truth, and every twentieth without one where the question allows it."""
    rows, scores = made_rows(count, seed=seed, films=films)
    columns = question.drawn(scores, np.random.default_rng(seed + 1))
    for number, row in enumerate(rows):
        del row["ill"]
        row |= {name: values[number] for name, values in columns.items()}
    return write_rows(path, rows)


def _one_of(chances: NDArray[np.float64], names: str, rng: np.random.Generator) -> list[str]:
    drawn = (chances.cumsum(axis=1) < rng.random((len(chances), 1))).sum(axis=1)
    return [names[min(place, len(names) - 1)] for place in drawn]


def _classes(scores: NDArray[np.float64], rng: np.random.Generator) -> dict[str, list[Any]]:
    logits = np.stack([1.5 * scores, np.zeros_like(scores), -1.5 * scores], axis=1)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return {"kind": _blanks(_one_of(chances, "abc", rng), rng)}


def _grades(scores: NDArray[np.float64], rng: np.random.Generator) -> dict[str, list[Any]]:
    noise = rng.logistic(size=(len(scores), 1))
    grades = (2.0 * scores[:, None] + GRADE_CUTS + noise > 0).sum(axis=1)
    return {"severity": _blanks([str(grade) for grade in grades], rng)}


def _findings(scores: NDArray[np.float64], rng: np.random.Generator) -> dict[str, list[Any]]:
    chances = 1 / (1 + np.exp(-np.stack([1.5 * scores, -1.5 * scores], axis=1)))
    there = (rng.random(chances.shape) < chances).astype(int)
    return {name: _blanks([str(one) for one in there[:, k]], rng) for k, name in enumerate(("cough", "fever"))}


def _number(scores: NDArray[np.float64], rng: np.random.Generator) -> dict[str, list[Any]]:
    days = np.clip(10 + 4 * scores + rng.normal(0, 2, len(scores)), 0, 30)
    return {"days": _blanks([f"{day:.2f}" for day in days], rng)}


def _count(scores: NDArray[np.float64], rng: np.random.Generator) -> dict[str, list[Any]]:
    visits = np.minimum(rng.poisson(np.exp(1.0 + 0.5 * scores)), 30)
    return {"visits": _blanks([str(one) for one in visits], rng)}


def _time(scores: NDArray[np.float64], rng: np.random.Generator) -> dict[str, list[Any]]:
    event, lost = rng.exponential(np.exp(2.0 - scores)), rng.uniform(1, 9, len(scores))
    times = np.minimum(event, lost)
    return {"years": [f"{one:.3f}" for one in times], "died": [str(int(one)) for one in event <= lost]}


def _blanks(words: list[str], rng: np.random.Generator) -> list[str]:
    """One of twenty is not known."""
    return ["?" if rng.random() < 0.05 else word for word in words]


def _label(kind: str, column: str, **task: Any) -> LabelContract:
    blank = {} if kind == "time" else {"blank": ("?",)}
    return LabelContract(kind=kind, name="death" if kind == "time" else column, column=column, task=TaskSection(**blank, **task))


def _named(names: str) -> tuple[ClassSection, ...]:
    return tuple(ClassSection(name=name, values=(name,)) for name in names)


def _constant(name: str, value: Any) -> tuple[str, list[str], str, dict[str, Any]]:
    return ("Constant", [], name, {"value": np.asarray(value, np.float32)})


QUESTIONS = {
    "classes": Question(
        _label("classes", "kind", classes=_named("abc")),
        ("a", "b", "c"),
        np.array([1.5, 0.0, -1.5]),
        np.zeros(3),
        [("Softmax", ["linear"], "shown", {"axis": 1})],
        _classes,
    ),
    "grades": Question(
        _label("grades", "severity", classes=_named("01234")),
        ("0", "1", "2", "3", "4"),
        np.full(4, 2.0),
        GRADE_CUTS,
        [
            ("Sigmoid", ["linear"], "beyond", {}),
            ("Pad", ["beyond", "left", "one"], "before", {}),
            ("Pad", ["beyond", "right", "none"], "after", {}),
            ("Sub", ["before", "after"], "shown", {}),
            ("Constant", [], "left", {"value": np.array([0, 1, 0, 0], np.int64)}),
            ("Constant", [], "right", {"value": np.array([0, 0, 0, 1], np.int64)}),
            _constant("one", 1.0),
            _constant("none", 0.0),
        ],
        _grades,
    ),
    "findings": Question(
        _label(
            "findings",
            "cough",
            findings=(FindingSection(name="cough", column="cough"), FindingSection(name="fever", column="fever")),
        ),
        ("cough", "fever"),
        np.array([1.5, -1.5]),
        np.zeros(2),
        [("Sigmoid", ["linear"], "shown", {})],
        _findings,
    ),
    "number": Question(
        _label("number", "days", range=(0.0, 30.0), unit="days"),
        ("value", "low", "high"),
        np.full(3, 4.0),
        np.array([10.0, 8.0, 12.0]),
        [("Clip", ["linear", "least", "most"], "shown", {}), _constant("least", 0.0), _constant("most", 30.0)],
        _number,
    ),
    "count": Question(
        _label("count", "visits", range=(0.0, 30.0), unit="visits"),
        ("count",),
        np.array([0.5]),
        np.array([1.0]),
        [
            ("Exp", ["linear"], "rate", {}),
            ("Clip", ["rate", "least", "most"], "shown", {}),
            _constant("least", 0.0),
            _constant("most", 30.0),
        ],
        _count,
    ),
    "time": Question(
        _label(
            "time",
            "years",
            event="died",
            grid=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
            horizons=HORIZONS,
            unit="years",
            outside="clip",
        ),
        ("survival at 2 years", "survival at 5 years"),
        np.ones(2),
        np.array([math.log(horizon) - 2.0 for horizon in HORIZONS]),
        [("Exp", ["linear"], "hazard", {}), ("Neg", ["hazard"], "less", {}), ("Exp", ["less"], "shown", {})],
        _time,
    ),
}
KINDS = tuple(QUESTIONS)
