"""Rows in and rows out: how a run record enters the tables, and how rows become the values the registry answers.

Every function works inside the transaction of the session it is given.
"""

import json

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from wardround.registry.entries import FileEntry, LineageEntry, MetricEntry, ModelEntry, RunEntry
from wardround.registry.figures import figures_of
from wardround.registry.tables import FileRow, LineageRow, MetricRow, ModelRow, RunRow, StudyRow
from wardround.study.record.run_record import ModelRecord, PersonalRecord, RunRecord
from wardround.study.sections.evaluation import Decision
from wardround.values.errors import RegistryError


def run_row(session: Session, run_id: str) -> RunRow:
    row = session.get(RunRow, run_id)
    if row is None:
        raise RegistryError(f"There is no run {run_id} in the registry", hint="list the runs to see their names")
    return row


def model_row(session: Session, name: str) -> ModelRow:
    of_run = _own_model_of(session, name)
    fits = ModelRow.sha256 == of_run if of_run else ModelRow.sha256.startswith(name.lower(), autoescape=True)
    rows = session.scalars(select(ModelRow).where(fits).order_by(ModelRow.sha256).limit(3)).all() if name else []
    if len(rows) != 1:
        raise RegistryError(
            f"{'More than one model has' if rows else 'No model has'} a hash that begins with {name or 'nothing'}",
            expected="a run's name, or enough of a model's hash to tell it from the others",
            found=", ".join(row.sha256[:16] for row in rows),
            hint="list the models to see their hashes",
        )
    return rows[0]


def enter(session: Session, record: RunRecord, files: tuple[FileEntry, ...]) -> None:
    """Insert what is not there yet. Raises RegistryError where a finished run of that name has another record."""
    text = record.to_json().decode()
    registered = session.get(RunRow, record.run_id)
    if registered is not None and registered.record != text:
        if registered.finished is not None:
            raise RegistryError(
                f"The registry already has a finished run {record.run_id}, and it differs",
                hint="give one of the two runs another name",
            )
        _forget(session, registered)
        registered = None
    if registered is None:
        _enter_run(session, record, text)
    if record.model is not None:
        _enter_model(session, record, record.model, files)


def _forget(session: Session, run: RunRow) -> None:
    """Make room for a later record of an unfinished run; its model, if any, stays."""
    session.execute(delete(MetricRow).where(MetricRow.run == run.id))
    session.execute(delete(LineageRow).where(LineageRow.run == run.id))
    session.delete(run)
    session.flush()


def _enter_run(session: Session, record: RunRecord, text: str) -> None:
    if session.get(StudyRow, record.study_hash) is None:
        title, toml = record.study_title, record.study_toml
        session.add(StudyRow(hash=record.study_hash, title=title, toml=toml, first_seen=record.created))
        session.flush()
    row = RunRow(
        id=record.run_id,
        study_hash=record.study_hash,
        created=record.created,
        finished=record.finished,
        engine=record.engine,
        algorithm=record.algorithm,
        network=record.network.name,
        privacy_mode=record.privacy_mode,
        synthetic=record.synthetic,
        rounds=len(record.rounds),
        record=text,
    )
    session.add(row)
    session.flush()
    session.add_all(MetricRow(run=record.run_id, **vars_of) for vars_of in figures_of(record))


def enter_chosen(session: Session, record: RunRecord, personal: PersonalRecord, files: tuple[FileEntry, ...]) -> None:
    """Insert what a hospital keeps, as a child of the run's model. Where it is that very model there is nothing to insert."""
    parent = record.model.sha256 if record.model else None
    if personal.sha256 is None or personal.sha256 == parent:
        return
    row = ModelRow(
        sha256=personal.sha256, parameters=personal.parameters, threshold=_one(personal.threshold), synthetic=record.synthetic
    )
    _enter_row(session, row, files)
    _enter_lineage(session, record, personal.sha256, parent)


def _enter_model(session: Session, record: RunRecord, model: ModelRecord, files: tuple[FileEntry, ...]) -> None:
    row = ModelRow(sha256=model.sha256, parameters=model.parameters, threshold=_one(model.threshold), synthetic=record.synthetic)
    _enter_row(session, row, files)
    _enter_lineage(session, record, model.sha256, record.parent_model)


def _one(decision: Decision) -> float | None:
    """What the column holds: a single threshold. Those of several findings stand in the record of the run."""
    return None if isinstance(decision, tuple) else decision


def _enter_row(session: Session, row: ModelRow, files: tuple[FileEntry, ...]) -> None:
    sha256 = row.sha256
    if session.get(ModelRow, sha256) is None:
        session.add(row)
        session.flush()
    for file in files:
        if session.get(FileRow, (sha256, file.kind)) is None:
            session.add(FileRow(model=sha256, kind=file.kind, sha256=file.sha256, suffix=file.suffix, size=file.size))


def _enter_lineage(session: Session, record: RunRecord, sha256: str, parent: str | None) -> None:
    if session.get(LineageRow, (sha256, record.run_id)) is None:
        session.add(LineageRow(model=sha256, run=record.run_id, study_hash=record.study_hash, parent=parent))
        session.flush()


def _own_model_of(session: Session, run: str) -> str | None:
    """The hash of the model that a run made: of its models the one that is no child of another."""
    siblings = select(LineageRow.model).where(LineageRow.run == run)
    no_child = LineageRow.parent.is_(None) | LineageRow.parent.not_in(siblings)
    return session.scalar(select(LineageRow.model).where(LineageRow.run == run, no_child))


def run_entry(session: Session, row: RunRow) -> RunEntry:
    title = session.scalar(select(StudyRow.title).where(StudyRow.hash == row.study_hash))
    model = _own_model_of(session, row.id)
    return RunEntry(
        id=row.id,
        study_hash=row.study_hash,
        study_title=title or "",
        created=row.created,
        finished=row.finished,
        engine=row.engine,
        algorithm=row.algorithm,
        network=row.network,
        privacy_mode=row.privacy_mode,
        synthetic=row.synthetic,
        rounds=row.rounds,
        model=model,
    )


def model_entry(session: Session, row: ModelRow) -> ModelEntry:
    files = session.scalars(select(FileRow).where(FileRow.model == row.sha256).order_by(FileRow.kind))
    lineage = session.scalars(select(LineageRow).where(LineageRow.model == row.sha256).order_by(LineageRow.run)).all()
    return ModelEntry(
        sha256=row.sha256,
        parameters=row.parameters,
        threshold=row.threshold,
        synthetic=row.synthetic,
        files=tuple(FileEntry(file.kind, file.sha256, file.suffix, file.size) for file in files),
        lineage=tuple(LineageEntry(link.model, link.run, link.study_hash, link.parent) for link in lineage),
        holds_records=_holds_records(session, row.sha256),
    )


def _holds_records(session: Session, sha256: str) -> bool:
    """Whether a run's record says so of the model that one of its hospitals keeps."""
    made_by = select(RunRow.record).join(LineageRow, LineageRow.run == RunRow.id).where(LineageRow.model == sha256)
    kept = (entry.get("personal") for text in session.scalars(made_by) for entry in json.loads(text)["sites"].values())
    return any(one is not None and one.get("sha256") == sha256 and one.get("holds_records") is True for one in kept)


def metric_entry(row: MetricRow) -> MetricEntry:
    return MetricEntry(row.run, row.model, row.scope, row.test_set, row.name, row.value, row.low, row.high)
