"""`wardround study privacy`: the bill before anything runs, as a privacy officer reads it and as a program does."""

import json
import sys
from io import StringIO
from pathlib import Path

import pytest

from tests.cli.test_cli import wardround
from tests.study.test_privacy import BASE, LOCAL
from wardround.cli.bill import working_out


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(BASE)
    return path


@pytest.mark.slow
def test_it_states_the_cost_and_the_line_to_add(study: Path, tmp_path: Path) -> None:
    """What a person must know to approve: who is hidden, from whom, at which price; and the noise that all must agree on."""
    done = wardround("study", "privacy", study, home=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for words in (
        "one patient, with all",
        "the coordinator together with one hospital",
        "each │ 100 │ 10",
        "[privacy]",
        "other values of epsilon",
    ):
        assert words in said, words
    line = next(line.strip() for line in done.stdout.splitlines() if line.strip().startswith("noise_multiplier = "))
    study.write_text(BASE + line + "\n")
    again = wardround("study", "privacy", study, home=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "noise_multiplier = " not in again.stdout


@pytest.mark.slow
def test_a_program_gets_one_json_object(study: Path, tmp_path: Path) -> None:
    """Dashboards read it; the figures are the table's."""
    done = wardround("study", "privacy", study, "--json", home=tmp_path)
    found = json.loads(done.stdout)
    assert found["mode"] == "patient-distributed" and found["unit"] == "patient"
    assert 1.9 < found["epsilon"] <= 2.0
    assert found["events"] == 10
    assert list(found["noise_by_epsilon"].values()) == sorted(found["noise_by_epsilon"].values(), reverse=True)


@pytest.mark.slow
def test_without_noise_it_says_that_there_is_no_bound(study: Path, tmp_path: Path) -> None:
    """Zero must not look like a very good price."""
    study.write_text(BASE.replace("epsilon = 2.0", "noise_multiplier = 0.0"))
    done = wardround("study", "privacy", study, home=tmp_path)
    assert "no bound" in done.stdout and "no guarantee" in done.stdout
    assert json.loads(wardround("study", "privacy", study, "--json", home=tmp_path).stdout)["epsilon"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (("epsilon = 2.0", "epsilon = 2.0\nnoise_multiplier = 0.5"), (), "too small for the epsilon"),
        (LOCAL[0], (), "fedsgd"),
        (("", ""), ("--data", "somewhere"), "--try"),
        (("", ""), ("--try",), "no synthetic data like this"),
    ],
)
def test_a_mistake_is_a_sentence(study: Path, tmp_path: Path, change: tuple[str, str], words: tuple[str, ...], said: str) -> None:
    """And never a traceback."""
    study.write_text(BASE.replace(*change) if change[0] else BASE)
    done = wardround("study", "privacy", study, *words, home=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr + done.stdout and "Traceback" not in done.stderr


class _Terminal(StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [_Terminal(), StringIO()], ids=["terminal", "pipe"])
def test_a_person_at_a_terminal_sees_what_takes_time_and_a_pipe_nothing(
    monkeypatch: pytest.MonkeyPatch, stream: StringIO
) -> None:
    """Some seconds without a word look like a hang; in a log the same words would be noise."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    with working_out("the noise"):
        pass
    assert ("Working out the noise" in stream.getvalue()) == stream.isatty()
