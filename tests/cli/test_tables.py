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


def with_several_records(run: wr.Run, *, own: bool = True) -> wr.Run:
    """The same, of hospitals whose patients have two records each. own: whether they trained models of their own."""
    record = json.loads(run.record.model_dump_json())
    for site in record["sites"].values():
        site["images"] *= 2
        site["own"] = site["own"] if own else None
    return replace(run, record=type(run.record).model_validate_json(json.dumps(record)))


def told(run: wr.Run, monkeypatch: pytest.MonkeyPatch, *, verbose: bool = False) -> str:
    out = io.StringIO()
    monkeypatch.setattr(tables, "Console", lambda: Console(file=out, width=80))
    tables.show_run(run, verbose=verbose)
    return out.getvalue()


@pytest.mark.slow
def test_a_table_study_has_records_and_no_images(finished: wr.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of laboratory values were called images."""
    text = told(with_several_records(finished), monkeypatch)
    assert "records" in text and "images" not in text


def test_a_column_that_says_nothing_is_not_shown(finished: wr.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 80 columns a row of dashes, or every count twice, broke the names of hospitals in two."""
    assert "records" not in told(finished, monkeypatch)
    text = told(with_several_records(finished, own=False), monkeypatch)
    hospitals = text.split("└")[1]
    assert "own" not in hospitals and "–" not in hospitals and "records" in hospitals


def test_a_figure_and_its_interval_stand_on_one_line(finished: wr.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge of the screen cut sentences between a figure and its uncertainty."""
    lines = told(finished, monkeypatch).splitlines()
    for model in ("federated", "north alone", "south alone", "west alone"):
        (line,) = [line for line in lines if line.startswith(f"│ {model} ")]
        assert re.fullmatch(r"│ [a-z ]+ │ +0\.\d{3} │ +0\.\d{3} │ 0\.\d{3} to [01]\.\d{3} +│", line), line
    assert max(len(line) for line in lines if "│" in line) <= 80


@pytest.mark.parametrize("name", ["universitaetsklinikum", "universitaetsklinikum-hamburg-eppendorf", "n" * 63])
def test_the_longest_name_of_a_hospital_leaves_every_word_and_figure_whole(
    finished: wr.Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A name of 21 letters cut "federated" to `feder…`, one of 56 left no figure at all."""
    record = with_several_records(finished).record
    renamed = json.loads(re.sub(r'"north"', json.dumps(name), record.model_dump_json()))
    text = told(replace(finished, record=type(finished.record).model_validate_json(json.dumps(renamed))), monkeypatch)
    pooled, hospitals = (part.split("└")[0] for part in text.split("Each hospital's own"))
    assert "…" not in text and max(len(line) for line in text.splitlines() if "│" in line) <= 80
    assert all(word in hospitals for word in ("patients", "records", "own", "federated", "accuracy", "AUC"))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in hospitals.splitlines() if line.startswith("│")]
    assert "".join(row[0] for row in rows if row[0] not in ("south", "west")) == name
    assert sum(re.fullmatch(r"[01]\.\d{3}", cell) is not None for row in rows for cell in row) == 12
    assert len(re.findall(r"0\.\d{3} to [01]\.\d{3}", pooled)) == 4


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
