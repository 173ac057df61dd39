"""What a finished run leaves behind. A half-written model, or one whose record speaks of another, is worse than none."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from wardround.hub.artifacts import CARD, MODEL, ONNX, RECORD, REPORT, made, model_bytes, write_artifacts
from wardround.hub.coordinator import Coordinator
from wardround.hub.outcome import Outcome
from wardround.hub.run_folder import RunFolder
from wardround.simulation.simulate import site_report
from wardround.study.record.model_statement import METADATA_KEY, ModelStatement, statement_of
from wardround.study.record.run_record import RunRecord
from wardround.study.run_settings import RunSettings
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RunError
from wardround.values.tree import same_bits

from ..federation.tiny_federation import study, ward


@dataclass(frozen=True)
class Finished:
    """A run that has ended, and its folder."""

    outcome: Outcome
    coordinator: Coordinator
    folder: RunFolder

    def write(self) -> RunRecord:
        return write_artifacts(self.outcome, self.coordinator, self.folder.path, register=False)

    def files(self) -> dict[str, bytes]:
        return {name: (self.folder.path / name).read_bytes() for name in (MODEL, ONNX, RECORD)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """Written once."""
    declared = study(rounds=1)
    folder = RunFolder(tmp_path_factory.mktemp("artifacts"))
    plan = folder.begin(declared, RunSettings(), synthetic=True)
    with ward(declared, folder.path) as engine:
        coordinator = Coordinator(declared, engine, folder.path)
        coordinator.run()
        coordinator.close()
    reports = {str(site): site_report(folder, site) for site in coordinator.progress.sites}
    run = Finished(Outcome(declared, plan, coordinator.progress, reports, {}, 0), coordinator, folder)
    run.write()
    yield run
    folder.close()


def test_the_record_speaks_of_the_files_beside_it(finished: Finished) -> None:
    """Whoever is handed a model file finds its record by this hash, and must find no other."""
    files = finished.files()
    record = RunRecord.from_json(files[RECORD])
    assert record.model is not None
    assert record.model.sha256 == sha256_hex(files[MODEL])
    assert set(record.model.files.values()) == {MODEL, ONNX}
    assert record.model.parameters == sum(array.size for array in finished.coordinator.model.values())
    assert record.finished and record.study_hash == finished.outcome.study.hash


def test_the_model_file_holds_the_model_and_says_what_it_is(finished: Finished) -> None:
    """A file that is copied away from its run must still name its study, its threshold, and that its patients are drawn."""
    with safe_open(finished.folder.path / MODEL, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        statement = ModelStatement.from_json(file.metadata()[METADATA_KEY], name=MODEL)
    assert same_bits(arrays, finished.coordinator.model)
    assert (statement.study_hash, statement.threshold) == (finished.outcome.study.hash, finished.outcome.threshold)
    assert statement.synthetic


def test_writing_again_changes_nothing(finished: Finished) -> None:
    """`--resume` on a run that had ended must not give it another time, nor other bytes."""
    before = finished.files()
    finished.write()
    after = finished.files()
    assert after[RECORD] == before[RECORD] and after[MODEL] == before[MODEL]


def test_the_record_of_another_model_is_not_kept(finished: Finished, tmp_path: Path) -> None:
    """It would put one model's figures beside another's weights."""
    folder = RunFolder(tmp_path)
    own = RunRecord.from_json(finished.files()[RECORD]).model_dump(mode="json")
    own["model"]["sha256"], own["finished"] = "e" * 64, "2020-01-01T00:00:00+00:00"
    (tmp_path / RECORD).write_bytes(RunRecord.model_validate(own, strict=False).to_json())
    record = replace(finished, folder=folder).write()
    folder.close()
    assert record.model is not None and record.model.sha256 == sha256_hex((tmp_path / MODEL).read_bytes())
    assert not record.finished.startswith("2020")


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are POSIX")
def test_a_disk_that_refuses_leaves_the_earlier_files_whole(finished: Finished) -> None:
    """A model cut short loads in no program; worse, half of one could."""
    import resource

    before = finished.files()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(RunError, match="could not be written") as error:
            finished.write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.hint
    assert finished.files() == before
    assert not list(finished.folder.path.glob(".*.part"))


def test_equal_models_have_equal_bytes_whatever_order_their_arrays_came_in() -> None:
    """The hash of the file is the model's name in the registry."""
    statement = statement_of(study(), 0.4, output="probability", synthetic=False)
    model = {"b": np.ones(2, np.float32), "a": np.zeros((2, 2), np.float32)}
    data = model_bytes(model, statement)
    assert data == model_bytes(dict(reversed(model.items())), statement)
    assert data != model_bytes({**model, "b": np.array([1, np.nextafter(np.float32(1), np.float32(2))], np.float32)}, statement)
    assert data != model_bytes(model, statement_of(study(), 0.5, output="probability", synthetic=False))


def test_only_files_that_are_there_are_shown(tmp_path: Path) -> None:
    """A reader opens the report first; a path to nothing makes him think that the run failed."""
    assert made(tmp_path) == []
    for name in (RECORD, MODEL, CARD, REPORT):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in made(tmp_path)] == [REPORT, CARD, MODEL, RECORD]
