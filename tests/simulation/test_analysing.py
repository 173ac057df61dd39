"""Analyses over hospitals of one machine: the same sums, masks, stores and refusals as of a training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wardround.hub.checkpoint import load
from wardround.hub.notices import ExchangeStarted, Notice
from wardround.simulation.analysing import AnalysisRun, analyse, load_results
from wardround.site.store import SiteStore
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.values.errors import DataError, EngineError, StudyError

STUDY = """
format = 1
[question]
title = "Who is ill"
[data]
kind = "table"
[data.splits]
minimum_patients = 1
[[data.columns]]
name = "age"
range = [18, 100]
[[data.columns]]
name = "ill"
kind = "binary"
[analysis]
largest_hospital = 300
[analysis.regression]
outcome = "ill"
family = "binomial"
[[analysis.regression.terms]]
column = "age"
per = 10
"""


def study() -> Study:
    return parse_study(STUDY)


@pytest.fixture
def hospitals(tmp_path: Path) -> dict[str, Path]:
    """Three tables of a hundred patients each."""
    paths = {}
    for number, name in enumerate(("north", "south", "west")):
        random = np.random.default_rng(number)
        age = random.uniform(18, 100, 100).round(1)
        ill = random.random(100) < 1 / (1 + np.exp(-(age - 60) / 20))
        lines = ["patient,age,ill", *(f"{name}{row},{a},{int(b)}" for row, (a, b) in enumerate(zip(age, ill, strict=True)))]
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_text("\n".join(lines) + "\n")
    return paths


def run(hospitals: dict[str, Path], folder: Path, **options: object) -> AnalysisRun:
    return analyse(study(), hospitals, out=folder, workers=0, **options)


def test_masked_and_plain_sums_give_the_same_table(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """Masks cancel to the last bit, so that the words of the total are the same."""
    masked = run(hospitals, tmp_path / "masked")
    plain = analyse(study().revised(summation={"mode": "plain"}), hospitals, out=tmp_path / "plain", workers=0)
    assert masked.figures == plain.figures
    assert masked.exchanges <= 8


def test_the_files_say_what_the_result_says(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """A program reads results.json, a spreadsheet tables.csv, a person the page."""
    finished = run(hospitals, tmp_path / "run", synthetic=True)
    results = json.loads((finished.folder / "results.json").read_bytes())
    assert results["figures"]["models"] == finished.figures["models"]
    assert results["hospitals"] == ["north", "south", "west"]
    assert f"{finished.table.rows[0][1]!r}" in (finished.folder / "tables.csv").read_text()
    page = (finished.folder / "report.html").read_text()
    assert "Synthetic data" in page and "<svg" in page and "age, per 10" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_a_frame_and_a_plot_are_at_hand(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """What somebody with a notebook asks for first."""
    finished = run(hospitals, tmp_path / "run")
    frame = finished.to_frame("coefficients")
    assert list(frame.columns)[1] == "coefficient" and len(frame) == 2
    assert finished.plot().get_axes()[0].get_xscale() == "log"
    with pytest.raises(StudyError, match="no such chart"):
        finished.plot("curve")


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_from_its_last_total(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """The totals are all of its state: the same result, and no sum is asked twice."""
    whole = run(hospitals, tmp_path / "whole")
    asked: list[int] = []

    def stop_at_the_fourth(event: Notice) -> None:
        if isinstance(event, ExchangeStarted) and event.step == "analyse":
            asked.append(event.number)
            if event.number == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(hospitals, tmp_path / "killed", listener=stop_at_the_fourth)
    progress = load(tmp_path / "killed")
    assert progress is not None and len(progress.state) == 3
    resumed = run(hospitals, tmp_path / "killed", resume=True, listener=lambda event: stop_after(event, asked))
    assert resumed.figures == whole.figures
    assert asked == [1, 2, 3, 4, *range(4, whole.exchanges + 1)]


def stop_after(event: Notice, asked: list[int]) -> None:
    if isinstance(event, ExchangeStarted) and event.step == "analyse":
        asked.append(event.number)


def test_a_hospital_with_more_rows_than_the_bounds_allow_stops_the_run(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """The bound is a promise about the arithmetic, and must not be broken silently."""
    with hospitals["north"].open("a") as file:
        file.writelines(f"more{row},50,1\n" for row in range(300))
    with pytest.raises(EngineError, match="north: records"):
        run(hospitals, tmp_path / "run")


def test_a_study_that_learns_is_not_analysed_nor_the_other_way_round(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """Each names the other in its hint."""
    import wardround as wr

    with pytest.raises(StudyError, match="wardround simulate"):
        wr.simulate(study(), hospitals, out=tmp_path / "run")


def test_what_cannot_be_fitted_is_told_with_its_reason(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """The error names the column and the mend; nothing is half written."""
    for path in hospitals.values():
        path.write_text(path.read_text().replace(",1\n", ",0\n"))
    with pytest.raises(DataError, match="too few rows of the rarer"):
        run(hospitals, tmp_path / "run")
    assert not (tmp_path / "run" / "results.json").exists()


def test_the_sites_log_and_report_hold_counts_and_no_order(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """A hospital's own report has its own numbers."""
    run(hospitals, tmp_path / "run")
    report = json.loads((tmp_path / "run" / "sites" / "north" / "report.json").read_bytes())
    assert report["dataset_counts"]["counts"] == {"rows": 100, "patients": 100}
    store = SiteStore(tmp_path / "run" / "sites" / "north", tmp_path / "run" / "counters" / "north")
    assert store.read().closed
    store.close()


@pytest.mark.slow
def test_torch_is_not_loaded(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """A coordinator of tables needs no network."""
    (tmp_path / "study.toml").write_text(STUDY)
    tables = {name: str(path) for name, path in hospitals.items()}
    program = (
        "import sys; from wardround.simulation.analysing import analyse; "
        f"analyse({str(tmp_path / 'study.toml')!r}, {tables!r}, "
        f"out={str(tmp_path / 'run')!r}, workers=0); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], env={**os.environ}, check=False).returncode == 0


def test_a_regression_is_in_the_registry_and_its_card_can_be_written_again(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """The tables' own page stays what it was; what compares trainings says that there is nothing to compare."""
    from typer.testing import CliRunner

    from wardround.cli.main import app
    from wardround.registry import open_registry

    finished = run(hospitals, tmp_path / "run")
    assert {"model.onnx", "model.safetensors", "record.json", "model_card.md"} <= set(finished.files)
    with open_registry() as registry:
        assert any(entry.study_title == "Who is ill" and entry.network == "logistic regression" for entry in registry.runs())
    page, card = (finished.folder / name for name in ("report.html", "model_card.md"))
    before = page.read_text(), card.read_text()
    card.unlink()
    said = CliRunner().invoke(app, ["report", str(finished.folder)])
    assert said.exit_code == 0 and (page.read_text(), card.read_text()) == before
    refused = CliRunner().invoke(app, ["benefit", str(finished.folder)])
    assert refused.exit_code != 0


@pytest.mark.slow
def test_a_regression_with_noise_is_a_model_whose_card_says_its_price(hospitals: dict[str, Path], tmp_path: Path) -> None:
    """Who is handed the file must read that it has noise, and what the hospitals paid."""
    private = {"mode": "patient-distributed", "epsilon": 8.0, "delta": 1e-4, "clip_norm": 2.0, "public_patients": 100}
    asked = {"exchanges": 12, "regression": {"ridge": 1.0}}
    done = analyse(study().revised(privacy=private, analysis=asked), hospitals, out=tmp_path / "run", workers=0, progress=False)
    card = (done.folder / "model_card.md").read_text("utf-8")
    assert "Steps of gradient descent (fedsgd) with noise" in card and "Newton" not in card
    assert "differentially private with epsilon" in card and "with noise that would have to be paid for" in card
    results = load_results(done.folder)
    assert results["privacy"]["events"] == 11 + 5 and results["exchanges"] == 12
