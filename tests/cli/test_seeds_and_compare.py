"""`simulate --seeds --left-out`, and `compare` of what it made, as a user meets them."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.simulation.small_study import write_hospitals, write_study
from wardround.cli.main import app


@pytest.fixture(autouse=True)
def a_registry_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))


def wardround(*words: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one small study, of one round each."""
    folder = tmp_path_factory.mktemp("seeds")
    sites = [f"--site={name}={path}" for name, path in write_hospitals(folder).items()]
    words = ("simulate", write_study(folder, rounds=1), *sites, "--workers", "0", "--out", folder / "out", "--no-own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARDROUND_HOME", str(folder / "home"))
        done = wardround(*words, "--seeds", "2", "--json")
    assert done.exit_code == 0, done.output
    (folder / "command.json").write_text(json.dumps([str(word) for word in words]), "utf-8")
    (folder / "told.json").write_text(done.stdout, "utf-8")
    return folder


@pytest.mark.slow
def test_seeds_end_with_their_spread(folder: Path) -> None:
    """One seed is luck: mean, spread, smallest and largest are what a study of a recipe reports."""
    told = json.loads((folder / "told.json").read_text("utf-8"))
    assert told == json.loads((folder / "out" / "seeds.json").read_bytes())
    assert told["seeds"] == [3, 4]
    assert all((folder / "out" / name / "record.json").is_file() for name in told["runs"].values())
    (pooled,) = [row for row in told["figures"] if (row["scope"], row["model"], row["figure"]) == ("pooled", "federated", "auc")]
    assert pooled["smallest"] <= pooled["mean"] <= pooled["largest"] and sorted(pooled["values"])[0] == pooled["smallest"]


@pytest.mark.slow
def test_finished_seeds_are_given_their_turns_without_a_hospital(folder: Path) -> None:
    """A question that comes later must not cost the seeds again. Slow: two more runs."""
    words = json.loads((folder / "command.json").read_text("utf-8"))
    before = (folder / "out" / "seed-4" / "record.json").read_bytes()
    done = wardround(*words, "--seeds", "2", "--resume", "--left-out", "south")
    assert done.exit_code == 0 and "Without south" in done.output and "Learning" not in done.stdout
    assert (folder / "out" / "seed-4" / "record.json").read_bytes() == before
    told = json.loads((folder / "out" / "seeds.json").read_bytes())
    assert [row["test_set"] for row in told["figures"] if (row["scope"], row["figure"]) == ("left_out", "auc")] == ["south"]


def test_runs_are_compared_in_a_table_and_as_json(folder: Path) -> None:
    """Which settings differ, which figures, and by how much: the three questions of whoever tries a recipe."""
    runs = [folder / "out" / "seed-3", folder / "out" / "seed-4"]
    shown = wardround("compare", *runs)
    assert shown.exit_code == 0
    assert "training.seed" in shown.stdout and "training.learning_rate" not in shown.stdout
    assert "all hospitals" in shown.stdout and "seed-4" in shown.stdout
    told = json.loads(wardround("compare", *runs, "--json").stdout)
    assert told["settings"] == {"training.seed": ["3", "4"]}
    assert max(len(row["values"]) for row in told["figures"]) == 2


def test_a_folder_of_seeds_stands_for_its_runs(folder: Path) -> None:
    """Whoever ran five seeds has one folder to name, not five."""
    out = folder / "out"
    whole, single = wardround("compare", out, "--json"), wardround("compare", *sorted(out.glob("seed-*")), "--json")
    assert whole.stdout == single.stdout and len(json.loads(whole.stdout)["runs"]) == 2


def test_one_run_or_none_is_refused(folder: Path) -> None:
    """The message must say what to add."""
    for words in ((folder / "out" / "seed-3",), (folder / "out" / "seed-3", folder)):
        done = wardround("compare", *words)
        assert done.exit_code != 0 and "run" in str(done.exception)


def test_a_stranger_is_not_left_out(folder: Path) -> None:
    """Before the first round, not after the last."""
    done = wardround("simulate", folder / "study.toml", f"--site=north={folder / 'north.csv'}", "--left-out", "east", "--json")
    assert "not there: east" in str(done.exception) and not (folder / "runs").exists()
