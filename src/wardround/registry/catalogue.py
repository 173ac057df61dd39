"""The registry itself: register a run, list what there is, show one thing, hand out a model whose bits are proved."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from wardround.registry.database import Database, open_database, sqlite_url
from wardround.registry.entries import FileEntry, MetricEntry, ModelEntry, RunEntry, StudyEntry
from wardround.registry.rows import enter, enter_chosen, metric_entry, model_entry, model_row, run_entry, run_row
from wardround.registry.store import ModelStore
from wardround.registry.tables import MetricRow, ModelRow, RunRow, StudyRow
from wardround.study.record.run_record import RunRecord
from wardround.values.canonical import sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.errors import RegistryError, RunError
from wardround.values.home import default_home

DATABASE = "registry.db"
STORE = "models"
WEIGHTS = "safetensors"
"""The kind of file that is the model: its hash is the model's name."""


def open_registry(location: str | Path | None = None, *, store: Path | None = None) -> "Registry":
    """The registry in a folder or a database; made where there is none.

    Parameters
    ----------
    location : str, Path or None
        A folder, made with its parents, or a database's URL, as `postgresql://user@host/name`. None is `default_home()`.
    store : Path or None
        The folder of the models' files. None is `models` in the registry's folder, for a URL in `default_home()`.

    Returns
    -------
    Registry
        Open; the caller closes it, or uses it in a `with`.

    Raises
    ------
    RegistryError
        The folder cannot be made, the database cannot be reached, or it holds something else than a registry.
    """
    if isinstance(location, str) and "://" in location:
        return Registry(open_database(location), ModelStore(store or default_home() / STORE))
    folder = default_home() if location is None else Path(location).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RegistryError(
            f"The registry's folder {folder} cannot be made",
            found=error.strerror or type(error).__name__,
            hint="set WARDROUND_HOME to a folder that you may write",
        ) from error
    return Registry(open_database(sqlite_url(folder / DATABASE)), ModelStore(store or folder / STORE))


class Registry:
    """Studies, runs, models, lineage, figures. Safe to use from several processes; close it, or use it in a `with`."""

    def __init__(self, database: Database, store: ModelStore) -> None:
        self._database, self.store = database, store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def register_run(self, record: RunRecord, files: Mapping[str, Path]) -> RunEntry:
        """Keep a run, its study, its figures and, where it has one, its model.

        files: paths by kind; "safetensors" is needed where the record has a model, and must have the hash it states; "onnx",
        "model_card" and so on are kept with it. Registering the same record again changes nothing; a record that was not
        finished is replaced by a later one of the same run. Raises RegistryError where a finished run of that name differs.
        """
        of_hospital = {entry.personal.sha256 for entry in record.sites.values() if entry.personal is not None}
        private = record.model is not None and record.model.sha256 in of_hospital
        kept = self._keep_files(record.model.sha256, files, private=private) if record.model else ()
        self._database.write(lambda session: enter(session, record, kept))
        return self.run(record.run_id)

    def register_chosen(self, record: RunRecord, site: str, files: Mapping[str, Path]) -> None:
        """Keep the model that a hospital of a registered run keeps; the run's own model is its parent.

        files: as in `register_run`. Raises RegistryError where the weights are not those that the record states."""
        personal = record.sites[site].personal
        if personal is None or personal.sha256 is None or record.model is None:
            raise RegistryError(
                f"{site} keeps no model of its own in run {record.run_id}",
                expected="a run whose study has personal.candidates",
                hint="read the log in that hospital's folder",
            )
        kept = self._keep_files(personal.sha256, files, private=True)
        self._database.write(lambda session: enter_chosen(session, record, personal, kept))

    def studies(self) -> tuple[StudyEntry, ...]:
        """Newest first."""
        rows = select(StudyRow).order_by(StudyRow.first_seen.desc(), StudyRow.hash)
        return self._database.read(lambda db: tuple(StudyEntry(row.hash, row.title, row.first_seen) for row in db.scalars(rows)))

    def runs(self, *, study_hash: str | None = None) -> tuple[RunEntry, ...]:
        """Newest first; of one study where its hash is given."""
        rows = select(RunRow).order_by(RunRow.created.desc(), RunRow.id)
        if study_hash is not None:
            rows = rows.where(RunRow.study_hash == study_hash)
        return self._database.read(lambda session: tuple(run_entry(session, row) for row in session.scalars(rows)))

    def run(self, run_id: str) -> RunEntry:
        return self._database.read(lambda session: run_entry(session, run_row(session, run_id)))

    def record(self, run_id: str) -> RunRecord:
        """The whole record, as it was registered."""
        text = self._database.read(lambda session: run_row(session, run_id).record)
        return RunRecord.from_json(text.encode(), name=f"run {run_id} in the registry")

    def metrics(self, run_id: str) -> tuple[MetricEntry, ...]:
        """Every figure of a run, by model, scope, test set and name."""
        order = (MetricRow.model, MetricRow.scope, MetricRow.test_set, MetricRow.name)
        rows = select(MetricRow).where(MetricRow.run == run_id).order_by(*order)

        def work(session: Session) -> tuple[MetricEntry, ...]:
            run_row(session, run_id)
            return tuple(metric_entry(row) for row in session.scalars(rows))

        return self._database.read(work)

    def models(self) -> tuple[ModelEntry, ...]:
        """By hash."""
        rows = select(ModelRow).order_by(ModelRow.sha256)
        return self._database.read(lambda session: tuple(model_entry(session, row) for row in session.scalars(rows)))

    def model(self, name: str) -> ModelEntry:
        """The model whose hash begins with `name`, or that the run `name` made; RegistryError where none or several fit."""
        return self._database.read(lambda session: model_entry(session, model_row(session, name)))

    def read_model(self, name: str, kind: str = WEIGHTS) -> bytes:
        """A model's file, proved to be what was registered. Raises RegistryError where it is gone or has been changed."""
        model = self.model(name)
        for file in model.files:
            if file.kind == kind:
                return self.store.read(file.sha256, file.suffix)
        kinds = ", ".join(file.kind for file in model.files)
        raise RegistryError(f"The model {model.sha256[:12]} has no file of the kind {kind}", expected=f"one of {kinds}")

    def export(
        self, name: str, destination: Path, kind: str = "onnx", *, overwrite: bool = False, within_hospital: bool = False
    ) -> Path:
        """Copy a model's proved file to `destination`, a new file or a folder; returns the file's path.

        within_hospital: the caller's word that the copy stays in the hospital. RegistryError without it where values of patients
        stand in the file; with it the copy is this user's alone.
        """
        model = self.model(name)
        if model.holds_records and not within_hospital:
            raise RegistryError(
                f"The model {model.sha256[:12]} holds values of single patients, and must never leave the hospital",
                expected="a model that holds no patient, or your word that the copy stays in the hospital",
                hint="for a copy inside the hospital: wardround models export ... --within-hospital",
            )
        data = self.read_model(name, kind)
        suffix = next(file.suffix for file in model.files if file.kind == kind)
        path = destination / f"{model.sha256[:12]}{suffix}" if destination.is_dir() else destination
        if path.exists() and not overwrite and path.read_bytes() != data:
            raise RegistryError(f"{path} is there already and differs", hint="choose another name, or ask to overwrite it")
        try:
            write_atomic(path, data, private=model.holds_records)
        except (OSError, RunError) as error:
            reason = error.found if isinstance(error, RunError) else error.strerror
            raise RegistryError(f"{path} could not be written", found=reason or "", hint="choose another folder") from error
        return path

    def _keep_files(self, expected: str, files: Mapping[str, Path], *, private: bool) -> tuple[FileEntry, ...]:
        """private: of a model that one hospital made of its own patients: for this user alone."""
        data = {kind: _read(kind, path) for kind, path in sorted(files.items())}
        if WEIGHTS not in data:
            raise RegistryError(
                "A run with a model cannot be registered without its weights", expected=f"a file of kind {WEIGHTS}"
            )
        if (sha256 := sha256_hex(data[WEIGHTS])) != expected:
            raise RegistryError(
                f"{files[WEIGHTS]} is not the model that the run record describes",
                expected=f"SHA-256 {expected}",
                found=sha256,
                hint="register the run folder as it was written",
            )
        return tuple(_keep(self.store, kind, content, files[kind], private=private) for kind, content in data.items())


def _read(kind: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RegistryError(f"The {kind} file {path} cannot be read", found=error.strerror or type(error).__name__) from error


def _keep(store: ModelStore, kind: str, data: bytes, path: Path, *, private: bool) -> FileEntry:
    suffix = path.suffix.lower()
    return FileEntry(kind, store.put(data, suffix, private=private), suffix, len(data))
