"""A finished run, as somebody in Python sees it."""

import html
import io
import sys
from pathlib import Path

import pytest

import wardround as wr
from wardround.hub.notices import Notice, RoundFinished
from wardround.values.errors import StudyError

from .small_study import write_hospitals, write_study


def test_a_run_is_short_in_a_prompt_and_a_table_in_a_notebook(finished: wr.Run) -> None:
    """`repr` dumped the whole record over the screen."""
    assert len(repr(finished)) < 200 and "3 hospitals, 3 rounds" in repr(finished)
    page = finished._repr_html_()
    assert all(f"<th>{html.escape(site)}</th>" in page for site in finished.record.sites)
    assert "<script" not in page and "http" not in page and page.count("<tr>") == 4


def test_counts_are_whole_numbers(finished: wr.Run) -> None:
    """80.0 patients look like an estimate."""
    figures = finished.metrics["pooled"]["federated"]
    assert isinstance(figures["n"], int) and isinstance(figures["positives"], int) and isinstance(figures["auc"], float)


def test_names_of_the_package_are_listed() -> None:
    """Completion in a prompt shows what there is."""
    assert {"simulate", "load_study", "predict", "Run", "Study"} <= set(dir(wr))


@pytest.mark.slow
def test_progress_is_drawn_on_stderr_if_asked_and_a_listener_still_hears(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output belongs to the program."""
    heard: list[Notice] = []
    study, hospitals = write_study(tmp_path, rounds=1), write_hospitals(tmp_path)
    wr.simulate(
        study, hospitals, out=tmp_path / "run", workers=0, register=False, progress=True, own=False, listener=heard.append
    )
    told = capsys.readouterr()
    assert "Learning" in told.err and told.out == ""
    assert any(isinstance(event, RoundFinished) for event in heard)


@pytest.mark.slow
def test_without_a_terminal_nothing_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script's log is no place for bars."""
    monkeypatch.setattr(sys, "stderr", err := io.StringIO())
    run = wr.simulate(
        write_study(tmp_path, rounds=1), write_hospitals(tmp_path), out=tmp_path / "run", workers=0, register=False, own=False
    )
    assert err.getvalue() == "" and not run.record.pooled.own  # type: ignore[union-attr]


def test_an_epsilon_needs_a_private_study(tmp_path: Path) -> None:
    """It would be ignored."""
    with pytest.raises(StudyError, match="private study"):
        wr.simulate(write_study(tmp_path), write_hospitals(tmp_path), out=tmp_path / "run", epsilon=2.0, register=False)
