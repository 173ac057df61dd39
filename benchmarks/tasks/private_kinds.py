"""What hiding every patient costs each kind of question: the examples at epsilon 8 and 2, beside the same without noise.

    python benchmarks/tasks/private_kinds.py                          all kinds
    python benchmarks/tasks/private_kinds.py --only grades number     some of them
    python benchmarks/tasks/private_kinds.py --validation             figures of validation patients, over a grid of settings

`patient-distributed` over the hospitals of each example, one patient the unit (of molecules one compound), all of them in each of
30 steps, delta 1e-5, whole `simulate` runs with masked sums. classes: kind of pneumonia, judged on the publisher's own test
split. grades: severity of heart disease. number: days in intensive care. count: whole days there. time: death with breast
cancer. findings: twelve assays of Tox21, molecules. "without" is the example as it stands, "in one place" the same with all
records together; the hash of a patient divides in every column, since a private study takes no division from elsewhere.

Steps and clipping were chosen with --validation, for each epsilon; without it the program shows figures of test patients.
A figure is the mean over `--draws` draws of the noise, and so are the ends of its interval (95 %, of the test patients); the
spread is that of the draws. Noise comes from the operating system: figures differ a little from run to run.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

import wardround.tasks  # noqa: F401  so that a study of any kind of question is understood
from last_line import last_line
from tasks import EXAMPLES, hospitals_of
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.record.evaluation_record import Evaluation
from wardround.study.run_settings import RunSettings, settings_beside
from wardround.tasks.registry import task_of
from wardround.values.records import Records

STEPS = 30
EPSILONS = (8.0, 2.0)
Hospitals = Mapping[str, Records]
Tables = Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """rate: of a step. clip: the longest gradient of one patient that counts."""

    rate: float
    clip: float


@dataclass(frozen=True)
class Question:
    """example: whose data, hospitals and network. recipes: by epsilon, as --validation chose them. rates, clips: what it tries.
    asked: tables of the study that stand in place of the example's, in every column. noised: those of the private one alone.
    whole_numbers: labels are rounded down. inputs: settings of [data] in place of the example's, in every column.
    judged: settings of [evaluation] of the private study."""

    example: str
    recipes: Mapping[float, Recipe]
    rates: tuple[float, ...]
    clips: tuple[float, ...]
    asked: Tables = field(default_factory=dict)
    noised: Tables = field(default_factory=dict)
    whole_numbers: bool = False
    inputs: Tables = field(default_factory=dict)
    judged: Tables = field(default_factory=dict)

    def declared(self) -> dict[str, Any]:
        """The example's tables with what is asked in place, its patients divided by hash."""
        tables = tomllib.loads((EXAMPLES / f"{self.example}.toml").read_text()) | dict(self.asked)
        tables["data"].get("splits", {}).pop("declared", None)
        tables["data"] |= dict(self.inputs)
        return tables

    def _own_task(self) -> dict[str, Any]:
        """The example's own question, by which its data are read."""
        return {"task": tomllib.loads((EXAMPLES / f"{self.example}.toml").read_text())["task"]}

    def study(self) -> Study:
        return parse_study(tomli_w.dumps(self.declared()))

    def private(self, epsilon: float, recipe: Recipe, public: Mapping[str, int]) -> Study:
        """public: rounded numbers of training patients, by hospital."""
        tables = self.declared()
        steps = {"server_optimizer": "momentum", "server_momentum": 0.9, "server_average": 0.5}
        noise = {"epsilon": epsilon, "delta": 1e-5, "clip_norm": recipe.clip, "public_patients": dict(public)}
        tables["training"] = {"seed": 1}
        tables["algorithm"] = {"name": "fedsgd", "rounds": STEPS, "server_learning_rate": recipe.rate, **steps}
        tables["evaluation"] = {**tables.get("evaluation", {}), "own_baseline": False, **self.judged}
        tables["summation"] = {"threshold": len(public)}
        tables["privacy"] = {"mode": "patient-distributed", **noise}
        return parse_study(tomli_w.dumps(tables | dict(self.noised)))

    def hospitals(self) -> Hospitals:
        parts = hospitals_of(parse_study(tomli_w.dumps(self.declared() | self._own_task())), self.example)
        if not self.whole_numbers:
            return parts
        return {name: replace(part, labels=np.floor(part.labels)) for name, part in parts.items()}


QUESTIONS = {
    "classes": Question(
        "pneumonia_kind",
        {8.0: Recipe(15.0, 0.3), 2.0: Recipe(15.0, 0.3)},
        rates=(15.0,),
        clips=(0.1, 0.3),
        inputs={"image": {"size": [96, 96]}, "patient": {"required": True}},
        noised={"training": {"seed": 1, "class_balance": False}},
    ),
    "grades": Question(
        "heart_severity", {8.0: Recipe(0.3, 3.0), 2.0: Recipe(0.3, 3.0)}, rates=(0.1, 0.3, 1.0), clips=(1.0, 3.0, 8.0)
    ),
    "number": Question(
        "icu_stay", {8.0: Recipe(0.05, 4.0), 2.0: Recipe(0.05, 4.0)}, rates=(0.05, 0.1, 0.3), clips=(0.5, 2.0, 4.0)
    ),
    "count": Question(
        "icu_stay",
        {8.0: Recipe(0.1, 4.0), 2.0: Recipe(0.03, 4.0)},
        rates=(0.03, 0.1, 0.3),
        clips=(1.0, 4.0, 8.0),
        asked={"task": {"kind": "count", "unit": "days", "range": [0, 30], "outside": "clip"}},
        whole_numbers=True,
    ),
    "time": Question(
        "breast_cancer_time", {8.0: Recipe(0.3, 5.0), 2.0: Recipe(1.0, 5.0)}, rates=(0.1, 0.3, 1.0), clips=(0.5, 2.0, 5.0)
    ),
    "findings": Question(
        "toxicity",
        {8.0: Recipe(10.0, 1.0), 2.0: Recipe(10.0, 1.0)},
        rates=(1.0, 3.0, 10.0),
        clips=(0.3, 1.0),
        inputs={"molecule": {"values": "bits", "folds": "scaffold", "unreadable": "leave_out"}},
        noised={"network": {"name": "logistic"}},
        judged={"threshold": "half"},
    ),
}


def public_patients(hospitals: Hospitals) -> dict[str, int]:
    """Training patients of each hospital, rounded down to tens: what a private study is told of them."""
    counts = {name: len(np.unique(part.where("train").patients)) for name, part in hospitals.items()}
    return {name: max(10, count // 10 * 10) for name, count in counts.items()}


def run_settings(question: Question) -> RunSettings | None:
    """Where an external test set lies; how the data are divided is decided already."""
    settings = settings_beside(EXAMPLES / f"{question.example}.toml")
    return None if settings.external is None else RunSettings(run=settings.run, external=settings.external)


def learned(question: Question, study: Study, hospitals: Hospitals, *, validation: bool) -> Evaluation:
    with tempfile.TemporaryDirectory() as folder:
        settings = run_settings(question)
        record = simulate(study, dict(hospitals), out=f"{folder}/run", run=settings, register=False, workers=0).record
    if validation:
        assert record.rounds[-1].validation is not None
        return record.rounds[-1].validation
    if record.external:
        return next(iter(record.external.values()))
    assert record.pooled is not None
    return record.pooled.federated


def in_one_place(question: Question, hospitals: Hospitals, *, validation: bool) -> Evaluation:
    fields = {name: np.concatenate([getattr(part, name) for part in hospitals.values()]) for name in Records.__annotations__}
    study = question.study().revised(sites={"minimum": 1}, summation={"mode": "plain"}, evaluation={"own_baseline": False})
    return learned(question, study, {"pooled": Records(**fields)}, validation=validation)


@dataclass(frozen=True)
class Cell:
    """A figure, its interval and its spread over draws of the noise; None of a single run."""

    value: float
    low: float
    high: float
    spread: float | None

    def __str__(self) -> str:
        spread = "" if self.spread is None else f"; ± {self.spread:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}{spread})"


def cell(evaluations: list[Evaluation], figure: str) -> Cell:
    values = [value_of(one, figure) for one in evaluations]
    ends = [one.intervals.get(figure, (None, None)) for one in evaluations]
    low, high = (statistics.fmean(float("nan") if end is None else end for end in column) for column in zip(*ends, strict=True))
    spread = statistics.pstdev(values) if len(values) > 1 else None
    return Cell(statistics.fmean(values), low, high, spread)


def value_of(evaluation: Evaluation, figure: str) -> float:
    value = evaluation.values[figure]
    return float("nan") if value is None else value


def test_figures(chosen: list[str], draws: int) -> dict[str, float]:
    result: dict[str, float] = {}
    print("| kind | figure | in one place | without | epsilon 8 | epsilon 2 |\n| --- | --- | --- | --- | --- | --- |")
    for name in chosen:
        question = QUESTIONS[name]
        hospitals, figure = question.hospitals(), task_of(question.study()).headline
        public = public_patients(hospitals)
        without = question.study().revised(evaluation={"own_baseline": False})
        cells = {
            "pooled": cell([in_one_place(question, hospitals, validation=False)], figure),
            "none": cell([learned(question, without, hospitals, validation=False)], figure),
        }
        for epsilon in EPSILONS:
            study = question.private(epsilon, question.recipes[epsilon], public)
            noised = [learned(question, study, hospitals, validation=False) for _ in range(draws)]
            cells[f"{epsilon:g}"] = cell(noised, figure)
        print(f"| {name} | {figure} | {' | '.join(map(str, cells.values()))} |", flush=True)
        result |= {f"{name}_{column}": round(one.value, 4) for column, one in cells.items()}
    return result


def grid(question: Question) -> Iterator[Recipe]:
    return (Recipe(rate, clip) for rate, clip in itertools.product(question.rates, question.clips))


def validation_figures(chosen: list[str], draws: int) -> dict[str, float]:
    """Prints every recipe; returns the best of each epsilon."""
    result: dict[str, float] = {}
    for name in chosen:
        question = QUESTIONS[name]
        hospitals, task = question.hospitals(), task_of(question.study())
        public = public_patients(hospitals)
        print(f"\n{name}: {public}\n| rate | clip | epsilon | {task.headline} | seconds |\n| --- | --- | --- | --- | --- |")
        for epsilon in EPSILONS:
            by_recipe: dict[Recipe, float] = {}
            for recipe in grid(question):
                began = time.monotonic()
                study = question.private(epsilon, recipe, public)
                values = [value_of(learned(question, study, hospitals, validation=True), task.headline) for _ in range(draws)]
                by_recipe[recipe] = statistics.fmean(values)
                seconds = (time.monotonic() - began) / draws
                print(
                    f"| {recipe.rate:g} | {recipe.clip:g} | {epsilon:g} | {by_recipe[recipe]:.4f} | {seconds:.0f} |", flush=True
                )
            best = (max if task.bigger_is_better else min)(by_recipe, key=lambda recipe: by_recipe[recipe])
            result |= {f"{name}_{epsilon:g}_rate": best.rate, f"{name}_{epsilon:g}_clip": best.clip}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(QUESTIONS), nargs="+", default=list(QUESTIONS))
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--validation", action="store_true", help="figures of validation patients, over the grid")
    chosen = parser.parse_args()
    figures = validation_figures if chosen.validation else test_figures
    print(last_line(figures(chosen.only, chosen.draws), 1))


if __name__ == "__main__":
    main()
