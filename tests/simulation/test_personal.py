"""Personal models over a whole run: each hospital's choice in the record, its files in its folder, nothing new in the sums."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.evidence.board import render_board
from wardround.evidence.text import reasons_at_home
from wardround.registry import open_registry
from wardround.simulation.run import Run
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.record.run_record import RunRecord
from wardround.tasks.registry import task_of
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RegistryError
from wardround.values.tensor_file import read_tensors

from ..federation.private_studies import private_study
from ..federation.tiny_federation import NAMES, records, study

CANDIDATES = ["own", "federated", "fine_tuned", "recalibrated", "mixed"]


def ran(declared: Study, folder: Path, **options: Any) -> Run:
    hospitals = {name: records(name) for name in NAMES}
    return simulate(declared, hospitals, out=folder / "run", register=False, workers=0, **options)


@pytest.mark.slow
@pytest.mark.parametrize("own", [True, False])
def test_the_record_says_what_each_hospital_keeps_and_why(tmp_path: Path, own: bool) -> None:
    """A hospital joins if its own patients gain: this is where it reads whether they do."""
    run = ran(study(own=own).revised(personal={"candidates": CANDIDATES, "passes": 2}), tmp_path, synthetic=True)
    for name in NAMES:
        site, folder = run.record.sites[name], run.folder / "sites" / name
        kept = site.personal
        assert kept is not None and kept.test is not None and site.own is not None
        assert set(kept.chosen.split(" + ")) <= set(CANDIDATES) and [one.name for one in kept.candidates] == CANDIDATES
        assert sha256_hex((folder / kept.files["safetensors"]).read_bytes()) == kept.sha256
        assert {"own": site.own, "federated": site.federated}.get(kept.chosen, kept.test).value("auc") == kept.test.value("auc")
        assert "records were generated" in (folder / kept.files["card"]).read_text("utf-8")
        assert run.metrics["sites"][name]["choice"]["chosen"] == kept.chosen
        assert run.metrics["sites"][name]["chosen"]["n"] == kept.test.value("n")
    assert RunRecord.from_json((run.folder / "record.json").read_bytes()) == run.record
    json.dumps(run.metrics, allow_nan=False)


@pytest.mark.slow
def test_each_hospitals_model_is_registered_as_a_child_of_the_federated_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds a model must find out whose it is, and which run's: the run itself still names the federated one."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    declared = study().revised(personal={"candidates": ["own", "federated", "mixed"]})
    run = simulate(declared, {name: records(name) for name in NAMES}, out=tmp_path / "run", workers=0)
    assert run.record.model is not None
    with open_registry() as registry:
        assert registry.run(run.record.run_id).model == registry.model(run.record.run_id).sha256 == run.record.model.sha256
        for name, site in run.record.sites.items():
            assert site.personal is not None and site.personal.sha256 is not None
            model = registry.model(site.personal.sha256)
            assert model.lineage[0].parent in (run.record.model.sha256, None)
            assert registry.read_model(model.sha256, "onnx") == (run.folder / "sites" / name / "chosen.onnx").read_bytes()
        assert {entry.model for entry in registry.metrics(run.record.run_id)} >= {f"chosen by {name}" for name in NAMES}


@pytest.mark.slow
def test_the_federated_model_is_the_same_with_and_without(tmp_path: Path) -> None:
    """What a hospital makes for itself must not change what all have together."""
    plain = ran(study(), tmp_path / "plain")
    personal = ran(study().revised(personal={"candidates": ["own", "mixed"]}), tmp_path / "personal")
    assert {name: array.tobytes() for name, array in plain.model.items()} == {
        name: array.tobytes() for name, array in personal.model.items()
    }
    assert plain.record.sites["north"].personal is None and "choice" not in plain.metrics["sites"]["north"]


@pytest.mark.slow
def test_a_private_study_pays_nothing_for_them(tmp_path: Path) -> None:
    """All of it is local: plain training at the hospital, of which nothing leaves."""
    private = private_study("patient-distributed", "fedsgd")
    costs = []
    for folder, candidates in (("plain", []), ("personal", ["own", "federated", "fine_tuned"])):
        run = ran(private.revised(personal={"candidates": candidates}), tmp_path / folder)
        assert run.record.privacy is not None
        costs.append((run.record.privacy.epsilon, run.record.privacy.events))
    kept = run.record.sites["north"].personal
    assert kept is not None and kept.losses.keys() == {"own", "federated", "chosen"}
    assert costs[0] == costs[1]


@pytest.mark.slow
def test_a_run_that_is_resumed_after_the_personal_models_asks_for_them_no_second_time(tmp_path: Path) -> None:
    """A hospital answers once; a coordinator that was killed then must come to its end."""
    declared = study().revised(personal={"candidates": ["own", "mixed"]})
    first = ran(declared, tmp_path)
    again = ran(declared, tmp_path, resume=True)
    assert again.record == first.record


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study whose hospitals all keep a model that asks its neighbours."""
    from wardround.algorithms.personal import Choice
    from wardround.site import personal_models

    monkeypatch.setattr(personal_models, "choose", lambda _: Choice(("neighbours",), "for the test", 8, {}))
    monkeypatch.setattr("wardround.algorithms.personal.neighbours.SHARE_DEVIATION", 1e-6)
    return study().revised(personal={"candidates": ["own", "neighbours"]})


@pytest.mark.slow
def test_what_a_hospital_remembers_stands_in_its_own_files_alone(tmp_path: Path, remembering: Study) -> None:
    """Inner values of patients in a record, a report, JSON or an order would leave with it."""
    run = ran(remembering, tmp_path)
    for name in NAMES:
        folder = run.folder / "sites" / name
        kept, _ = read_tensors(folder / "chosen.safetensors")
        held, allowed = kept["0/neighbours.inner"], {folder / file for file in ("chosen.safetensors", "chosen.onnx")}
        assert run.record.sites[name].personal.holds_records and len(held) == run.record.sites[name].split_images["train"]  # type: ignore[union-attr]
        assert all(path.stat().st_mode & 0o77 == 0 for path in allowed)
        values = {float(value) for value in held.ravel() if value}
        marks = {form.encode() for value in values for form in (repr(value), f"{value:.8g}") if len(form) > 8}
        marks |= {row.tobytes() for row in held if row.any()}
        others = [path for path in run.folder.rglob("*") if path.is_file() and path not in allowed]
        assert len(marks) > 100 and len(others) > 10
        for text in (json.dumps(run.metrics).encode(), *(path.read_bytes() for path in others)):
            assert not [mark for mark in marks if mark in text]
        assert "never leave the hospital" in (folder / "chosen.md").read_text("utf-8")
        assert "must never leave the hospital" in reasons_at_home(run.record, task_of(remembering))[name]
        assert "must never leave the hospital" in render_board(run.record, name)
        assert run.metrics["sites"][name]["choice"]["holds_records"] is True


@pytest.mark.slow
def test_a_model_that_holds_patients_is_not_handed_out_of_the_registry(
    tmp_path: Path, remembering: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command would make a file of patients that looks like any model."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    hospitals = {name: records(name) for name in NAMES}
    run = simulate(remembering, hospitals, out=tmp_path / "run", workers=0)
    kept = run.record.sites["north"].personal
    assert kept is not None and kept.sha256 is not None and run.record.model is not None
    command = CliRunner()
    with open_registry() as registry:
        model, shared = registry.model(kept.sha256), registry.model(run.record.run_id)
        assert model.holds_records and not shared.holds_records
        assert all(registry.store.path(file.sha256, file.suffix).stat().st_mode & 0o77 == 0 for file in model.files)
        with pytest.raises(RegistryError, match="must never leave the hospital"):
            registry.export(kept.sha256, tmp_path / "copy.onnx")
        assert not (tmp_path / "copy.onnx").exists()
        assert registry.export(shared.sha256, tmp_path / "shared.onnx").is_file()
        inside = registry.export(kept.sha256, tmp_path / "copy.onnx", within_hospital=True)
        assert inside.stat().st_mode & 0o77 == 0
    refused = command.invoke(app, ["models", "export", kept.sha256[:12], str(tmp_path / "other.onnx")])
    assert isinstance(refused.exception, RegistryError) and "--within-hospital" in str(refused.exception)
    assert not (tmp_path / "other.onnx").exists()
    shown = command.invoke(app, ["models", "show", kept.sha256[:12]])
    assert "values of single patients: it must never leave the hospital" in shown.output
    assert (
        command.invoke(app, ["models", "export", kept.sha256[:12], str(tmp_path / "o.onnx"), "--within-hospital"]).exit_code == 0
    )
