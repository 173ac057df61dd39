"""A new algorithm is one file and one line: `fednova.py`, and `register` below. No source file knows of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import wardround as wr
from wardround.algorithms import ALGORITHMS, AlgorithmStatement, register
from wardround.algorithms.fedavg import FedAvg
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.reference import reference
from wardround.study.writing import json_schema
from wardround.values.errors import StudyError
from wardround.values.tree import Tree, flatten

from .algorithm_conformance import THREE, AlgorithmConformance
from .fednova import STATEMENT, FedNova
from .quadratic_hospitals import Federation, Quadratic, filled
from .statement_conformance import StatementConformance


@pytest.fixture(autouse=True)
def statement() -> Iterator[AlgorithmStatement]:
    """The one line, taken back at the end."""
    register(STATEMENT)
    yield STATEMENT
    ALGORITHMS.pop(STATEMENT.name)


class TestFedNova(AlgorithmConformance):
    """The laws; the model is reached by changes, not by a mean of models."""

    algorithm = FedNova()
    averages = False


class TestItsStatement(StatementConformance):
    """The laws of what it says of itself."""


def test_with_the_same_steps_everywhere_it_is_federated_averaging() -> None:
    """The paper's own limit: tau_k = tau for all."""
    nova, average = Federation(FedNova(), THREE, filled(0.25)), Federation(FedAvg(), THREE, filled(0.25))
    for _ in range(3):
        nova.play()
        average.play()
    assert flatten(nova.state["model"]) == pytest.approx(flatten(average.state["model"]), rel=1e-6, abs=1e-7)


UNEVEN = {
    "north": Quadratic(1.0, 50, steps=1),
    "south": Quadratic(-0.5, 30, 2.0, steps=9),
    "west": Quadratic(3.0, 20, 0.5, steps=4),
}


def test_with_other_steps_it_is_what_the_paper_says() -> None:
    """Equation 7, written out once more in float64."""
    nova, average = Federation(FedNova(), UNEVEN, filled(0.25)), Federation(FedAvg(), UNEVEN, filled(0.25))
    runs = {site: flatten(run.model) - 0.25 for site, (_, _, run) in nova.work().items()}
    nova.play()
    average.play()
    effective = sum(hospital.examples / 100 * hospital.steps for hospital in UNEVEN.values())
    mean = sum(UNEVEN[site].examples / 100 * change / UNEVEN[site].steps for site, change in runs.items())
    assert effective == pytest.approx(4.0)
    assert flatten(nova.state["model"]) == pytest.approx(0.25 + effective * mean, rel=1e-6)
    assert np.abs(flatten(nova.state["model"]) - flatten(average.state["model"])).min() > 0.1


def test_it_comes_to_the_optimum_that_uneven_steps_take_averaging_away_from() -> None:
    """The reason for it: the objective stays that of the study (the paper's theorem 1 and section 3)."""
    short = {"a": Quadratic(1.0, 30, steps=1, learning_rate=0.01), "b": Quadratic(-1.0, 30, steps=8, learning_rate=0.01)}
    gaps = {}
    for algorithm in (FedNova(), FedAvg()):
        play = Federation(algorithm, short, filled(0.5))
        for _ in range(400):
            play.play()
        gaps[type(algorithm).__name__] = float(np.abs(flatten(play.state["model"])).max())
    assert gaps["FedNova"] < 0.05 and gaps["FedAvg"] > 0.7


def test_studies_schema_and_reference_know_it() -> None:
    """Editors and readers learn of it from the same place as the program."""
    names = json.loads(json_schema())["$defs"]["AlgorithmSection"]["properties"]["name"]["enum"]
    assert names == list(ALGORITHMS) and "fednova" in names
    assert '`"fednova"`' in reference()


STUDY = """
format = 1
[question]
title = "A new algorithm"
[data]
kind = "table"
[[data.columns]]
name = "age"
range = [20, 100]
[[data.columns]]
name = "pressure"
range = [80, 220]
[data.splits]
validation = 0.2
test = 0.2
[network]
name = "logistic"
[training]
optimizer = "sgd"
schedule = "constant"
learning_rate = 0.2
batch_size = BATCH
local_epochs = 1
seed = 3
[algorithm]
name = "NAME"
rounds = 3
[summation]
clip = 64.0
[evaluation]
own_baseline = false
"""
UNLIKE = {"north": 150, "south": 60, "west": 40}


def study_of(name: str, batch: int) -> Study:
    return parse_study(STUDY.replace("NAME", name).replace("BATCH", str(batch)))


def write_hospital(path: Path, rows: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    age, pressure = rng.uniform(25, 95, rows).round(), rng.uniform(90, 200, rows).round()
    ill = (0.04 * (age - 60) + 0.02 * (pressure - 140) + rng.normal(size=rows) > 0).astype(int)
    lines = ["patient,age,pressure,label", *(f"p-{seed}-{i},{age[i]:.0f},{pressure[i]:.0f},{ill[i]}" for i in range(rows))]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def learned(name: str, batch: int, folder: Path) -> tuple[Tree, wr.Run]:
    """A whole run, masked, from three hospitals' files."""
    folder.mkdir()
    sites = {site: write_hospital(folder / f"{site}.csv", rows, seed) for seed, (site, rows) in enumerate(UNLIKE.items())}
    run = wr.simulate(study_of(name, batch), sites, out=folder / "run", workers=0)
    return dict(run.model), run


@pytest.mark.slow
def test_a_whole_run_is_the_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From files to record. Every hospital in one batch takes one step: that is averaging. In small batches it is not."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    nova, run = learned("fednova", 512, tmp_path / "nova")
    average, _ = learned("fedavg", 512, tmp_path / "average")
    assert run.record.algorithm == "fednova" and run.record.pooled is not None
    assert run.record.pooled.federated.value("auc") > 0.7  # type: ignore[operator]
    assert flatten(nova) == pytest.approx(flatten(average), abs=1e-4)
    small_nova, _ = learned("fednova", 8, tmp_path / "small-nova")
    small_average, _ = learned("fedavg", 8, tmp_path / "small-average")
    assert np.abs(flatten(small_nova) - flatten(small_average)).max() > 0.01


def test_a_study_may_not_ask_it_for_what_it_does_not_state() -> None:
    """Its two kinds of values would not both be paid for under shared noise."""
    private = {"mode": "site", "epsilon": 8.0, "delta": 1e-3}
    with pytest.raises(StudyError, match=r'mode = "site" protects one change of the model: set algorithm.name = "fedavg"'):
        study_of("fednova", 8).revised(privacy=private)
    with pytest.raises(StudyError, match=r'algorithm\.proximal_mu does nothing.*algorithm.name = "fedprox"'):
        study_of("fednova", 8).revised(algorithm={"proximal_mu": 1.0})
