"""What a finished run leaves behind: the model in two formats, its record, and an entry in the registry."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from safetensors.numpy import save as save_tensors

from wardround.hub.outcome import Outcome
from wardround.plan.evaluated_model import EVALUATED, EvaluatedModel, evaluated_at
from wardround.plan.plan import Plan
from wardround.study.record.model_statement import METADATA_KEY, ModelStatement, statement_of
from wardround.study.record.run_record import EvaluatedRecord, ModelRecord, RunRecord
from wardround.values.canonical import sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.tree import Tree, shapes_of, size_of

if TYPE_CHECKING:
    from wardround.registry.entries import LineageEntry

MODEL, ONNX, RECORD, REPORT, CARD = "model.safetensors", "model.onnx", "record.json", "report.html", "model_card.md"
LEFT_OUT = "left_out.json"
"""What was learnt without each hospital; only where a simulation left hospitals out."""


class Trained(Protocol):
    """A run that has ended: its coordinator, or what its checkpoint holds."""

    @property
    def plan(self) -> Plan: ...

    @property
    def model(self) -> Tree:
        """The whole federated model."""
        ...


def write_artifacts(outcome: Outcome, trained: Trained, folder: Path, *, register: bool) -> RunRecord:
    """Writes model and record, each whole or not at all; writing them again replaces them by the same. Of a study that evaluates
    only there is no new model: the record alone, which says which one was evaluated."""
    if outcome.study.evaluates_only:
        return _write_evaluation(outcome, evaluated_at(folder / EVALUATED), folder, register=register)
    model = trained.model
    statement = statement_of(
        outcome.study, outcome.threshold, output=outcome.task.words.output_of(outcome.threshold), synthetic=outcome.plan.synthetic
    )
    data = model_bytes(model, statement)
    write_atomic(folder / MODEL, data)
    files, difference = {"safetensors": MODEL}, None
    if not outcome.study.keeps_heads:  # without a last layer it answers nothing
        difference = _export(outcome, trained.plan, model, statement, folder / ONNX)
        files["onnx"] = ONNX
    record = written_before(folder / RECORD, sha256_hex(data)) or outcome.record(
        ModelRecord(
            sha256=sha256_hex(data),
            parameters=size_of(shapes_of(model)),
            files=files,
            onnx_max_difference=difference,
            threshold=outcome.threshold,
        )
    )
    write_atomic(folder / RECORD, record.to_json())
    if register:
        _register(record, folder)
    return record


def _write_evaluation(outcome: Outcome, model: EvaluatedModel, folder: Path, *, register: bool) -> RunRecord:
    """The record of a run that evaluated a model. Registered, it is a run without a model: the one that it names is older."""
    before = written_before(folder / RECORD, model.sha256)
    record = before or outcome.record(None, evaluated_record(model, look_up=register))
    write_atomic(folder / RECORD, record.to_json())
    if register:
        _register(record, folder)
    return record


def evaluated_record(model: EvaluatedModel, *, look_up: bool) -> EvaluatedRecord:
    """What a record says of a model that was evaluated. look_up: with its lineage, where this user's registry knows it."""
    lineage = _lineage_of(model.sha256) if look_up else ()
    return EvaluatedRecord(
        content=model.content,
        sha256=model.sha256,
        study_title=model.statement.study_title,
        study_hash=model.statement.study_hash,
        synthetic=model.statement.synthetic,
        runs=tuple(line.run for line in lineage),
        parents=tuple(line.parent for line in lineage if line.parent is not None),
    )


def _lineage_of(model: str) -> tuple["LineageEntry", ...]:
    from wardround.registry import open_registry

    with open_registry() as registry:
        return tuple(line for entry in registry.models() if entry.sha256 == model for line in entry.lineage)


def written_before(path: Path, model: str) -> RunRecord | None:
    """The record of this very model, where the run had ended before: its times stay what they were."""
    if not path.exists():
        return None
    record = RunRecord.from_json(path.read_bytes(), name=str(path))
    judged = record.model or record.evaluated
    return record if record.finished and judged and judged.sha256 == model else None


def model_bytes(model: Tree, statement: ModelStatement) -> bytes:
    """The model as safetensors, with what it says of itself; equal models of equal studies have equal bytes."""
    return save_tensors({name: model[name] for name in sorted(model)}, {METADATA_KEY: statement.to_json()})


def _export(outcome: Outcome, plan: Plan, model: Tree, statement: ModelStatement, path: Path) -> float:
    from wardround.training.onnx_export import export_onnx

    study, task = outcome.study, plan.task
    proof = export_onnx(
        study.learned,
        plan.records,
        model,
        path,
        flip_average=study.evaluation.flip_average,
        outputs=task.outputs,
        shown=task.shown,
        names=task.words.outputs,
        statement=statement,
    )
    return proof.max_difference


def _register(record: RunRecord, folder: Path) -> None:
    from wardround.registry import open_registry

    files = {} if record.model is None else {kind: folder / name for kind, name in record.model.files.items()}
    with open_registry() as registry:
        registry.register_run(record, files)
        for site, entry in record.sites.items():
            if entry.personal is not None and entry.personal.sha256 is not None:
                files = {kind: folder / "sites" / site / name for kind, name in entry.personal.files.items()}
                registry.register_chosen(record, site, files)


def made(folder: Path) -> Sequence[Path]:
    """The artifacts in a run folder, in the order a reader wants them."""
    return [path for name in (REPORT, CARD, ONNX, MODEL, RECORD, LEFT_OUT) if (path := folder / name).exists()]
