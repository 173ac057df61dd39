"""A hub that is handed a study of an analysis: offered, approved, summed, its tables written; and what a hospital reads of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from wardround.analysis.carrying import in_one_place
from wardround.analysis.registry import analysis_of
from wardround.hub.daemon.status import study_view
from wardround.plan.plan import Plan
from wardround.site.daemon import review
from wardround.site.daemon.policy import Policy, broken_rules
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.record.run_record import RunRecord

from ...federation.tiny_federation import NAMES, rows
from .hub_ward import hub_ward, until

STUDY = """
format = 1
[question]
title = "Who is ill"
[data]
kind = "table"
[[data.columns]]
name = "a"
range = [-8, 8]
[[data.columns]]
name = "b"
range = [-8, 8]
[[data.columns]]
name = "ill"
kind = "binary"
[summation]
mode = "MODE"
[analysis]
largest_hospital = 100
[analysis.regression]
outcome = "ill"
family = "binomial"
[[analysis.regression.terms]]
column = "a"
[[analysis.regression.terms]]
column = "b"
"""


def study(mode: str = "masked") -> Study:
    return parse_study(STUDY.replace("MODE", mode))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["plain", "masked"])
def test_from_a_submitted_study_to_its_tables(mode: str, tmp_path: Path) -> None:
    """The same table as of all rows in one place; nothing was trained."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode))
        with hub.up():
            state = until(folder, "finished", "failed")
        assert state.phase == "finished", state.reason
        results = json.loads((folder.run / "results.json").read_bytes())
        codes = [entry.code for entry in hub.home.log.entries()]
        view = study_view(folder, state)
    plain = study("plain").revised(sites={"names": list(NAMES)})
    expected = in_one_place(analysis_of(plain), {name: rows(name) for name in NAMES}).figures["models"]["common"]
    assert np.allclose(results["figures"]["models"]["common"]["coefficients"], expected["coefficients"], atol=1e-12)
    assert results["hospitals"] == list(NAMES)
    assert "Odds ratios" in (folder.run / "report.html").read_text() and (folder.run / "tables.csv").is_file()
    record = RunRecord.from_json((folder.run / "record.json").read_bytes())
    assert record.fit is not None and record.hospitals == NAMES and record.sites == {} and record.totals is None
    assert sorted(path.name for path in folder.run.glob("model.*")) == ["model.onnx", "model.safetensors"]  # it answers
    assert "analysed" in codes and "model" in codes and "round" not in codes
    assert record.model is not None and state.model == record.model.sha256 and view["phase"] == "finished"


def test_what_cannot_be_fitted_ends_the_study_with_its_reason(tmp_path: Path) -> None:
    """Too few events is for a person at the lead: no hospital can mend it."""
    hopeless = study().revised(analysis={"regression": {"events_per_coefficient": 1000.0}})
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(hopeless)
        with hub.up():
            state = until(folder, "finished", "failed")
    assert state.phase == "failed" and "too few rows of the rarer outcome" in state.reason
    assert not (folder.run / "results.json").exists()


def test_a_policy_may_ask_for_larger_cells() -> None:
    """The study's smallest cell is the lead's choice; a hospital's own is a rule."""
    enough = {"patients": 100, "epsilon": None, "epsilon_in_all": None}
    named = study("plain").revised(sites={"names": list(NAMES)})
    assert not list(broken_rules(Policy(plain_sums=True), named, **enough))
    assert any("smallest_cell" in rule for rule in broken_rules(Policy(plain_sums=True, smallest_cell=10), named, **enough))


def test_a_policy_that_says_nothing_of_cells_keeps_its_hash() -> None:
    """Approvals name the policy's hash."""
    assert Policy().hash == Policy(smallest_cell=1).hash != Policy(smallest_cell=5).hash


def test_a_person_reads_which_tables_will_be_public_and_from_how_small_cells() -> None:
    """The page of the review: columns, sums, and the rule."""
    of = study().revised(sites={"names": list(NAMES), "keys": {}})
    said = "\n".join([*review._computed(Plan(of)), *review._leaving(Plan(of))])
    assert "It reads the columns: ill, a, b." in said
    assert "counts below 5 are withheld" in said
    assert "start, once: 8 counts and" in said and "newton, at most 24 times" in said
