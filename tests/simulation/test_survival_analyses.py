"""Survival over hospitals from Python and from the example, through masks, stores and signed orders."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import wardround as wr
from wardround.simulation.analysing import analyse
from wardround.sources.datasets.named import load_dataset_rows
from wardround.study.reading import load_study
from wardround.values.errors import StudyError

EXAMPLE = Path(__file__).parents[2] / "examples" / "breast_cancer_survival.toml"
COLUMNS = {"days": (0, 2000), "died": (0, 1), "age": (20, 100), "arm": (0, 1)}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """Three hospitals of 150 patients: the arm halves the hazard."""
    paths = {}
    for number, name in enumerate(("north", "south", "west")):
        random = np.random.default_rng(number + 20)
        age, arm = random.uniform(30, 90, 150).round(1), random.integers(0, 2, 150)
        event, lost = random.exponential(600 * np.exp(0.7 * arm - 0.02 * (age - 60))), random.uniform(100, 1900, 150)
        days, died = np.floor(np.minimum(event, lost)).astype(int), (event <= lost).astype(int)
        lines = [f"{name}{row},{days[row]},{died[row]},{age[row]},{arm[row]}" for row in range(150)]
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_text("\n".join(["patient,days,died,age,arm", *lines]) + "\n")
    return paths


@pytest.mark.slow
def test_curves_and_hazard_ratios_in_one_call(tables: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a statistician writes; the ratio that was put in is found."""
    monkeypatch.chdir(tmp_path)
    curves = wr.kaplan_meier("days", "died", tables, COLUMNS, groups="arm", until=1000, cell=50, horizons=[500], progress=False)
    assert curves.table.columns[0].name == "arm" and curves.exchanges == 1
    assert curves.figures["log_rank"]["p"] < 0.01 and curves.figures["log_rank_by_hospital"]["p"] < 0.01
    assert {"report.html", "tables.csv", "results.json"} <= set(curves.files)
    run = wr.cox("Surv(days, died) ~ age/10 + arm", tables, COLUMNS, horizons=[500, 1000], progress=False)
    ratio = dict(zip(run.figures["columns"], run.figures["coefficients"], strict=True))["arm"]
    assert ratio == pytest.approx(-0.7, abs=0.3)
    assert 0.5 < run.figures["concordance"] < 1 and len(run.figures["horizons"]) == 2
    own = json.loads((run.folder / "sites" / "north" / "report.json").read_bytes())["dataset_counts"]["fitted"]["baseline_hazard"]
    assert own["rows"][-1][1] == 2000 and f"{own['rows'][-1][4]!r}" not in (run.folder / "results.json").read_text()
    common = wr.cox("Surv(days, died) ~ age/10 + arm", tables, COLUMNS, baseline="common", progress=False)
    np.testing.assert_allclose(common.figures["coefficients"], run.figures["coefficients"], atol=0.15)


@pytest.mark.parametrize("formula", ["days ~ age", "Surv(days) ~ age", "Surv(days, died) ~", "Surv(days, died) ~ days"])
def test_a_formula_that_says_something_else_is_refused(formula: str, tables: dict[str, Path]) -> None:
    """A formula that is read in two ways is two models."""
    with pytest.raises(StudyError):
        wr.cox(formula, tables, COLUMNS, progress=False)


@pytest.mark.slow
@pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA names no data")
def test_the_example_gives_what_statsmodels_gives(tmp_path: Path) -> None:
    """Six regions, 866 patients, masked sums: coefficients and standard errors to 1e-8."""
    duration = pytest.importorskip("statsmodels.duration.api")
    run = analyse(EXAMPLE, out=tmp_path / "run", workers=0, progress=False)
    rows, sites = load_dataset_rows("fed_tcga_brca", load_study(EXAMPLE).data)
    assert sites is not None and len(rows) == 1088
    train = rows.splits != "test"
    names = list(run.figures["columns"])
    columns = np.stack([rows["age_at_index"] / 10 if name.startswith("age") else rows[name] for name in names], axis=1)
    theirs = duration.PHReg(
        rows["days"][train], columns[train], status=rows["died"][train], strata=sites[train], ties="efron"
    ).fit(tol=1e-14)
    np.testing.assert_allclose(run.figures["coefficients"], theirs.params, atol=1e-8)
    np.testing.assert_allclose(run.figures["standard_errors"], theirs.bse, atol=1e-8)
    assert run.figures["exchanges"] <= 7 and run.figures["judged_patients"] == 222
    results = json.loads((run.folder / "results.json").read_text("utf-8"))
    assert results["figures"]["coefficients"] == run.figures["coefficients"]
    page = (run.folder / "report.html").read_text("utf-8")
    assert page.count("<svg") == 3 and "Hazard ratios" in page and "held-out patients" in page
