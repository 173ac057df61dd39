"""The commands of a clinic, from nothing to a model in service and back, as a person types them."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.clinic.acceptance.card import REQUIRED
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


@pytest.mark.slow
def test_from_nothing_to_service_and_back(home: Path) -> None:
    """What docs/clinic.md says in commands."""
    assert "clinic accept" in run("init", "--hospital", "St Anna")
    text = run("accept", home / "model.onnx", "--data", home / "cases.csv", "--page", home / "page.html")
    assert (
        "clinic activate" in text.splitlines()[-1]
        and "items of the model card are to be filled in" in " ".join(text.split())
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


def test_the_blanks_of_a_card_are_written_filled_in_and_read_back(home: Path) -> None:
    """A refusal is no use to a hospital that does not learn from it what to write where."""
    run("init", "--hospital", "St Anna")
    run("accept", home / "model.onnx", "--data", home / "cases.csv")
    file = home / "my card.toml"
    written = run("card", "--write", file)
    next_command = shlex.split(written.splitlines()[-1].removeprefix("Next: "))
    text = file.read_text("utf-8")
    assert set(tomllib.loads(text)) == set(REQUIRED) and all(question in text for question in REQUIRED.values())
    assert set(json.loads(run("card", "--json"))["blank"]) == set(REQUIRED)
    with pytest.raises(StudyError, match="not written over"):
        run("card", "latest", "--write", file)
    file.write_bytes(
        b"\xef\xbb\xbf" + text.replace('26 = ""', '26 = """\r\nNot for newborns.\r\n"""').encode()
    )  # of a Windows editor
    assert "6 items of the model card" in " ".join(run("card", "--read", file).split()) and file.exists()
    assert "Not for newborns." in run("card")
    with pytest.raises(RunError) as refusal:
        run("activate", "latest", "--by", "Dr Li")
    steps = re.findall(
        r"wardround clinic (card|activate) ([0-9a-f]{6}) (--write|--card) model-card.toml", str(refusal.value.hint)
    )
    assert [step[0] for step in steps] == ["card", "activate"] and "26," not in str(refusal.value.found)
    file.write_text("".join(f'{number} = "Said."\n' for number in REQUIRED if number != "26"), "utf-8")
    assert "In service" in run(*next_command[2:])
    assert "No required item" in run("card") and json.loads(run("card", "--json"))["blank"] == []


@pytest.mark.slow
def test_a_card_that_was_filled_in_before_serves_the_next_acceptance(home: Path) -> None:
    """Newer cases, or a newer version of the model: nobody answers the same questions twice. A wrong file is found at once."""
    run("init", "--hospital", "St Anna")
    file, words = home / "card.toml", ("accept", home / "model.onnx", "--data", home / "cases.csv", "--card", home / "card.toml")
    said = run(*words)
    assert all(number in said for number in REQUIRED) and set(tomllib.loads(file.read_text("utf-8"))) == set(REQUIRED)
    for wrong in ("3b = 5", '99 = "x"', "26 = no", '3b = "a"\n3b = "b"'):
        file.write_text(wrong, "utf-8")
        with pytest.raises(StudyError, match=re.escape(str(file))):
            run(*words)
    assert len(list(ClinicPlace.at().acceptances.iterdir())) == 1
    file.write_text("".join(f'{number} = "Said of {number}."\n' for number in REQUIRED), "utf-8")
    (home / "model.onnx").write_bytes(linear_model(WEIGHTS * 0.99, 0.0))
    last = run(*words).splitlines()[-1]
    assert "activate" in last and "--card" not in last
    assert "In service" in run(*shlex.split(last.removeprefix("Next: "))[2:])
    with pytest.raises(StudyError, match="cannot be read"):
        run("activate", "latest", "--card", home / "none.toml", "--by", "x")


def test_the_commands_that_a_clinic_elsewhere_prints_name_its_folder(home: Path) -> None:
    """A command that leads to another clinic, or to none, is a wrong one."""
    where = ("--clinic", home / "other clinic")
    run("init", "--hospital", "St Anna", *where)
    last = run("accept", home / "model.onnx", "--data", home / "cases.csv", *where).splitlines()[-1]
    assert shlex.split(last)[-2:] == list(map(str, where))


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


@pytest.mark.slow
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
