"""A linear predictor of prepared features as an ONNX file that answers like any other model: raw columns in, its answers out.

    columns --raw_columns--> features (batch, f) --weights, bias in double--> score --> what is shown

    Probability   1 / (1 + exp(-score))                                 a logistic regression
    Survival      exp(-hazard exp(score)) at each horizon               a Cox regression
    Rate          exp(score), at most the largest count                 a Poisson regression
    Interval      score, and as far below and above, within the range   a linear regression

No torch: the weights of a regression come from sums, and no network was built.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from wardround.study.record.model_statement import INNER_VALUES_KEY, METADATA_KEY, ModelStatement
from wardround.training.raw_columns import with_raw_columns
from wardround.values.canonical import canonical_json

OPSET = 17
FEATURES, SCORE, PROBABILITY = "features", "score", "probability"
LARGEST_SCORE = 50.0
"""A log hazard ratio counts as no larger: exp of it still is a number of a double, and survival is 0 from there on."""


@dataclass(frozen=True)
class Probability:
    """One answer: a probability."""


@dataclass(frozen=True)
class Survival:
    """hazards: of a baseline, summed until each horizon; an answer for each."""

    hazards: tuple[float, ...]


@dataclass(frozen=True)
class Rate:
    """One answer: an expected count. largest: no answer is above it."""

    largest: float


@dataclass(frozen=True)
class Interval:
    """Three answers: a number, and the ends around it. reach: how far they lie. low, high: the range of all answers."""

    reach: float
    low: float
    high: float


Ending = Probability | Survival | Rate | Interval
"""What is shown of a linear score."""
PROBABLE = Probability()


def linear_onnx(
    weights: NDArray[np.float64],
    bias: float,
    statement: ModelStatement,
    *,
    ending: Ending = PROBABLE,
    names: Sequence[str] = (PROBABILITY,),
) -> bytes:
    """The file of a linear model.

    weights: (f,), of the features of `statement.data` in order. ending: what is shown of the score. names: what its answers are
    called, in order."""
    constants = {
        "weights": weights.reshape(-1, 1).astype(np.float64),
        "bias": np.array([bias], np.float64),
        "second": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", [FEATURES], ["precise"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["precise", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Squeeze", ["sum", "second"], ["flat"]),
    ]
    match ending:
        case Probability():
            shown = [PROBABILITY]
            nodes.append(helper.make_node("Cast", ["flat"], [SCORE], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Sigmoid", [SCORE], [PROBABILITY]))
        case Survival(hazards):
            shown, more = _survival(nodes, hazards)
            constants |= more
        case Rate(largest):
            shown, constants["farthest"] = ["rate"], np.array(np.log(largest))
            nodes.append(helper.make_node("Min", ["flat", "farthest"], ["held"]))
            nodes.append(helper.make_node("Exp", ["held"], ["precise rate"]))
            nodes.append(helper.make_node("Cast", ["precise rate"], ["rate"], to=TensorProto.FLOAT))
        case Interval(reach, low, high):
            shown = ["middle", "lower", "upper"]
            constants |= {"low": np.array(low), "high": np.array(high)}
            for name, shift in zip(shown, (0.0, -reach, reach), strict=True):
                constants[f"{name} shift"] = np.array(shift)
                nodes.append(helper.make_node("Add", ["flat", f"{name} shift"], [f"{name} free"]))
                nodes.append(helper.make_node("Clip", [f"{name} free", "low", "high"], [f"precise {name}"]))
                nodes.append(helper.make_node("Cast", [f"precise {name}"], [name], to=TensorProto.FLOAT))
    inputs = [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", len(weights)])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in shown]
    arrays = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "regression", inputs, outputs, arrays)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="wardround")
    columns = {column.name for column in statement.data.columns}
    whole = with_raw_columns(network, statement.data, [name if name not in columns else f"{name} of the model" for name in names])
    prefix = whole.features.removesuffix(FEATURES)
    scores = f"{prefix}{SCORE}" if isinstance(ending, Probability) else [f"{prefix}{name}" for name in shown]
    inner = canonical_json({"features": whole.features, "scores": scores}).decode()
    helper.set_model_props(whole.model, {METADATA_KEY: statement.to_json(), INNER_VALUES_KEY: inner})
    onnx.checker.check_model(whole.model)
    return bytes(whole.model.SerializeToString(deterministic=True))


def _survival(nodes: list[onnx.NodeProto], hazards: Sequence[float]) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """Adds the steps from `flat` to survival at each horizon; their names, and their constants."""
    constants = {"farthest": np.array(LARGEST_SCORE), "nearest": np.array(-LARGEST_SCORE)}
    nodes.append(helper.make_node("Clip", ["flat", "nearest", "farthest"], ["held"]))
    nodes.append(helper.make_node("Exp", ["held"], ["ratio"]))
    shown = []
    for position, hazard in enumerate(hazards, 1):
        constants[f"hazard {position}"] = np.array(-hazard)
        nodes.append(helper.make_node("Mul", ["ratio", f"hazard {position}"], [f"log survival {position}"]))
        nodes.append(helper.make_node("Exp", [f"log survival {position}"], [f"precise {position}"]))
        nodes.append(helper.make_node("Cast", [f"precise {position}"], [f"survival {position}"], to=TensorProto.FLOAT))
        shown.append(f"survival {position}")
    return shown, constants
