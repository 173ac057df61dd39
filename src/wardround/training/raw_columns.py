"""The preparation of a table inside an ONNX file: named raw columns in, what the network reads out. No torch.

    number "age"   double (batch,)  NaN: missing     --codes, range, (x - center) / scale-->   \\
    category "sex" string (batch,)  "": missing      --code, one-hot or 0 | 0.5 | 1-->          features --network--> outputs

It is `sources.columns` written as standard operators (opset 17, and LabelEncoder of ai.onnx.ml). A graph cannot refuse with
words: where `sources.prepare` refuses a record, the file's answer is NaN. Text is read as `text_key` spells it
or as the contract writes it; a program that has other spellings (other case, accents written otherwise) prepares them first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from wardround.study.cell_codes import (
    ALWAYS_MISSING,
    LARGEST,
    LARGEST_SCALED,
    category_codes,
    is_left_out,
    is_missing,
    left_out_codes,
    missing_codes,
)
from wardround.study.cell_values import Codes, Value, spelled, text_key
from wardround.study.contract import ColumnContract, DataContract

UNKNOWN, MISSING, LEFT_OUT = -1, -2, -3
ML_OPSET = 3


@dataclass
class _Nodes:
    """Nodes and constants under a prefix that no column's name has."""

    prefix: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{self.prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def constant(self, value: Any, dtype: Any) -> str:
        name = f"{self.prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def any_of(self, flags: Iterable[str]) -> str | None:
        """The disjunction; None of nothing."""
        joined: str | None = None
        for flag in flags:
            joined = flag if joined is None else self.add("Or", joined, flag)
        return joined


@dataclass(frozen=True)
class RawColumnsModel:
    """A model with named raw columns. features: the inner value from which the network alone can be cut out."""

    model: onnx.ModelProto
    features: str


def with_raw_columns(network: onnx.ModelProto, contract: DataContract, outputs: Sequence[str]) -> RawColumnsModel:
    """`network` reads prepared features and gives values of a record; the result reads the contract's columns by their names.

    outputs: what the network's outputs are called in it, in their order.
    """
    prefix = _free("wardround/", contract)
    graph = _Nodes(prefix)
    parts: list[str] = []
    refusals: list[str] = []
    for column in contract.columns:
        features, refused = (_number if column.kind == "number" else _coded)(graph, column)
        parts += features
        refusals += refused
    joined = graph.add("Concat", *parts, axis=1)
    inner = compose.add_prefix(network, f"{prefix}network/").graph
    inner_input = inner.input[0].name
    graph.nodes.append(helper.make_node("Identity", [joined], [inner_input]))
    graph.nodes.extend(inner.node)
    refused_any = graph.any_of(refusals)
    nan = graph.constant(np.nan, np.float32)
    for each, name in zip(inner.output, outputs, strict=True):
        last = ("Where", [refused_any, nan, each.name]) if refused_any else ("Identity", [each.name])
        graph.nodes.append(helper.make_node(last[0], last[1], [name]))
    whole = helper.make_graph(
        graph.nodes,
        "prediction",
        [_input(column) for column in contract.columns],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in outputs],
        [*graph.constants, *inner.initializer],
    )
    opsets = [*network.opset_import, helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(whole, opset_imports=opsets, ir_version=network.ir_version, producer_name="wardround")
    onnx.checker.check_model(model)
    return RawColumnsModel(model, inner_input)


def _free(word: str, contract: DataContract) -> str:
    """`word`, made longer until no column's name begins with it."""
    while any(column.name.startswith(word) for column in contract.columns):
        word = f"{word}/"
    return word


def _input(column: ColumnContract) -> onnx.ValueInfoProto:
    kind = TensorProto.DOUBLE if column.kind == "number" else TensorProto.STRING
    return helper.make_tensor_value_info(column.name, kind, ["batch"])


def _equals(graph: _Nodes, value: str, codes: Codes) -> list[str]:
    """Flags for the codes that a float may mean."""
    return [graph.add("Equal", value, graph.constant(number, np.float64)) for number in codes.floats()]


def _number(graph: _Nodes, column: ColumnContract) -> tuple[list[str], list[str]]:
    """Features (batch, 1) and flags (batch,) of what is refused."""
    value, nan = column.name, graph.add("IsNaN", column.name)
    left_out = left_out_codes(column)
    refused = _equals(graph, value, left_out) + ([nan] if ALWAYS_MISSING & left_out.texts.keys() else [])
    missing = graph.any_of([nan, *_equals(graph, value, missing_codes(column))]) or nan
    huge = graph.add("Greater", graph.add("Abs", value), graph.constant(LARGEST, np.float64))
    refused.append(graph.add("And", huge, graph.add("Not", missing)))
    center, scale = (graph.constant(number, np.float64) for number in column.constants)
    usable = graph.add("Where", graph.add("Or", missing, huge), graph.constant(1.0, np.float64), value)
    if column.range is not None:
        low, high = (graph.constant(bound, np.float64) for bound in column.range)
        if column.outside == "clip":
            usable = graph.add("Min", graph.add("Max", usable, low), high)
        else:
            beyond = graph.add("Or", graph.add("Less", value, low), graph.add("Greater", value, high))
            outside = graph.add("And", beyond, graph.add("Not", missing))
            if column.outside == "refuse":
                refused.append(outside)
            else:
                missing = graph.add("Or", missing, outside)
    if column.log:
        usable, refused_too = _logarithm(graph, usable, missing, huge)
        refused.append(refused_too)
    scaled = graph.add("Div", graph.add("Sub", usable, center), scale)
    plain = graph.add("Where", missing, graph.constant(0.0, np.float64), scaled)
    refused.append(graph.add("Greater", graph.add("Abs", plain), graph.constant(LARGEST_SCALED, np.float64)))
    return _with_indicator(graph, column, _as_column(graph, plain), missing, refused)


def _logarithm(graph: _Nodes, usable: str, missing: str, huge: str) -> tuple[str, str]:
    """The logarithm of what is above 0, and the flag of what is not, and is neither missing nor refused already."""
    one = graph.constant(1.0, np.float64)
    not_positive = graph.add("LessOrEqual", usable, graph.constant(0.0, np.float64))
    counted = graph.add("Not", graph.add("Or", missing, huge))
    logarithm = graph.add("Log", graph.add("Where", not_positive, one, usable))
    return logarithm, graph.add("And", not_positive, counted)


def _coded(graph: _Nodes, column: ColumnContract) -> tuple[list[str], list[str]]:
    """Features (batch, 1) of a binary or (batch, k) of a category, and flags (batch,) of what is refused."""
    keys = _spellings(column)
    code = graph.add(
        "LabelEncoder",
        column.name,
        domain="ai.onnx.ml",
        keys_strings=list(keys),
        values_int64s=list(keys.values()),
        default_int64=len(column.categories) if column.other else UNKNOWN,
    )
    missing = graph.add("Equal", code, graph.constant(MISSING, np.int64))
    unusable = graph.add("Less", code, graph.constant(0, np.int64))
    refused = [graph.add("And", unusable, graph.add("Not", missing))]
    if column.kind == "binary":
        number = graph.add("Cast", code, to=TensorProto.FLOAT)
        plain = _as_column(graph, graph.add("Where", missing, graph.constant(0.5, np.float32), number))
    else:
        upright = graph.add("Unsqueeze", code, graph.constant([1], np.int64))
        hot = graph.add("Equal", upright, graph.constant([range(len(column.codes))], np.int64))
        plain = graph.add("Cast", hot, to=TensorProto.FLOAT)
    return _with_indicator(graph, column, plain, missing, refused)


def _spellings(column: ColumnContract) -> dict[str, int]:
    """What each spelling means. A code that leaves the record out goes before a missing one, and that before a category.

    A spelling that a code of another kind claims, such as the text "1" beside the number 1, goes the way of `Codes.position`.
    """
    accepted, missing, left_out = category_codes(column), missing_codes(column), left_out_codes(column)
    keys: dict[str, int] = {}
    for key in _written((*(column.categories or (0, 1)), *column.missing, *column.left_out, *ALWAYS_MISSING)):
        category = accepted.position(key)
        if is_left_out(key, left_out):
            keys[key] = LEFT_OUT
        elif is_missing(key, missing):
            keys[key] = MISSING
        elif category is not None:
            keys[key] = category
    return keys


def _written(values: Sequence[Value]) -> list[str]:
    """Each value as it is written, as `spelled` and `text_key` write it, and in the usual cases."""
    spellings = ((str(value), spelled(value), text_key(spelled(value))) for value in values)
    usual = ((*words, words[1].upper(), words[1].lower(), words[1].capitalize(), words[1].title()) for words in spellings)
    decimals = [f"{value}.0" for value in values if isinstance(value, int)]  # as a table of floats shows a whole number
    return list(dict.fromkeys([*(key for words in usual for key in words), *decimals]))


def _as_column(graph: _Nodes, value: str) -> str:
    return graph.add("Unsqueeze", graph.add("Cast", value, to=TensorProto.FLOAT), graph.constant([1], np.int64))


def _with_indicator(
    graph: _Nodes, column: ColumnContract, plain: str, missing: str, refused: list[str]
) -> tuple[list[str], list[str]]:
    if column.max_missing > 0:
        return [plain, _as_column(graph, missing)], refused
    return [plain], [*refused, missing]
