"""The registry: idempotent, proved content, clear refusals, two processes at once."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable
from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.registry import Registry, default_home, open_registry
from wardround.registry.tables import SCHEMA, Base
from wardround.study.record.run_record import (
    Evaluation,
    MachineRecord,
    ModelRecord,
    NetworkRecord,
    PersonalRecord,
    Pooled,
    RunRecord,
    SiteRecord,
    VersionsRecord,
)
from wardround.values.errors import MissingExtraError, RegistryError

WEIGHTS = b"weights of a model"


def evaluation(auc: float | None) -> Evaluation:
    return Evaluation(values={"auc": auc}, intervals={"auc": None if auc is None else (auc - 0.1, auc)})


def record(run_id: str = "run-1", weights: bytes | None = WEIGHTS, **changes: Any) -> RunRecord:
    site = SiteRecord(patients=3, images=5, positives=3, own=evaluation(0.7), federated=evaluation(0.9))  # type: ignore[call-arg]
    sha256 = hashlib.sha256(weights or b"").hexdigest()
    fields: dict[str, Any] = {
        "run_id": run_id,
        "created": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:05:05+00:00",
        "study_title": "Opacities",
        "study_hash": "a" * 64,
        "study_toml": "title = 'Opacities'",
        "seed": 1,
        "engine": "in_process",
        "workers": 2,
        "synthetic": True,
        "versions": VersionsRecord(wardround="0.1.0", torch="2", numpy="2", python="3.11", platform="Linux"),
        "machine": MachineRecord(cores=2),
        "network": NetworkRecord(name="small_cnn", parameters=10),
        "algorithm": "fedavg",
        "privacy_mode": "none",
        "summation_mode": "plain",
        "sites": {"north": site},
        "pooled": Pooled(federated=evaluation(0.95), own={"north": evaluation(None)}),
        "external": {"official": evaluation(0.8)},
        "cross": {"north": {"north": evaluation(0.7), "south": evaluation(0.6)}},
        "model": ModelRecord(sha256=sha256, parameters=10, files={}, threshold=0.5) if weights else None,
    }
    return RunRecord(**(fields | changes))


def files(folder: Path, weights: bytes = WEIGHTS, **more: bytes) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    paths = {"safetensors": folder / "model.safetensors", **{kind: folder / f"model.{kind}" for kind in more}}
    for path, data in zip(paths.values(), (weights, *more.values()), strict=True):
        path.write_bytes(data)
    return paths


def dump(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "registry.db") as connection:
        lines = list(connection.iterdump())
    connection.close()
    return lines


def test_a_run_is_found_again_with_its_model_figures_and_lineage(tmp_path: Path) -> None:
    """The question a hospital asks years later: where does this model come from, and how good was it."""
    with open_registry(tmp_path / "reg") as registry:
        entry = registry.register_run(record(parent_model="c" * 64), files(tmp_path / "run", onnx=b"graph"))
        assert registry.runs() == (entry,) == registry.runs(study_hash="a" * 64)
        assert registry.runs(study_hash="b" * 64) == ()
        assert (entry.id, entry.study_title, entry.algorithm, entry.rounds) == ("run-1", "Opacities", "fedavg", 0)
        assert registry.record("run-1") == record(parent_model="c" * 64)
        assert [study.title for study in registry.studies()] == ["Opacities"]
        model = registry.model("run-1")
        assert registry.models() == (model,)
        assert model == registry.model(model.sha256[:8]) == registry.model(model.sha256.upper())
        assert model.sha256 == entry.model == hashlib.sha256(WEIGHTS).hexdigest()
        assert [(link.run, link.study_hash, link.parent) for link in model.lineage] == [("run-1", "a" * 64, "c" * 64)]
        assert registry.read_model("run-1") == WEIGHTS
        assert registry.read_model("run-1", "onnx") == b"graph"


def test_every_figure_is_kept_once_with_its_interval(tmp_path: Path) -> None:
    """The cross table repeats the sites' own figures; a list of figures must not."""
    with open_registry(tmp_path / "reg") as registry:
        registry.register_run(record(), files(tmp_path / "run"))
        figures = {(row.model, row.scope, row.test_set): (row.value, row.low, row.high) for row in registry.metrics("run-1")}
    assert figures == {
        ("federated", "pooled", ""): (0.95, 0.95 - 0.1, 0.95),
        ("north", "pooled", ""): (None, None, None),
        ("federated", "site", "north"): (0.9, 0.9 - 0.1, 0.9),
        ("north", "site", "north"): (0.7, 0.7 - 0.1, 0.7),
        ("north", "site", "south"): (0.6, 0.6 - 0.1, 0.6),
        ("federated", "external", "official"): (0.8, 0.8 - 0.1, 0.8),
    }


def test_registering_twice_changes_nothing(tmp_path: Path) -> None:
    """A resumed command registers again; the registry must not grow or fail."""
    with open_registry(tmp_path / "reg") as registry:
        first = registry.register_run(record(), files(tmp_path / "run"))
        before = dump(tmp_path / "reg")
        assert registry.register_run(record(), files(tmp_path / "run")) == first
    assert dump(tmp_path / "reg") == before


def test_an_unfinished_run_gives_way_to_its_later_record(tmp_path: Path) -> None:
    """A run killed and resumed has one entry, the whole one."""
    with open_registry(tmp_path / "reg") as registry:
        assert registry.register_run(record(weights=None, finished=None, pooled=None), {}).model is None
        assert registry.register_run(record(), files(tmp_path / "run")).finished is not None
        assert len(registry.runs()) == 1
        assert any(row.scope == "pooled" for row in registry.metrics("run-1"))


def test_a_finished_run_is_never_replaced_by_another_of_its_name(tmp_path: Path) -> None:
    """Two runs in one folder must not silently become one."""
    with open_registry(tmp_path / "reg") as registry:
        registry.register_run(record(), files(tmp_path / "run"))
        with pytest.raises(RegistryError, match="already has a finished run run-1, and it differs"):
            registry.register_run(record(seed=2), files(tmp_path / "run"))
        assert registry.record("run-1").seed == 1


def test_the_same_bits_from_two_runs_are_one_model_with_two_origins(tmp_path: Path) -> None:
    """In order and in parallel give the same model; the registry shows it as the same."""
    with open_registry(tmp_path / "reg") as registry:
        registry.register_run(record("run-1"), files(tmp_path / "run"))
        registry.register_run(record("run-2"), files(tmp_path / "run"))
        assert [link.run for link in registry.models()[0].lineage] == ["run-1", "run-2"]


def stored(folder: Path) -> Path:
    return next((folder / "models").rglob("*.safetensors"))


def test_a_stored_file_is_named_by_its_content(tmp_path: Path) -> None:
    """The layout is public: other tools may read it."""
    with open_registry(tmp_path / "reg") as registry:
        registry.register_run(record(), files(tmp_path / "run"))
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    assert stored(tmp_path / "reg") == tmp_path / "reg" / "models" / "sha256" / sha256[:2] / f"{sha256}.safetensors"


def test_a_changed_file_is_refused_and_mended_by_registering_again(tmp_path: Path) -> None:
    """A model altered on disk must never reach a patient."""
    with open_registry(tmp_path / "reg") as registry:
        registry.register_run(record(), files(tmp_path / "run"))
        stored(tmp_path / "reg").write_bytes(b"other weights")
        with pytest.raises(RegistryError, match="has been changed since it was registered"):
            registry.read_model("run-1")
        with pytest.raises(RegistryError, match="has been changed"):
            registry.export("run-1", tmp_path / "out.bin", "safetensors")
        assert not (tmp_path / "out.bin").exists()
        registry.register_run(record(), files(tmp_path / "run"))
        assert registry.read_model("run-1") == WEIGHTS


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Somebody tidied the store; the message says what is missing and what helps."""
    with open_registry(tmp_path / "reg") as registry:
        registry.register_run(record(), files(tmp_path / "run"))
        stored(tmp_path / "reg").unlink()
        with pytest.raises(RegistryError, match=r"is not in the store.*restore it"):
            registry.read_model("run-1")


def test_weights_that_are_not_those_of_the_record_are_refused(tmp_path: Path) -> None:
    """Otherwise a report could describe another model than the one that is used."""
    with open_registry(tmp_path / "reg") as registry:
        with pytest.raises(RegistryError, match="is not the model that the run record describes"):
            registry.register_run(record(), files(tmp_path / "run", weights=b"others"))
        with pytest.raises(RegistryError, match="without its weights"):
            registry.register_run(record(), {})
        with pytest.raises(RegistryError, match="cannot be read"):
            registry.register_run(record(), {"safetensors": tmp_path / "nowhere"})
        assert registry.runs() == ()


def test_export_copies_proved_bits_and_overwrites_only_when_asked(tmp_path: Path) -> None:
    """`models export` is how a model reaches a scanner's workstation."""
    with open_registry(tmp_path / "reg") as registry:
        registry.register_run(record(), files(tmp_path / "run", onnx=b"graph"))
        path = registry.export("run-1", tmp_path)
        assert path.name == f"{hashlib.sha256(WEIGHTS).hexdigest()[:12]}.onnx"
        assert registry.export("run-1", path).read_bytes() == b"graph"
        path.write_bytes(b"mine")
        with pytest.raises(RegistryError, match="is there already and differs"):
            registry.export("run-1", path)
        assert registry.export("run-1", path, overwrite=True).read_bytes() == b"graph"
        with pytest.raises(RegistryError, match=r"no file of the kind card.*onnx, safetensors"):
            registry.export("run-1", path, "card")


@pytest.mark.parametrize("name", ["", "zz", "%", "_"])
def test_an_unknown_model_or_run_is_refused(tmp_path: Path, name: str) -> None:
    """A wildcard or an empty name must not pick a model by accident."""
    with open_registry(tmp_path / "reg") as registry:
        registry.register_run(record(), files(tmp_path / "run"))
        with pytest.raises(RegistryError, match="No model has a hash that begins with"):
            registry.model(name)
        for ask in (registry.run, registry.record, registry.metrics):
            with pytest.raises(RegistryError, match="There is no run"):
                ask(name)


@pytest.mark.slow
def test_a_prefix_that_fits_several_models_is_refused(tmp_path: Path) -> None:
    """Never guess which model is meant. With 17 hashes two begin with the same digit."""
    with open_registry(tmp_path / "reg") as registry:
        for k in range(17):
            weights = WEIGHTS + bytes([k])
            registry.register_run(record(f"run-{k}", weights), files(tmp_path / "run", weights))
        firsts = [model.sha256[0] for model in registry.models()]
        with pytest.raises(RegistryError, match="More than one model has a hash that begins with"):
            registry.model(max(firsts, key=firsts.count))


def test_a_registry_survives_closing(tmp_path: Path) -> None:
    """What was registered is on disk."""
    with open_registry(tmp_path / "reg") as registry:
        registry.register_run(record(), files(tmp_path / "run"))
    with open_registry(str(tmp_path / "reg")) as registry:
        assert [run.id for run in registry.runs()] == ["run-1"]


def test_the_default_place_is_wardround_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests and shared machines keep registries apart."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    assert default_home() == tmp_path / "home"
    with open_registry() as registry:
        registry.register_run(record(), files(tmp_path / "run"))
    assert (tmp_path / "home" / "registry.db").is_file()
    monkeypatch.setenv("WARDROUND_HOME", "")
    assert "wardround" in default_home().name


def test_a_url_keeps_the_models_where_it_is_told(tmp_path: Path) -> None:
    """With a database server the files still need a folder."""
    with open_registry(f"sqlite:///{tmp_path / 'any.db'}", store=tmp_path / "store") as registry:
        registry.register_run(record(), files(tmp_path / "run"))
        assert registry.read_model("run-1") == WEIGHTS
    assert list((tmp_path / "store").rglob("*.safetensors"))


def newer(folder: Path) -> None:
    open_registry(folder).close()
    with sqlite3.connect(folder / "registry.db") as connection:
        connection.execute("UPDATE schema_version SET version = ?", (SCHEMA + 1,))
    connection.close()


def foreign(folder: Path) -> None:
    with sqlite3.connect(folder / "registry.db") as connection:
        connection.execute("CREATE TABLE patients (name TEXT)")
    connection.close()


def earlier(folder: Path) -> None:
    open_registry(folder).close()
    connection = sqlite3.connect(folder / "registry.db")
    with connection:
        connection.execute("ALTER TABLE metrics RENAME COLUMN test_set TO place_of_test")
    connection.close()


def cut(folder: Path) -> None:
    open_registry(folder).close()
    os.truncate(folder / "registry.db", 6000)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (earlier, "made by an earlier build .* a table metrics with test_set"),
        (newer, rf"written by a newer version .* schema {SCHEMA + 1}"),
        (foreign, "is a database, but not a registry"),
        (cut, "cannot be used"),
        (lambda folder: (folder / "registry.db").write_bytes(b"no database" * 100), "file is not a database"),
        (lambda folder: (folder / "registry.db").mkdir(), "unable to open database file"),
    ],
)
def test_a_database_that_cannot_be_trusted_is_refused_untouched(tmp_path: Path, spoil: Any, message: str) -> None:
    """Fail closed: never write into something we do not understand."""
    spoil(tmp_path)
    path = tmp_path / "registry.db"
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(RegistryError, match=message):
        open_registry(tmp_path)
    assert before is None or path.read_bytes() == before


def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    """A typing error in WARDROUND_HOME must not end in a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="cannot be made"):
        open_registry(tmp_path / "file" / "reg")


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    """A shared installation may be read-only to the user."""
    tmp_path.chmod(0o500)
    with pytest.raises(RegistryError, match=r"Permission denied|unable to open|readonly"):
        open_registry(tmp_path)


def test_a_store_that_cannot_be_written_leaves_no_run_behind(tmp_path: Path) -> None:
    """A model on the list whose file was never kept would be worse than none."""
    (tmp_path / "file").write_text("")
    with open_registry(tmp_path / "reg", store=tmp_path / "file") as registry:
        with pytest.raises(RegistryError, match="model store"):
            registry.register_run(record(), files(tmp_path / "run"))
        assert registry.runs() == ()


@pytest.mark.parametrize("url", ["mysql://u@h/d", "nonsense://h", "://"])
def test_an_address_we_do_not_serve_is_refused(url: str) -> None:
    """The message names what can be used instead; a password in it is not repeated."""
    with pytest.raises((RegistryError, MissingExtraError)):
        open_registry(url)


def test_the_tables_are_portable_to_postgresql() -> None:
    """A URL switches to PostgreSQL; types that only SQLite has would break that."""
    dialect = postgresql.dialect()
    text = "\n".join(str(CreateTable(table).compile(dialect=dialect)) for table in Base.metadata.sorted_tables)
    assert text.count("CREATE TABLE") == 7
    assert "VARCHAR(64)" in text


def register_many(folder: str, run_folder: str, first: int) -> None:
    with open_registry(folder) as registry:
        for k in range(first, first + 6):
            registry.register_run(record(f"run-{k}"), {"safetensors": Path(run_folder) / "model.safetensors"})


@pytest.mark.slow
def test_two_processes_may_register_at_once(tmp_path: Path) -> None:
    """Two runs that end together, into a registry that did not exist: none is lost, none fails."""
    files(tmp_path / "run")
    starts = (0, 3)  # runs 3, 4 and 5 are registered by both
    places = (str(tmp_path / "reg"), str(tmp_path / "run"))
    workers = [subprocess.Popen([sys.executable, __file__, *places, str(k)], stderr=subprocess.PIPE) for k in starts]
    assert [(worker.communicate(timeout=60)[1], worker.returncode) for worker in workers] == [(b"", 0), (b"", 0)]
    with open_registry(tmp_path / "reg") as registry:
        assert {run.id for run in registry.runs()} == {f"run-{k}" for k in range(9)}
        assert len(registry.models()[0].lineage) == 9


def test_the_registry_is_a_registry(tmp_path: Path) -> None:
    """The public names stay importable from the room."""
    with open_registry(tmp_path) as registry:
        assert isinstance(registry, Registry)
        assert registry.store.folder == tmp_path / "models"


if __name__ == "__main__":
    register_many(sys.argv[1], sys.argv[2], int(sys.argv[3]))


def test_a_hospitals_own_model_that_holds_patients_is_known_and_is_this_users_alone(tmp_path: Path) -> None:
    """At a hospital of a hub the kept model is the run's own; its copy must be no easier to read or to hand out."""
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    kept = PersonalRecord(
        chosen="neighbours", reason="", few=True, patients=3, candidates=(), holds_records=True, parameters=10, sha256=sha256
    )
    site = SiteRecord(patients=3, images=5, positives=3, personal=kept)  # type: ignore[call-arg]
    with open_registry(tmp_path / "home") as registry:
        entry = registry.register_run(record(sites={"north": site}, cross={}), files(tmp_path / "run"))
        other = registry.register_run(record("run-2", b"others"), files(tmp_path / "run-2", b"others"))
        model = registry.model(entry.id)
        assert model.holds_records and not registry.model(other.id).holds_records
        modes = [
            registry.store.path(file.sha256, file.suffix).stat().st_mode & 0o77
            for one in (model, registry.model(other.id))
            for file in one.files
        ]
        assert modes[0] == 0 and modes[1] == 0o66 & ~umask()
        with pytest.raises(RegistryError, match="must never leave the hospital"):
            registry.export(entry.id, tmp_path / "copy", kind="safetensors")
        assert registry.export(entry.id, tmp_path / "copy", kind="safetensors", within_hospital=True).read_bytes() == WEIGHTS
    listed = CliRunner().invoke(app, ["models", "list", "--registry", str(tmp_path / "home")], env={"COLUMNS": "200"}).output
    assert ["patients in the model" in line for line in listed.splitlines() if "Opacities" in line].count(True) == 1


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
