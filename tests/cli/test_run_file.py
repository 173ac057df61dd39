"""The run file on the command line."""

from pathlib import Path

import pytest

from tests.cli.test_cli import wardround
from tests.simulation.small_study import write_hospitals, write_study

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_study_check_shows_what_is_agreed_and_what_is_this_machines(tmp_path: Path) -> None:
    """A privacy officer approves the one, and an administrator changes the other."""
    study = write_study(tmp_path, more='[evaluation.external]\nname = "abroad"\n', run='[run]\nworkers = 2\ndevice = "cpu"\n')
    done = wardround("study", "check", study, home=tmp_path)
    agreed, _, own = done.stdout.partition("Only this machine needs")
    assert done.returncode == 0 and "hash " in agreed and "device" not in agreed
    assert "study.run.toml" in own and "at once: 2" in own and "device: cpu" in own and "not said where it lies" in own
    (tmp_path / "other.toml").write_text("[run]\ndeadline_s = 5.0\n", "utf-8")
    other = wardround("study", "check", study, "--run", tmp_path / "other.toml", home=tmp_path)
    assert "has to answer: 5" in other.stdout and "other.toml" in other.stdout
    assert other.stdout.partition("Only")[0] == agreed


def test_a_run_file_that_is_not_sound_is_named(tmp_path: Path) -> None:
    """It is checked with the study, before a night of training."""
    study = write_study(tmp_path, run="[run]\nworkers = -2\n")
    done = wardround("study", "check", study, home=tmp_path)
    assert done.returncode == 2 and "study.run.toml has 1 problem" in done.stderr


@pytest.mark.slow
def test_flags_win_over_the_run_file(tmp_path: Path) -> None:
    """The file names a device that is not there; for once another is meant."""
    study = write_study(tmp_path, rounds=1, run='[run]\ndevice = "mps"\nworkers = 0\n')
    sites = [word for name, path in write_hospitals(tmp_path).items() for word in ("--site", f"{name}={path}")]
    command = ("simulate", study, *sites, "--no-own", "--json")
    assert wardround(*command, "--out", tmp_path / "first", home=tmp_path).returncode == 5
    done = wardround(*command, "--out", tmp_path / "second", "--device", "cpu", "--deadline", "50", home=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = (tmp_path / "second" / "study.run.toml").read_text("utf-8")
    assert 'device = "cpu"' in kept and "deadline_s = 50" in kept
    wrong = wardround(*command, "--out", tmp_path / "third", "--device", "gpu", home=tmp_path)
    assert wrong.returncode == 2 and "device cannot be used" in wrong.stderr


@pytest.mark.slow
def test_a_setting_changed_for_one_run_is_checked_as_the_file_is(tmp_path: Path) -> None:
    """A typing error must not cost a run of the wrong study."""
    study = write_study(tmp_path)
    for setting, said in (
        ("training.local_epoch=1", "did you mean local_epochs"),
        ("algorithm.proximal_mu=0.5", "fedprox"),
        ("algorithm.rounds=many", "algorithm.rounds"),
        ("rounds=1", "SECTION.SETTING=VALUE"),
    ):
        done = wardround("simulate", study, "--set", setting, home=tmp_path)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.slow
def test_a_setting_changed_for_one_run_is_another_study(tmp_path: Path) -> None:
    study = write_study(tmp_path, rounds=3)
    sites = [word for name, path in write_hospitals(tmp_path).items() for word in ("--site", f"{name}={path}")]
    command = ("simulate", study, *sites, "--no-own", "--workers", 0, "--out", tmp_path / "run")
    assert wardround(*command, "--set", "algorithm.rounds=1", home=tmp_path).returncode == 0
    assert "rounds = 1" in (tmp_path / "run" / "study.toml").read_text("utf-8")
    assert wardround(*command, "--resume", home=tmp_path).returncode == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "said"), [("hiv_trial", "moments  "), ("heart_risk_factors", "follows from the hospitals' names")]
)
def test_study_check_lists_the_sums_of_an_analysis(tmp_path: Path, example: str, said: str) -> None:
    """A sound study has no error behind it: which sums an intercept for each hospital takes, their names decide."""
    done = wardround("study", "check", EXAMPLES / f"{example}.toml", home=tmp_path)
    assert done.returncode == 0 and said in done.stdout and "error" not in done.stderr
