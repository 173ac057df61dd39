"""The tables that end a run, at the width of a terminal."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import wardround as wr
from tests.simulation.small_study import write_hospitals, write_study
from wardround.cli import tables


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> wr.Run:
    folder = tmp_path_factory.mktemp("tables")
    return wr.simulate(write_study(folder), write_hospitals(folder), out=folder / "run", workers=0, register=False)


def told(run: wr.Run, monkeypatch: pytest.MonkeyPatch, *, verbose: bool = False) -> str:
    out = io.StringIO()
    monkeypatch.setattr(tables, "Console", lambda: Console(file=out, width=80))
    tables.show_run(run, verbose=verbose)
    return out.getvalue()


def test_a_table_study_has_records_and_no_images(finished: wr.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of laboratory values were called images."""
    text = told(finished, monkeypatch)
    assert "records" in text and "images" not in text


def test_a_figure_and_its_interval_stand_on_one_line(finished: wr.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge of the screen cut sentences between a figure and its uncertainty."""
    lines = told(finished, monkeypatch).splitlines()
    for model in ("federated", "north alone", "south alone", "west alone"):
        (line,) = [line for line in lines if line.startswith(f"│ {model} ")]
        assert re.fullmatch(r"│ [a-z ]+ │ +0\.\d{3} │ +0\.\d{3} │ 0\.\d{3} to [01]\.\d{3} +│", line), line
    assert max(len(line) for line in lines if "│" in line) <= 80


def test_a_run_that_was_finished_before_says_so(finished: wr.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --resume it showed the same tables at once, as if it had trained in a second."""
    assert "finished already" not in told(finished, monkeypatch)
    before = finished.record.model_dump(mode="json") | {"finished": "2020-01-01T00:00:00+00:00"}
    old = replace(finished, record=type(finished.record).model_validate_json(json.dumps(before)))
    assert "finished already: nothing was trained again" in told(old, monkeypatch)


def test_verbose_says_where_files_are_and_how_long_it_took(finished: wr.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders of the hospitals are what one looks for when something is odd."""
    text = told(finished, monkeypatch, verbose=True)
    assert "sites/NAME/" in text and re.search(r"It took \d+\.\d s", text)
    assert (Path(finished.folder) / "sites" / "north").is_dir()
