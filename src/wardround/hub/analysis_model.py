"""The model of an analysis that is one: a fitted regression, which answers, is registered and is served as any other model.

    result --analysis.registry--> FittedModel --> model.safetensors, model.onnx, record.json --> the registry

A regression that says nothing of single records (hospitals' own intercepts, a product of columns, an offset) writes nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save as save_tensors

from wardround.algorithms.fedsgd import STATEMENT as NOISED_STEPS
from wardround.analysis.fitted_model import FittedModel
from wardround.analysis.registry import model_of
from wardround.analysis.result import Result
from wardround.hub.artifacts import MODEL, ONNX, RECORD, written_before
from wardround.hub.run_folder import RunPlan
from wardround.study.declaration import Study
from wardround.study.record.model_statement import METADATA_KEY, ModelStatement, statement_of
from wardround.study.record.privacy_record import PrivacyRecord
from wardround.study.record.run_record import MachineRecord, ModelRecord, NetworkRecord, RunRecord, versions_here
from wardround.study.writing import to_toml
from wardround.tasks.registry import task_of_label
from wardround.values.canonical import sha256_hex
from wardround.values.cores import usable_cores
from wardround.values.durable import write_atomic

if TYPE_CHECKING:
    from wardround.training.linear_export import Ending

_NAMES = {
    "binomial": "logistic regression",
    "cox": "Cox regression",
    "gaussian": "linear regression",
    "poisson": "Poisson regression",
    "negative_binomial": "negative binomial regression",
}
HALF = 0.5
"""At and above it the answer is a yes, until a hospital that accepts the model sets its own."""


@dataclass(frozen=True)
class EndedAnalysis:
    """An analysis that has come to its end. study: as it was declared. sums: how many it took. sites: their names. engine,
    workers and privacy: as in a run's record."""

    study: Study
    plan: RunPlan
    result: Result
    sums: int
    sites: tuple[str, ...]
    engine: str
    workers: int
    privacy: PrivacyRecord | None = None


def write_fitted_model(ended: EndedAnalysis, folder: Path, *, register: bool) -> RunRecord | None:
    """Writes model and record into the run's folder, each whole or not at all; writing them again changes nothing. None, with
    nothing written, for an analysis that is no model. register: whether they enter this user's registry."""
    model = model_of(ended.study, ended.result, ended.sums)
    if model is None:
        return None
    from wardround.training.linear_export import linear_onnx

    ending = _ending(model)
    task = task_of_label(model.data.label)
    threshold = HALF if task.words.decision is not None else None
    output = task.words.output_of(threshold)
    stated = statement_of(ended.study, threshold, output=output, synthetic=ended.plan.synthetic).changed(
        data=model.data.model_dump(mode="json")
    )
    data = _tensors(model, stated)
    write_atomic(folder / MODEL, data)
    names = task.words.outputs
    write_atomic(folder / ONNX, linear_onnx(model.weights, model.bias, stated, ending=ending, names=names))
    record = written_before(folder / RECORD, sha256_hex(data)) or _record(ended, model, sha256_hex(data), threshold)
    write_atomic(folder / RECORD, record.to_json())
    if register:
        from wardround.registry import open_registry

        with open_registry() as registry:
            registry.register_run(record, {"safetensors": folder / MODEL, "onnx": folder / ONNX})
    return record


def _ending(model: FittedModel) -> "Ending":
    """What the file shows of the linear score."""
    from wardround.training.linear_export import Interval, Probability, Rate, Survival

    low, high = model.data.label.asked.range or (0.0, 1.0)
    match model.data.label.kind:
        case "time":
            return Survival(model.hazards)
        case "count":
            return Rate(high)
        case "number":
            return Interval(model.reach, low, high)
        case _:
            return Probability()


def _tensors(model: FittedModel, statement: ModelStatement) -> bytes:
    """The model's numbers in 64 bits: in 32 its odds ratios would not be those of the tables."""
    arrays = {"bias": np.array([model.bias]), "weights": model.weights}
    if model.hazards:
        arrays["hazards"] = np.array(model.hazards)
    if model.reach:
        arrays["reach"] = np.array([model.reach])
    return save_tensors(arrays, {METADATA_KEY: statement.to_json()})


def _record(ended: EndedAnalysis, model: FittedModel, sha256: str, threshold: float | None) -> RunRecord:
    study = ended.study
    return RunRecord(
        run_id=ended.plan.run_id,
        created=ended.plan.created,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        study_title=study.question.title,
        study_hash=study.hash,
        study_toml=to_toml(study),
        seed=study.training.seed,
        engine=ended.engine,
        workers=ended.workers,
        synthetic=ended.plan.synthetic,
        versions=versions_here(),
        machine=MachineRecord(cores=usable_cores()),
        network=NetworkRecord(name=_NAMES[model.record.family], parameters=model.numbers),
        algorithm="newton" if ended.privacy is None else NOISED_STEPS.name,
        privacy_mode=study.privacy.mode,
        privacy=ended.privacy,
        summation_mode=study.summation.mode,
        hospitals=ended.sites,
        model=ModelRecord(
            sha256=sha256, parameters=model.numbers, files={"safetensors": MODEL, "onnx": ONNX}, threshold=threshold
        ),
        fit=model.record,
    )
