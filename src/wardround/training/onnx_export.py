"""A trained model as an ONNX file, proved against torch before it is trusted.

The file holds everything between raw pixels (0..1) or raw columns and what the task shows: scaling, network, mirror averaging
and the task's last step. One or more outputs by name, any batch size:

    images "pixels" (batch, channels, height, width) or a table's columns by name (batch,) -> each output (batch,)

`raw_columns` puts the preparation of a table in front of the network. The metadata say what the model is (`ModelStatement`).

torch's TorchScript-based exporter is used: measured with torch 2.13 it takes 1 s where the newer one takes 14 s, needs no
further package, and prints nothing. It is deprecated, hence the upper bound on torch among our requirements.
"""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from wardround.algorithms.personal import Part, PersonalModel
from wardround.study.record.model_statement import INNER_VALUES_KEY, METADATA_KEY, ModelStatement
from wardround.study.sections.network import NetworkSection
from wardround.training.exported_network import Alone, Asking, Mixture, Show, Shown, WithVotes
from wardround.training.images.pixels import rows_of
from wardround.training.inputs import InputShape
from wardround.training.model_tree import load_tree
from wardround.training.networks import build
from wardround.training.raw_columns import with_raw_columns
from wardround.training.threads import PieceThreads
from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError
from wardround.values.randomness import generator
from wardround.values.records import Records
from wardround.values.tree import Tree

OPSET = 17
LARGEST_DIFFERENCE = 1e-4  # of a probability; float32 sums in another order stay well below


@dataclass(frozen=True)
class ExportProof:
    """max_difference: largest |probability by onnxruntime - by torch| over `checked` records; never above LARGEST_DIFFERENCE."""

    max_difference: float
    checked: int
    opset: int


def export_onnx(
    network: NetworkSection,
    inputs: InputShape,
    model: Tree | PersonalModel,
    path: Path,
    *,
    flip_average: bool,
    probe_records: Records | None = None,
    outputs: int = 1,
    shown: Show = torch.sigmoid,
    with_votes: WithVotes | None = None,
    names: tuple[str, ...] = ("probability",),
    statement: ModelStatement | None = None,
    private: bool = False,
) -> ExportProof:
    """Write `path` and prove it on made-up records and on `probe_records`. inputs: what one record of the contract is.
    outputs, shown, names: of the task: numbers for a record, what is shown of them, and what that is called in the file. model:
    of several parts the file holds all, and their weighted sum. with_votes: of the task, for a model that asks its neighbours.
    private: only this user may read the file.

    With its statement the file tells what it is, and a table's file reads the contract's columns by their names.

    Behind a backbone the file holds both networks, and is proved against features as hospitals compute them.

    RunError, with nothing written, when any probability differs by more than LARGEST_DIFFERENCE.
    """
    mirrored = flip_average and inputs.kind == "image"
    single = model if isinstance(model, PersonalModel) else PersonalModel.single(model)
    learned = _learned(network, inputs, single, outputs, with_votes)
    whole: nn.Module | None = None
    described: nn.Module | None = None
    if network.backbone is not None:
        from wardround.training.backbone import Described, pinned_network

        whole, described = pinned_network(network.backbone), Described(network.backbone, inputs)
    with PieceThreads(1):  # the probes are few: a second thread would mostly wait for the first, spinning
        data = _onnx_bytes(Shown(whole, learned, mirrored, shown).eval(), inputs, names)
        proof = _prove(Shown(described, learned, mirrored, shown).eval(), data, _probes(inputs, probe_records))
    if not proof.max_difference <= LARGEST_DIFFERENCE:
        raise RunError(
            "the exported model does not give the same probabilities as the trained one",
            expected=f"a largest difference of at most {LARGEST_DIFFERENCE:g}",
            found=f"{proof.max_difference:g} over {proof.checked} records",
            hint="report this with the network and the versions of torch and onnxruntime; the trained model itself is intact",
        )
    write_atomic(path, data if statement is None else _stated(data, statement), private=private)
    return proof


def _stated(data: bytes, statement: ModelStatement) -> bytes:
    """The proved file with its statement, and of a table with the preparation in front."""
    model = onnx.load_model_from_string(data)
    features, scores = model.graph.input[0].name, _scores(model.graph)
    if statement.data.kind == "table":
        columns = {column.name for column in statement.data.columns}
        names = [_unlike(output.name, columns) for output in model.graph.output]
        whole = with_raw_columns(model, statement.data, names)
        prefix = whole.features.removesuffix(features)
        model, features, scores = whole.model, whole.features, [prefix + score for score in scores]
    inner = canonical_json({"features": features, "scores": scores[0] if len(scores) == 1 else scores}).decode()
    onnx.helper.set_model_props(model, {METADATA_KEY: statement.to_json(), INNER_VALUES_KEY: inner})
    return bytes(model.SerializeToString(deterministic=True))


def _unlike(name: str, columns: set[str]) -> str:
    """The name, made longer until no column has it."""
    while name in columns:
        name += " of the model"
    return name


def _scores(graph: onnx.GraphProto) -> list[str]:
    """Of a single output the value before the last sigmoid, which tells large probabilities apart; the outputs themselves where
    there is none."""
    names = [str(output.name) for output in graph.output]
    last = next((node for node in graph.node if names[0] in node.output), None)
    return [str(last.input[0])] if len(names) == 1 and last is not None and last.op_type == "Sigmoid" else names


def _learned(
    network: NetworkSection, inputs: InputShape, model: PersonalModel, outputs: int, with_votes: WithVotes | None
) -> Mixture:
    """The networks that learned, with the arrays they learned; behind a backbone they read features."""
    reads = inputs if network.backbone is None else InputShape("table", features=network.backbone.features)
    return Mixture([_part(network, reads, part, outputs, with_votes) for part in model.parts], [p.weight for p in model.parts])


def _part(network: NetworkSection, reads: InputShape, part: Part, outputs: int, with_votes: WithVotes | None) -> nn.Module:
    module = build(network, reads, outputs)
    load_tree(module, part.tree)
    if part.neighbours is None:
        return Alone(module)
    assert with_votes is not None
    return Asking(module, part.neighbours, with_votes)


def _onnx_bytes(model: nn.Module, inputs: InputShape, names: tuple[str, ...]) -> bytes:
    name = "pixels" if inputs.kind == "image" else "features"
    plain = names if all(each.isidentifier() for each in names) else tuple(f"output_{position}" for position in range(len(names)))
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Its own deprecation, and traced sizes that are constant here by design (InputShape fixes height and width).
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(2, *inputs.row),),
            buffer,  # type: ignore[arg-type]  # the annotation knows the newer exporter only
            dynamo=False,
            opset_version=OPSET,
            input_names=[name],
            output_names=list(plain),
            dynamic_axes={each: {0: "batch"} for each in (name, *plain)},
        )
    return buffer.getvalue() if plain == names else _renamed(buffer.getvalue(), names)


def _renamed(data: bytes, names: tuple[str, ...]) -> bytes:
    """The file with these names for its outputs, which torch's exporter cannot write: a grade may be called 0."""
    model = onnx.load_model_from_string(data)
    taken = {value for node in model.graph.node for value in (*node.input, *node.output)}
    for output, name in zip(model.graph.output, names, strict=True):
        free = _unlike(name, taken)
        model.graph.node.append(onnx.helper.make_node("Identity", [output.name], [free]))
        output.name = free
    return bytes(model.SerializeToString())


def _probes(inputs: InputShape, probe_records: Records | None) -> list[NDArray[np.float32]]:
    """Batches of several sizes: noise, blanks and ramps for images; normal and large values for tables; then `probe_records`."""
    rng = generator("onnx probes")
    if inputs.kind == "image":
        ramp = np.broadcast_to(np.linspace(0, 1, inputs.width, dtype=np.float32), inputs.row)
        made_up = [rng.random((5, *inputs.row), np.float32), np.stack([ramp, 1 - ramp, ramp**3])]
        made_up += [np.full((1, *inputs.row), level, np.float32) for level in (0.0, 1.0)]
    else:
        made_up = [rng.standard_normal((n, *inputs.row)).astype(np.float32) * size for n, size in ((7, 1.0), (3, 10.0), (1, 0.0))]
    if probe_records is not None:
        rows = rows_of(probe_records, inputs, torch.device("cpu"))
        made_up += [rows.read(torch.arange(start, min(start + 64, len(rows)))).numpy() for start in range(0, len(rows), 64)]
    return [np.ascontiguousarray(batch, np.float32) for batch in made_up if len(batch)]


def _prove(model: nn.Module, data: bytes, probes: list[NDArray[np.float32]]) -> ExportProof:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    largest = 0.0
    with torch.inference_mode():
        for batch in probes:
            answers = model(torch.from_numpy(batch))
            expected = [answers] if isinstance(answers, torch.Tensor) else answers
            answers = session.run(None, {name: batch})
            differences = [np.abs(one - other.numpy()) for one, other in zip(answers, expected, strict=True)]
            largest = max(largest, *(float(each.max()) for each in differences))
    return ExportProof(largest, sum(len(batch) for batch in probes), OPSET)
