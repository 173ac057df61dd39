"""An analysis between a hub and three hospitals, each a process of its own, over Flower: the tables of all rows in one place."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.analysis.carrying import in_one_place
from wardround.analysis.registry import analysis_of
from wardround.evidence.pack_charges import charges_problem
from wardround.evidence.pack_check import files_of
from wardround.privacy.ledger.ledger import Ledger
from wardround.sources import open_source
from wardround.study.reading import parse_study
from wardround.study.record.run_record import RunRecord
from wardround.values.chained_log import verify
from wardround.values.rows import Rows, joined_rows

pytest.importorskip("flwr", reason="the extra `network` is not installed")

NETWORK = Path(__file__).parents[2] / "benchmarks" / "network"
NAMES = ("north", "south", "west")
DATA = """
format = 1
[question]
title = "{title}"
[data]
kind = "table"
[data.label]
column = "none"
[data.splits]
minimum_patients = 1
[[data.columns]]
name = "a"
range = [-8, 8]
[[data.columns]]
name = "b"
range = [-8, 8]
[[data.columns]]
name = "c"
range = [-8, 8]
[[data.columns]]
name = "label"
kind = "binary"
[analysis]
largest_hospital = 500
"""
REGRESSION = """
[analysis.regression]
outcome = "label"
family = "binomial"
term_tests = "likelihood_ratio"
[[analysis.regression.terms]]
column = "a"
[[analysis.regression.terms]]
column = "b"
[[analysis.regression.terms]]
column = "c"
"""
DESCRIBE = """
[analysis.describe]
columns = ["a", "b", "c"]
group = "label"
"""
PRIVATE = """
bins = 16
[privacy]
mode = "patient-distributed"
epsilon = {epsilon}
delta = 1e-4
public_patients = 120
"""
BUDGET = 5.0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_tables_over_real_processes_are_those_of_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the commands of docs/deploy.md: run, approve, wait. A second question about the same rows, with noise, is on every
    hospital's bill, and one that would cost more than is left is refused. No log holds a value of a row."""
    monkeypatch.syspath_prepend(str(NETWORK))
    from federation import Federation  # type: ignore[import-not-found]

    ward = Federation(tmp_path / "ward", NAMES)
    regression, describe = DATA.format(title="Who has it") + REGRESSION, DATA.format(title="Who they are") + DESCRIBE
    try:
        ward.begin()
        ward.budgets(epsilon=BUDGET, delta=1e-3)
        results = answered(ward, regression, tmp_path)
        private = answered_with_noise(ward, describe, tmp_path)
        refused_beyond_the_budget(ward, describe, tmp_path)
    finally:
        ward.close()
    plain = parse_study(regression).revised(sites={"names": list(NAMES)}, summation={"mode": "plain"})
    rows = {one: open_source(ward.folder / f"{one}.csv", plain.data).rows(one) for one in NAMES}
    found = json.loads((results / "results.json").read_bytes())
    assert found["hospitals"] == list(NAMES) and found["summation"] == "masked"
    ours, theirs = (one["models"]["common"] for one in (found["figures"], in_one_place(analysis_of(plain), rows).figures))
    for key in ("coefficients", "standard_errors", "p_values"):
        assert np.allclose(ours[key], theirs[key], rtol=0, atol=1e-12)
    assert ours["term_tests"]["a"]["statistic"] == pytest.approx(theirs["term_tests"]["a"]["statistic"], abs=1e-9)
    same_but_for_noise(private, rows)
    record = RunRecord.from_json((results / "record.json").read_bytes())
    assert record.engine == "network" and record.fit is not None and record.sites == {}
    assert (results / "model_card.md").is_file() and "Odds ratios" in (results / "report.html").read_text("utf-8")
    values = {line.split(",")[1] for line in (ward.folder / "north.csv").read_text().splitlines()[1:]}
    for home in (ward.hub, *(ward.home(name) for name in NAMES)):
        assert not verify(home / "log").problem
        said = "".join(path.read_text("utf-8", "replace") for path in (home / "log").rglob("*") if path.is_file())
        assert not any(value in said for value in values)


def answered(ward: Any, text: str, folder: Path) -> Path:
    """The run folder of a study that hospitals were asked, approved and answered."""
    (file := folder / "study.toml").write_text(text)
    study = ward.submit(file)
    ward.approve(study)
    assert ward.wait(study, 300) == "finished", ward.state(study)
    run: Path = ward.hub / "studies" / study / "run"
    return run


def answered_with_noise(ward: Any, describe: str, folder: Path) -> dict[str, Any]:
    """The tables of a second question, with noise. Every hospital's ledger, log and evidence hold what it cost."""
    run = answered(ward, describe + PRIVATE.format(epsilon=4.0), folder)
    study, results = run.parent.name, json.loads((run / "results.json").read_bytes())
    assert results["privacy"]["epsilon"] <= 4.0 and results["hospitals"] == list(NAMES)
    for name in NAMES:
        charges = ledger_of(ward, name).charges()
        assert {one for one, _ in charges} == {study} and {charge.status for charge in charges.values()} == {"released"}
        assert sum(charge.count for charge in charges.values()) == results["privacy"]["events"]
    pack = folder / "north.zip"
    ward.run("evidence", study, "--out", str(pack), "--home", str(ward.home("north")), name="north")
    ward.run("evidence", "verify", str(pack), name="north")  # which ends with 6 where something is not true
    assert charges_problem(files_of(pack), study) == ""
    tables: dict[str, Any] = results["tables"]
    return tables


def refused_beyond_the_budget(ward: Any, describe: str, folder: Path) -> None:
    """By the hospital, before anything is worked out: 8 are more than 5."""
    before = len(ledger_of(ward, "north").charges())
    (file := folder / "beyond.toml").write_text(describe.replace("Who they are", "Once more") + PRIVATE.format(epsilon=8.0))
    study = ward.submit(file)
    with pytest.raises(RuntimeError, match="budget"):
        ward.approve(study)
    assert len(ledger_of(ward, "north").charges()) == before and ward.state(study)["phase"] != "finished"


def ledger_of(ward: Any, name: str) -> Ledger:
    return Ledger(ward.home(name) / "ledgers" / "records.sqlite", begin=False)


def same_but_for_noise(tables: dict[str, Any], hospitals: dict[str, Rows]) -> None:
    """Counts within five deviations of their noise, means within four of their intervals: what `simulate` gives, drawn anew."""
    whole = joined_rows(hospitals)
    counts = {"all": len(whole), **{f"label = {code}": int(np.sum(whole["label"] == code)) for code in (0, 1)}}
    for group, count, half in tables["rows"]["rows"]:
        assert abs(int(count) - counts[group]) <= 2.6 * half
    for row in tables["numbers"]["rows"]:
        column, group, mean, low, high = (row[at] for at in (0, 1, 3, 4, 5))
        kept = whole[column] if group == "all" else whole[column][whole["label"] == float(group[-1])]
        assert abs(mean - kept.mean()) <= 4 * (high - low) / 2
