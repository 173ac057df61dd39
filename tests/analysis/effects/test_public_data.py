"""The figures of the benchmark on public data: a trial of four arms, and effects that are known."""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from wardround.analysis.carrying import in_one_place
from wardround.analysis.effects.build import build
from wardround.analysis.effects.predicting import effects_for

pytestmark = pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA names no data")
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def data() -> ModuleType:
    """The benchmark's own reader of the two sets; its program is imported below."""
    for folder in (BENCHMARKS, BENCHMARKS / "statistics"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    return importlib.import_module("treatment_data")


def test_the_hiv_trial_over_hospitals_is_the_trial_in_one_place(data: ModuleType) -> None:
    """Through the masked sum, against a computation that shares no code with it; and the intervals are narrower by adjusting."""
    effects = importlib.import_module("effects")
    analysis, rows = build(data.actg_study()), data.actg_rows()
    result, sums = effects.masked(data.actg_study(), effects.hospitals_of(rows, ("a", "b", "c"), 1))
    pooled, errors = effects.pooled_averages(analysis, rows)
    averages = result.figures["averages"]
    assert sums == 6
    assert np.abs(np.array(averages["AIPW"]["effects"]) - pooled).max() < 1e-8
    assert np.abs(np.array(averages["AIPW"]["errors"]) - errors).max() < 1e-8
    assert (np.array(averages["AIPW"]["errors"]) < 0.85 * np.array(averages["unadjusted"]["errors"])).all()
    assert np.allclose(averages["unadjusted"]["effects"], [67.03, 35.90, 38.19], atol=0.01)
    assert np.allclose(averages["unadjusted"]["errors"], [8.89, 8.19, 8.42], atol=0.01)


def test_the_hiv_trial_says_that_it_found_nothing_to_choose_by(data: ModuleType) -> None:
    """No column changes the effect, and a rule is worth less than the combination for all."""
    result = in_one_place(build(data.actg_study()), {"all": data.actg_rows()})
    assert sum(note.startswith("No column was found") for note in result.notes) == 3
    assert all(rule["gain"] < 0 for rule in result.figures["rules"].values())
    assert sum("worth less than zidovudine and didanosine for all" in note for note in result.notes) == 3


def test_effects_of_children_whose_effects_are_known(data: ModuleType) -> None:
    """Three of the ten replications, the one that decides the mean among them; all ten are in the benchmark."""
    analysis = build(data.ihdp_study(links=["identity", "log"]))
    for number, limit in ((1, 0.6), (5, 0.6), (9, 1.2)):
        replication = data.ihdp(number)
        order = np.random.default_rng(number).permutation(len(replication.rows))
        test, train = order[:75], order[75:]
        result = in_one_place(analysis, {"all": replication.rows.select(train)})
        predicted = effects_for(analysis, result, replication.rows.select(test), "T")["1"]
        assert np.sqrt(np.mean((predicted - replication.effects[test]) ** 2)) < limit
        average = result.figures["averages"]["AIPW"]
        assert abs(average["effects"][0] - replication.effects[train].mean()) < 1.96 * average["errors"][0]
