"""Personal models over a whole run: each hospital's choice in the record, its files in its folder, nothing new in the sums."""

import json
from pathlib import Path
from typing import Any

import pytest

from wardround.registry import open_registry
from wardround.simulation.run import Run
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.record.run_record import RunRecord
from wardround.values.canonical import sha256_hex

from ..federation.private_studies import private_study
from ..federation.tiny_federation import NAMES, records, study

CANDIDATES = ["own", "federated", "fine_tuned", "recalibrated", "mixed"]


def ran(declared: Study, folder: Path, **options: Any) -> Run:
    hospitals = {name: records(name) for name in NAMES}
    return simulate(declared, hospitals, out=folder / "run", register=False, workers=0, **options)


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


def test_the_federated_model_is_the_same_with_and_without(tmp_path: Path) -> None:
    """What a hospital makes for itself must not change what all have together."""
    plain = ran(study(), tmp_path / "plain")
    personal = ran(study().revised(personal={"candidates": ["own", "mixed"]}), tmp_path / "personal")
    assert {name: array.tobytes() for name, array in plain.model.items()} == {
        name: array.tobytes() for name, array in personal.model.items()
    }
    assert plain.record.sites["north"].personal is None and "choice" not in plain.metrics["sites"]["north"]


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


def test_a_run_that_is_resumed_after_the_personal_models_asks_for_them_no_second_time(tmp_path: Path) -> None:
    """A hospital answers once; a coordinator that was killed then must come to its end."""
    declared = study().revised(personal={"candidates": ["own", "mixed"]})
    first = ran(declared, tmp_path)
    again = ran(declared, tmp_path, resume=True)
    assert again.record == first.record
