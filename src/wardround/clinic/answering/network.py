"""A model's ONNX file, opened so that it tells more than its score: the numbers before its last layer, and the maps before those.

    network input --session--> shown (n, k)            of a yes or no its score before the sigmoid; else what the file shows
                           --> scores (n,)             what a heat map and shares of columns are about: of a yes or no its score
                           --> embedding (n, d)        what the last layer reads; of an averaged mirror image, of both, mean
                           --> maps (n, c, h, w)       what is pooled into the embedding, one of each branch
    maps --ending--> scores (n,)                       the same graph from there on, to ask what a part of the maps is worth

Which values these are is read from the graph: backwards from the score to the last matrix product of each branch, and from what
that reads to the first step that pools. A graph of another shape has no ending.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from wardround.clinic.kinds.registry import kind_of
from wardround.prediction.model_file import cut_to_network
from wardround.study.record.model_statement import INNER_VALUES_KEY, METADATA_KEY, ModelStatement
from wardround.tasks.protocol import Floats
from wardround.values.errors import RunError

_PIECE = 4  # ONNX Runtime keeps the memory of its largest batch: 10 MB a film of 224 pixels
SCORES = "scores that the clinic reads"
"""What is shown leaves the graph under a name that no study would give a class: one may be called `scores`."""
_PRODUCTS = ("Gemm", "MatMul")
_POOLS = ("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax")


def _only(shown: Floats) -> Floats:
    """The one score of a yes or no."""
    return shown[:, 0]


@dataclass(frozen=True)
class Outputs:
    """Of n records. shown (n, k): of a yes or no its score before the sigmoid, else what the file shows. embedding (n, d): empty
    (n, 0) where the graph has none."""

    shown: Floats
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class Ending:
    """From maps to the score. maps: names, one of each branch. mirrored: whether the branch saw the mirror image. pull: see
    `Network`."""

    session: onnxruntime.InferenceSession
    maps: tuple[str, ...]
    mirrored: tuple[bool, ...]
    pull: Callable[[Floats], Floats] = _only

    def scores(self, maps: Sequence[NDArray[np.float32]]) -> Floats:
        """(n,) of maps (n, c, h, w), one array of each branch."""
        fed = dict(zip(self.maps, maps, strict=True))
        shown = np.asarray(self.session.run([SCORES], fed)[0], np.float64)
        return self.pull(shown.reshape(len(shown), -1))


@dataclass(frozen=True)
class Network:
    """statement: what the file says of itself. heads: names of embeddings, one of each branch. ending: None where the graph has
    none that pools once. pull: what of (n, k) that the file shows one question is about, (n,)."""

    statement: ModelStatement
    session: onnxruntime.InferenceSession
    heads: tuple[str, ...]
    ending: Ending | None = None
    pull: Callable[[Floats], Floats] = _only

    def about(self, pull: Callable[[Floats], Floats]) -> "Network":
        """The same network, asked about one part of its answer."""
        return replace(self, pull=pull, ending=None if self.ending is None else replace(self.ending, pull=pull))

    def outputs(self, inputs: NDArray[np.float32]) -> Outputs:
        """Of network inputs (n, *shape). A record's outputs do not depend on the others asked with it, but for rounding."""
        shown, embeddings = [], []
        for piece in self._pieces(inputs):
            first, *heads = self.session.run([SCORES, *self.heads], {self._input: piece})
            shown.append(np.asarray(first, np.float64).reshape(len(piece), -1))
            embeddings.append(np.mean([head.reshape(len(piece), -1) for head in heads], axis=0) if heads else _none(piece))
        if not shown:
            return Outputs(np.zeros((0, 1)), np.zeros((0, 0), np.float32))
        return Outputs(np.concatenate(shown), np.concatenate(embeddings))

    def scores(self, inputs: NDArray[np.float32]) -> Floats:
        """(n,): of a yes or no before the sigmoid, else what `about` chose."""
        runs = ((piece, self.session.run([SCORES], {self._input: piece})[0]) for piece in self._pieces(inputs))
        parts = (self.pull(np.asarray(one, np.float64).reshape(len(piece), -1)) for piece, one in runs)
        return np.concatenate([np.zeros(0), *parts])

    def maps(self, record: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Of one network input: (1, c, h, w) of each branch; none without an ending."""
        if self.ending is None:
            return []
        return list(self.session.run(list(self.ending.maps), {self._input: np.ascontiguousarray(record[None], np.float32)}))

    @property
    def _input(self) -> str:
        return str(self.session.get_inputs()[0].name)

    def _pieces(self, inputs: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        return (np.ascontiguousarray(inputs[start : start + _PIECE], np.float32) for start in range(0, len(inputs), _PIECE))


def open_network(content: bytes, *, threads: int = 1) -> Network:
    """The model in an ONNX file's bytes. RunError where Wardround did not write it, or the clinic does not know its question."""
    try:
        model = onnx.load_model_from_string(content)
        _require_whole(model)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        names = json.loads(metadata[INNER_VALUES_KEY])
        statement = ModelStatement.from_json(metadata[METADATA_KEY], name="the model")
        if kind_of(statement.data.label) is None and statement.threshold is None:
            raise RunError(
                "The model of a yes or no has no threshold",
                expected="a model with a threshold",
                hint="ask it with wardround predict",
            )
        scores = names["scores"]
        shown = [scores] if isinstance(scores, str) else list(scores)
        _require_outputs(statement, shown)
        cut_to_network(model, names["features"], shown, statement.data.input_shape)
        heads = _heads(model.graph, shown)
        _rename_scores(model.graph, shown)
        ending = _ending(model, heads) if statement.data.kind == "image" else None
        for name in (*heads, *(ending.maps if ending else ())):
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        return Network(statement, _session(model, threads), heads, ending)
    except RunError:
        raise
    except Exception as error:  # protobuf, json and ONNX Runtime: their errors share no base but Exception
        raise RunError(
            "The file holds no model that can answer",
            expected="a model.onnx that Wardround wrote",
            found=type(error).__name__,
            hint="name a run folder or the model.onnx in it; or copy it again",
        ) from error


def _require_outputs(statement: ModelStatement, shown: Sequence[str]) -> None:
    """RunError where the file gives another number of outputs than its question has."""
    kind = kind_of(statement.data.label)
    expected = 1 if kind is None else len(kind.task.words.outputs)
    if len(shown) != expected:
        raise RunError(
            "The file gives another number of outputs than its question has",
            expected=f"{expected} of kind = {statement.data.label.kind!r}",
            found=str(len(shown)),
            hint="name a run folder or the model.onnx in it; or copy it again",
        )


def _require_whole(model: onnx.ModelProto) -> None:
    """RunError where numbers of the model lie in another file: a path of this machine, to what nobody signed."""
    tensors = [*model.graph.initializer]
    tensors += [one.t for node in model.graph.node for one in node.attribute if one.type == onnx.AttributeProto.TENSOR]
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors):
        raise RunError(
            "The model keeps its numbers in another file",
            expected="one file with everything in it, as Wardround writes it",
            hint="name a run folder or the model.onnx in it",
        )


def _session(model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _rename_scores(graph: onnx.GraphProto, shown: Sequence[str]) -> None:
    """What is shown leaves the graph under one name, whatever the exporter called it: (batch,) of one, else (batch, k)."""
    shape: list[str | int] = ["batch"]
    if len(shown) == 1:
        graph.node.append(onnx.helper.make_node("Identity", [shown[0]], [SCORES]))
    else:
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 1], np.int64), f"column of {SCORES}"))
        columns = [f"column {position} of {SCORES}" for position in range(len(shown))]
        for one, column in zip(shown, columns, strict=True):
            graph.node.append(onnx.helper.make_node("Reshape", [one, f"column of {SCORES}"], [column]))
        graph.node.append(onnx.helper.make_node("Concat", columns, [SCORES], axis=1))
        shape.append(len(shown))
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info(SCORES, onnx.TensorProto.FLOAT, shape))


def _heads(graph: onnx.GraphProto, shown: Sequence[str]) -> tuple[str, ...]:
    """What the last matrix products before the score read, one of each branch; none where that is the network's own input."""
    makers = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    heads, waiting, seen = [], list(shown), set()
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type in _PRODUCTS or _widens(node):
            heads += [value for value in [_uncast(makers, node.input[0])] if value in makers and value not in constants]
        else:
            waiting += [value for value in node.input if value not in constants]
    return tuple(sorted(set(heads)))


def _uncast(makers: Mapping[str, onnx.NodeProto], name: str) -> str:
    """The value before it was made wider."""
    while (node := makers.get(name)) is not None and _widens(node):
        name = node.input[0]
    return name


def _widens(node: onnx.NodeProto) -> bool:
    """Whether it takes a value to float64, as a model does with what its last layer reads, for distances to its neighbours."""
    return node.op_type == "Cast" and any(one.name == "to" and one.i == onnx.TensorProto.DOUBLE for one in node.attribute)


def _ending(model: onnx.ModelProto, heads: tuple[str, ...]) -> Ending | None:
    """The part behind the pooled maps. None where a branch pools several maps, or none, or shares one with another."""
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    pooled = [_pooled(makers, head) for head in heads]
    maps = tuple(one.pop() for one in pooled if len(one) == 1)
    if not maps or len(set(maps)) != len(heads):
        return None
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    needed, kept = {SCORES}, []
    for node in reversed(graph.node):
        if needed & (set(node.output) - set(maps)):
            needed |= set(node.input)
            kept.append(node)
    del rest.graph.node[:], rest.graph.input[:], rest.graph.output[:]
    rest.graph.node.extend(reversed(kept))
    rest.graph.input.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4) for name in maps)
    rest.graph.output.append(onnx.helper.make_tensor_value_info(SCORES, onnx.TensorProto.FLOAT, None))
    used = {value for node in kept for value in node.input}
    weights = [tensor for tensor in rest.graph.initializer if tensor.name in used]
    del rest.graph.initializer[:]
    rest.graph.initializer.extend(weights)
    return Ending(_session(rest, 1), maps, tuple(_is_mirrored(makers, graph.input[0].name, name) for name in maps))


def _pooled(makers: dict[str, onnx.NodeProto], head: str) -> set[str]:
    """What the first pooling steps before a value read."""
    pooled, waiting, seen = set(), [head], set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in makers:
            continue
        seen.add(name)
        node = makers[name]
        if node.op_type in _POOLS:
            pooled.add(str(node.input[0]))
        else:
            waiting += list(node.input)
    return pooled


def _is_mirrored(makers: dict[str, onnx.NodeProto], network_input: str, name: str) -> bool:
    """Whether the network's input comes to this value through a slice alone: the exporter's way to turn an image round."""
    waiting, seen, readers = [name], set(), set()
    while waiting:
        value = waiting.pop()
        if value in seen or value not in makers:
            continue
        seen.add(value)
        node = makers[value]
        if network_input in node.input:
            readers.add(node.op_type)
        waiting += list(node.input)
    return readers == {"Slice"}


def _none(piece: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.zeros((len(piece), 0), np.float32)
