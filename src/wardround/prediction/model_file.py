"""A model that can answer: found in a run folder, by its name in the registry, or in an ONNX file, and asked by ONNX Runtime.

    model.onnx --metadata--> ModelStatement
               --cut from the network's own input to its scores--> session

A single score is taken before its sigmoid, since probabilities in float32 are all 1 from a score of 17 on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from wardround.study.record.model_statement import INNER_VALUES_KEY, METADATA_KEY, ModelStatement
from wardround.values.errors import RegistryError, RunError

FILE = "model.onnx"
OF_ONE_HOSPITAL = ("chosen.onnx", "federated.onnx")
"""What a hospital keeps for itself, in its own folder: its personal model, else the shared network with its own last layer."""
_PIECE = 64  # records answered at once, so that no batch of large images fills the memory


@dataclass(frozen=True)
class AnsweringModel:
    """statement: what the file says of itself. outputs: how many values it gives for a record."""

    statement: ModelStatement
    session: onnxruntime.InferenceSession

    @property
    def outputs(self) -> int:
        return len(self.session.get_outputs())

    def scores(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of n network inputs: (n,), of a single output before its sigmoid, or (n, outputs)."""
        name = self.session.get_inputs()[0].name
        pieces = (inputs[start : start + _PIECE] for start in range(0, len(inputs), _PIECE))
        if self.outputs == 1:
            return np.concatenate([np.zeros(0), *(self.session.run(None, {name: piece})[0] for piece in pieces)])
        rows = (np.stack(self.session.run(None, {name: piece}), axis=1) for piece in pieces)
        return np.concatenate([np.zeros((0, self.outputs)), *rows])


def load_model(model: str | Path, registry: str | Path | None = None) -> AnsweringModel:
    """The model at a path, or of a name in the registry; RunError or RegistryError where there is none that can answer."""
    return answering(*model_bytes(model, registry))


def model_bytes(model: str | Path, registry: str | Path | None = None) -> tuple[bytes, str]:
    """The ONNX file at a path, or of a name in the registry, and what to call it in errors. RunError or RegistryError where there
    is none; whether a model is in it is not looked at."""
    path = Path(model)
    if path.is_dir():
        there = next((path / name for name in (FILE, *OF_ONE_HOSPITAL) if (path / name).is_file()), None)
        if there is None and (path / "model.safetensors").is_file():
            raise RunError(
                f"{path} holds the part of a network that hospitals share, and no last layer that answers",
                expected=FILE,
                hint="ask a hospital's own model: sites/NAME/federated.onnx in the run folder of a simulation",
            )
        if there is None:
            hint = "finish it with the same command and --resume, or check the path"
            raise RunError(f"{path} holds no finished run", expected=FILE, hint=hint)
        return _content(there), str(there)
    if path.exists():
        return _content(path), str(path)
    return _registered(str(model), registry), f"the model {model}"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read", found=error.strerror or "", hint="check the path") from error


def _registered(name: str, registry: str | Path | None) -> bytes:
    from wardround.registry import open_registry

    try:
        with open_registry(registry) as opened:
            return opened.read_model(name, "onnx")
    except RegistryError as error:
        raise RegistryError(
            f"There is no file or folder {name}, and no model of that name: {error.what}",
            expected=error.expected,
            found=error.found,
            hint="name a run folder, a model.onnx, or a model of: wardround models list",
        ) from error


def answering(content: bytes, name: str) -> AnsweringModel:
    """The model in an ONNX file's bytes; RunError where they are no model, or none that Wardround wrote."""
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own error, which has no typed home
        raise RunError(f"{name} is not an ONNX model", hint="name a run folder or the model.onnx in it") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if METADATA_KEY not in metadata or INNER_VALUES_KEY not in metadata:
        raise RunError(
            f"{name} does not say what goes into it",
            expected="a model.onnx that Wardround wrote, with its statement in the metadata",
            hint="name the run folder of a run of this version, or run the study again",
        )
    statement = ModelStatement.from_json(metadata[METADATA_KEY], name=name)
    return AnsweringModel(statement, _session(model, metadata[INNER_VALUES_KEY], statement, name))


def _session(model: onnx.ModelProto, inner: str, statement: ModelStatement, name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        names = json.loads(inner)
        scores = names["scores"]
        cut_to_network(model, names["features"], [scores] if isinstance(scores, str) else scores, statement.data.input_shape)
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base but Exception
        raise RunError(f"{name} is damaged", found=type(error).__name__, hint="copy it again from the run folder") from error


def cut_to_network(model: onnx.ModelProto, features: str, scores: Sequence[str], input_shape: tuple[int, ...]) -> None:
    """Leave of the graph what leads from `features` to `scores`, as its only input and outputs."""
    graph, needed, nodes = model.graph, set(scores), []
    for node in reversed(graph.node):  # nodes stand in the order in which they can be computed
        if needed & set(node.output) and features not in node.output:
            needed |= set(node.input)
            nodes.append(node)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(nodes)]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(kept)
    graph.input.append(onnx.helper.make_tensor_value_info(features, onnx.TensorProto.FLOAT, ["batch", *input_shape]))
    graph.output.extend(onnx.helper.make_tensor_value_info(score, onnx.TensorProto.FLOAT, ["batch"]) for score in scores)
