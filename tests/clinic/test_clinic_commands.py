"""The commands of a clinic, from nothing to a model in service and back, as a person types them."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.values.errors import RunError, StudyError

from .made_cases import WEIGHTS, made_rows, write_rows
from .made_models import linear_model

RUN = CliRunner()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    (tmp_path / "model.onnx").write_bytes(linear_model(WEIGHTS, 0.0))
    write_rows(tmp_path / "cases.csv", made_rows(400, slope=2.0)[0])
    return tmp_path


def run(*words: object) -> str:
    result = RUN.invoke(app, ["clinic", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_from_nothing_to_service_and_back(home: Path) -> None:
    """What docs/clinic.md says in commands."""
    assert "clinic accept" in run("init", "--hospital", "St Anna")
    text = run("accept", home / "model.onnx", "--data", home / "cases.csv", "--page", home / "page.html")
    assert (
        "clinic activate" in text.splitlines()[-1]
        and "items are to be filled in" in text
        and (home / "page.html").read_text("utf-8").startswith("<!doctype html>")
    )
    record = json.loads(run("accept", home / "model.onnx", "--data", home / "cases.csv", "--json"))
    with pytest.raises(RunError, match="model card"):
        run("activate", record["id"], "--by", "Dr Li")
    card = ClinicPlace.at().cards / f"{record['model']}.toml"
    card.write_text(card.read_text("utf-8").replace('= ""', '= "said"'), "utf-8")
    assert record["id"] in run("activate", record["id"][:8], "--by", "Dr Li")
    assert "no model" in run("rollback", "--by", "Dr Li", "--reason", "a trial")
    assert record["id"] in run("shadow", record["id"][:8], "--by", "Dr Li")
    run("shadow", "--end", "--by", "Dr Li")
    history = json.loads(run("history", "--json"))
    assert [line["code"] for line in history["log"]] == ["activate", "rollback", "shadow", "shadow-end"]
    assert history["head"]["entries"] == 4 and history["head"]["sha256"][:16] in run("history")
    assert history["in_service"] is None and len(history["acceptances"]) >= 1
    assert "a trial" in run("history")


@pytest.mark.usefixtures("home")
def test_criteria_are_shown_and_set() -> None:
    """Every minimum with its words; a wrong one changes nothing."""
    run("init", "--hospital", "St Anna")
    assert "auc_at_least" in run("criteria")
    shown = json.loads(
        run("criteria", "--set", "auc_at_least=0.9", "--set", "ece_at_most=none", "--set", "judged_by=figure", "--json")
    )
    assert (shown["auc_at_least"], shown["ece_at_most"], shown["judged_by"]) == (0.9, None, "figure")
    for wrong in ("auc_at_least=90", "auc_at_least", "auc=0.9", "auc_at_least=high"):
        with pytest.raises(StudyError):
            run("criteria", "--set", wrong)
    assert json.loads(run("criteria", "--json")) == shown


def test_a_model_that_fails_is_not_offered_for_service(home: Path) -> None:
    """Who reads the last line alone must not be led on."""
    run("init", "--hospital", "St Anna")
    (home / "model.onnx").write_bytes(linear_model(-WEIGHTS, 0.0))
    last = run("accept", home / "model.onnx", "--data", home / "cases.csv").splitlines()[-1]
    assert "refuses it" in last and "Next" not in last


def test_a_data_set_of_the_hospitals_site_goes_by_its_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who took part in the study need not say again where the data lie."""
    monkeypatch.setenv("WARDROUND_SITE", str(home / "site"))
    assert RUN.invoke(app, ["site", "data", "add", "heart", str(home / "cases.csv")]).exit_code == 0
    run("init", "--hospital", "St Anna")
    record = json.loads(run("accept", home / "model.onnx", "--data", "heart", "--json"))
    assert record["cases"]["cases"] == 400


def test_the_kept_model_of_a_hospital_in_a_run_is_compared(home: Path) -> None:
    """The hospital's own choice is its strongest rival."""
    folder = home / "run" / "sites" / "st-anna"
    folder.mkdir(parents=True)
    (home / "run" / "model.onnx").write_bytes(linear_model(WEIGHTS, 0.0))
    (folder / "chosen.onnx").write_bytes(linear_model(WEIGHTS * np.array([1, 1, 1, 0.2]), 0.1))
    run("init", "--hospital", "St Anna")
    words = ("accept", home / "run", "--data", home / "cases.csv", "--json", "--site")
    record = json.loads(run(*words, "st-anna"))
    assert len(record["candidates"]) == 2 and record["candidates"][1]["name"].endswith("chosen.onnx")
    with pytest.raises(StudyError, match="keeps no model"):
        run(*words, "county")


def test_without_a_clinic_the_way_to_one_is_said(home: Path) -> None:
    """The first thing that everybody forgets."""
    for words in (["history"], ["criteria"], ["rollback", "--by", "x"], ["activate", "ab", "--by", "x"]):
        with pytest.raises(RunError, match="clinic init"):
            run(*words)
    assert not (home / "home" / "clinic").exists()
    run("init", "--hospital", "St Anna")
    with pytest.raises(StudyError, match="Say which"):
        run("shadow", "--by", "x")
    with pytest.raises(RunError, match="No acceptance record begins"):
        run("activate", "ab", "--by", "x")
