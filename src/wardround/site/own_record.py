"""A study that is over, as one hospital's own record: what `wardround benefit` and this hospital's registry read.

    the site's folder (report.json, outputs, chosen model) --own_record--> record.json, of this hospital alone

A run over a network leaves no figure of a hospital at the hub. Here they are, and stay: the record is this user's alone, and no
other hospital's figure is in it. Its model is the one that this hospital keeps.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardround.plan.plan import CHOSEN, FEDERATED, Plan, own_label
from wardround.plan.pricing import privacy_of
from wardround.site.comparison import paired_differences
from wardround.site.kept_model import kept_in
from wardround.site.personal_models import CHOICE
from wardround.site.store import SiteStore
from wardround.study.declaration import Study
from wardround.study.record.run_record import (
    Evaluation,
    MachineRecord,
    ModelRecord,
    NetworkRecord,
    PairedRecord,
    PersonalRecord,
    RunRecord,
    SiteRecord,
    versions_here,
)
from wardround.study.sections.evaluation import Decision, as_decision
from wardround.study.writing import to_toml
from wardround.tasks.evaluation import evaluation_of
from wardround.tasks.protocol import Task, read_sums
from wardround.tasks.registry import task_of
from wardround.tasks.sums import Sums, counts_of_json
from wardround.values.cores import usable_cores
from wardround.values.durable import write_atomic
from wardround.values.ids import SiteId
from wardround.values.records import SPLITS
from wardround.values.tree import shapes_of, size_of

FILE = "record.json"
START = "start"


def write_own_record(
    site: SiteId, study: Study, store: SiteStore, *, synthetic: bool, agreed_hash: str = "", engine: str = "network"
) -> RunRecord | None:
    """Writes record.json into the site's folder. None where this hospital never opened the study.

    synthetic: whether the records are of no patient. study, agreed_hash: as `statement_of` has them. engine: what moved bytes.
    """
    start = store.read_tree(START)
    if start is None:
        return None
    began = datetime.fromtimestamp((store.folder / f"{START}.safetensors").stat().st_mtime, UTC)
    entry, model = site_record(site, study, store), _kept_model(store)
    record = RunRecord(
        run_id=f"{site}-{(agreed_hash or study.hash)[:12]}",
        created=began.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        study_title=study.question.title,
        study_hash=agreed_hash or study.hash,
        study_toml=to_toml(study),
        seed=study.training.seed,
        engine=engine,
        workers=1,
        synthetic=synthetic,
        versions=versions_here(),
        machine=MachineRecord(cores=usable_cores()),
        network=NetworkRecord(
            name=study.learned.title, parameters=model.parameters if model and agreed_hash else size_of(shapes_of(start))
        ),
        algorithm=study.algorithm.name,
        privacy_mode=study.privacy.mode,
        privacy=privacy_of(Plan(study)),
        summation_mode=study.summation.mode,
        sites={str(site): entry},
        hospitals=tuple(study.sites.names) or (str(site),),
        model=model,
    )
    write_atomic(store.folder / FILE, record.to_json(), private=True)
    return record


def register_own_record(record: RunRecord, folder: Path) -> None:
    """Enters this hospital's record, and the model that it keeps if there is one, into its user's registry: there the clinic
    finds what the study promised. folder: the site's."""
    from wardround.registry import open_registry

    files = {} if record.model is None else {kind: folder / name for kind, name in record.model.files.items()}
    with open_registry() as registry:
        registry.register_run(record, files)


def site_record(site: SiteId, study: Study, store: SiteStore) -> SiteRecord:
    """What the report says of this hospital. Each model's decision is chosen on this hospital's validation patients: the hub's is
    not told."""
    task, report = task_of(study), store.report()
    counts = report["dataset_counts"]["counts"]
    evaluations: dict[str, Any] = report.get("evaluations", {})
    federated, federated_decision = _tested(task, study, evaluations.get(FEDERATED))
    own, own_decision = _tested(task, study, evaluations.get(own_label(site)))
    paired = paired_differences(store.folder, site, task, (own_decision, federated_decision))
    return SiteRecord(
        patients=sum(counts["patients"]),
        images=sum(counts["images"]),
        split_patients=dict(zip(SPLITS, counts["patients"], strict=True)),
        split_images=dict(zip(SPLITS, counts["images"], strict=True)),
        own=own,
        federated=federated,
        personal=_personal(task, report),
        paired={name: PairedRecord(**asdict(one)) for name, one in paired.items()},
        **{name: sum(counts[name]) for name in task.words.counted},
    )


def _tested(task: Task, study: Study, splits: dict[str, Any] | None) -> tuple[Evaluation | None, Decision]:
    """A model on the test patients, and its decision."""
    if splits is None:
        return None, None
    decision = study.evaluation.model_threshold
    if decision is None:
        decision = task.decide(study.evaluation.home_rule, {"validation": _sums(task, splits["validation"])})
    return evaluation_of(task, _sums(task, splits["test"]), decision), decision


def _personal(task: Task, report: dict[str, Any]) -> PersonalRecord | None:
    choice = report.get(CHOICE[0], {}).get(CHOICE[1])
    if choice is None:
        return None
    test = evaluation_of(task, _sums(task, report["evaluations"][CHOSEN]["test"]), as_decision(choice["threshold"]))
    return PersonalRecord.model_validate_json(json.dumps({**choice, "test": test.model_dump()}))


def _sums(task: Task, value: dict[str, Any]) -> Sums:
    return read_sums(task, counts_of_json(value))


def _kept_model(store: SiteStore) -> ModelRecord | None:
    """The personal model; where none was made, the shared network with this hospital's own last layer."""
    report = store.report()
    kept = report.get(CHOICE[0], {}).get(CHOICE[1]) or kept_in(report)
    if kept is None or kept.get("sha256") is None:
        return None
    return ModelRecord.model_validate_json(
        json.dumps({name: kept[name] for name in ("sha256", "parameters", "files", "threshold")})
    )
