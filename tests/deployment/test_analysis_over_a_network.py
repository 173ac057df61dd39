"""An analysis between a hub and three hospitals, each a process of its own, over Flower: the tables of all rows in one place."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from wardround.analysis.carrying import in_one_place
from wardround.analysis.registry import analysis_of
from wardround.sources import open_source
from wardround.study.reading import parse_study
from wardround.study.record.run_record import RunRecord
from wardround.values.chained_log import verify

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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_tables_over_real_processes_are_those_of_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the commands of docs/deploy.md: run, approve, wait. A second question about the same rows is answered too; the hub's log
    and the hospitals' hold no value of a row."""
    monkeypatch.syspath_prepend(str(NETWORK))
    from federation import Federation  # type: ignore[import-not-found]

    ward = Federation(tmp_path / "ward", NAMES)
    regression, describe = DATA.format(title="Who has it") + REGRESSION, DATA.format(title="Who they are") + DESCRIBE
    try:
        ward.begin()
        results = {}
        for name, text in (("regression", regression), ("describe", describe)):
            (file := tmp_path / f"{name}.toml").write_text(text)
            study = ward.submit(file)
            ward.approve(study)
            assert ward.wait(study, 300) == "finished", ward.state(study)
            results[name] = ward.hub / "studies" / study / "run"
    finally:
        ward.close()
    for name, text in (("regression", regression), ("describe", describe)):
        plain = parse_study(text).revised(sites={"names": list(NAMES)}, summation={"mode": "plain"})
        rows = {one: open_source(ward.folder / f"{one}.csv", plain.data).rows(one) for one in NAMES}
        expected = in_one_place(analysis_of(plain), rows).figures
        found = json.loads((results[name] / "results.json").read_bytes())
        assert found["hospitals"] == list(NAMES) and found["summation"] == "masked"
        if name == "regression":
            ours, theirs = found["figures"]["models"]["common"], expected["models"]["common"]
            for key in ("coefficients", "standard_errors", "p_values"):
                assert np.allclose(ours[key], theirs[key], rtol=0, atol=1e-12)
            assert ours["term_tests"]["a"]["statistic"] == pytest.approx(theirs["term_tests"]["a"]["statistic"], abs=1e-9)
        else:
            assert found["figures"]["counts"] == expected["counts"]
    record = RunRecord.from_json((results["regression"] / "record.json").read_bytes())
    assert record.engine == "network" and record.fit is not None and record.sites == {}
    assert (results["regression"] / "model_card.md").is_file() and "Odds ratios" in (
        results["regression"] / "report.html"
    ).read_text("utf-8")
    values = {line.split(",")[1] for line in (ward.folder / "north.csv").read_text().splitlines()[1:]}
    for home in (ward.hub, *(ward.home(name) for name in NAMES)):
        assert not verify(home / "log").problem
        said = "".join(path.read_text("utf-8", "replace") for path in (home / "log").rglob("*") if path.is_file())
        assert not any(value in said for value in values)
