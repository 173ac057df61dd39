"""A linear predictor of prepared features as an ONNX file that answers like any other model: raw columns in, a probability out.

    columns --raw_columns--> features (batch, f) --weights, bias in double--> score --logistic function--> probability

No torch: the weights of a regression come from sums, and no network was built.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from wardround.study.record.model_statement import INNER_VALUES_KEY, METADATA_KEY, ModelStatement
from wardround.training.raw_columns import with_raw_columns
from wardround.values.canonical import canonical_json

OPSET = 17
FEATURES, SCORE, PROBABILITY = "features", "score", "probability"


def linear_onnx(weights: NDArray[np.float64], bias: float, statement: ModelStatement) -> bytes:
    """The file of a model that gives one probability a row. weights: (f,), of the features of `statement.data` in order."""
    nodes = [
        helper.make_node("Cast", [FEATURES], ["precise"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["precise", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Squeeze", ["sum", "second"], ["flat"]),
        helper.make_node("Cast", ["flat"], [SCORE], to=TensorProto.FLOAT),
        helper.make_node("Sigmoid", [SCORE], [PROBABILITY]),
    ]
    constants = [
        numpy_helper.from_array(weights.reshape(-1, 1).astype(np.float64), "weights"),
        numpy_helper.from_array(np.array([bias], np.float64), "bias"),
        numpy_helper.from_array(np.array([1], np.int64), "second"),
    ]
    inputs = [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", len(weights)])]
    outputs = [helper.make_tensor_value_info(PROBABILITY, TensorProto.FLOAT, ["batch"])]
    graph = helper.make_graph(nodes, "regression", inputs, outputs, constants)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="wardround")
    columns = {column.name for column in statement.data.columns}
    name = PROBABILITY if PROBABILITY not in columns else f"{PROBABILITY} of the model"
    whole = with_raw_columns(network, statement.data, [name])
    prefix = whole.features.removesuffix(FEATURES)
    inner = canonical_json({"features": whole.features, "scores": f"{prefix}{SCORE}"}).decode()
    helper.set_model_props(whole.model, {METADATA_KEY: statement.to_json(), INNER_VALUES_KEY: inner})
    onnx.checker.check_model(whole.model)
    return bytes(whole.model.SerializeToString(deterministic=True))
