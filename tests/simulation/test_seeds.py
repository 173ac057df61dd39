"""One study with several seeds."""

import json
from pathlib import Path

import pytest

import wardround as wr
from tests.simulation.small_study import write_hospitals, write_study
from wardround.simulation.comparing import named_run
from wardround.simulation.seeds import FILE, over_seeds, spread_of, spreads_of
from wardround.values.errors import RunError, StudyError


@pytest.mark.slow
def test_each_seed_has_a_run_and_finished_ones_are_not_run_again(tmp_path: Path) -> None:
    """A night that broke off after four of five seeds is not to be paid for twice."""
    study = wr.load_study(write_study(tmp_path, rounds=1)).revised(evaluation={"own_baseline": False})
    hospitals = write_hospitals(tmp_path)
    told: list[tuple[int, str]] = []

    def run_seed(seed: int, folder: Path, state: str) -> None:
        told.append((seed, state))
        if len(told) == 2:
            raise KeyboardInterrupt
        if state != "finished":
            declared = study.revised(training={"seed": seed})
            wr.simulate(declared, hospitals, out=folder, resume=state == "begun", workers=0, register=False)

    out = tmp_path / "seeds"
    with pytest.raises(KeyboardInterrupt):
        over_seeds(study, 2, out, run_seed)
    assert not (out / FILE).exists()
    with pytest.raises(RunError, match="holds runs already"):
        over_seeds(study, 2, out, run_seed)
    outcome = over_seeds(study, 2, out, run_seed, resume=True)
    assert told == [(3, "new"), (4, "new"), (3, "finished"), (4, "new")]
    assert [run.record.seed for run in outcome.runs.values()] == [3, 4]
    kept = json.loads((out / FILE).read_bytes())
    assert kept == outcome.to_json() and kept["seeds"] == [3, 4] and kept["runs"] == {"3": "seed-3", "4": "seed-4"}
    with pytest.raises(RunError, match="another study"):
        over_seeds(study.revised(training={"learning_rate": 0.1}), 2, out, run_seed, resume=True)


def test_the_spread_is_over_the_runs(finished: wr.Run) -> None:
    """Equal runs have no spread; a figure that one of them lacks is of the others."""
    runs = [named_run("a", finished.folder), named_run("b", finished.folder)]
    spreads = spreads_of(runs)
    assert finished.record.pooled is not None
    pooled = spreads["federated", "pooled", "", "auc"]
    assert pooled.mean == finished.record.pooled.federated.value("auc") and pooled.deviation == 0.0
    assert (spread_of([0.1, None, 0.3]).mean, spread_of([None]).mean, spread_of([0.2]).deviation) == (0.2, None, None)


def test_one_seed_is_no_spread(tmp_path: Path) -> None:
    """It would be shown without one."""
    with pytest.raises(StudyError, match="two seeds"):
        over_seeds(wr.load_study(write_study(tmp_path)), 1, tmp_path / "out", lambda *_: None)
