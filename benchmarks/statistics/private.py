"""Analyses with noise: regressions against private training at the same epsilon, intervals against a known truth, private curves.

    python benchmarks/statistics/private.py                    everything, some fifteen minutes on two cores
    python benchmarks/statistics/private.py --only auc         one part: auc, coverage, curves
    ... --runs 50                                              fewer runs of each

`private_auc_DATA_E`: area under the curve on held-out patients of heart disease (FLamby's columns) and of death in
intensive care, of the regression's model at epsilon E, the mean of `--draws` draws of noise; `fedsgd_auc_DATA_E` of private
training by the examples' recipes over the same patients, columns and epsilon (whole runs). The regression's clip norm is
chosen by the training and validation patients; the test patients are looked at once. `private_covered_WHAT_E`: the share of
95 % intervals that hold a fixed truth, over `--runs` studies of drawn patients: a logistic regression, a mean and a share
of a description, the effect of a treatment, a curve at four ends of years; `heart`: patients of heart disease with outcomes
drawn from fixed coefficients. `private_km_E`: the largest error of a yearly curve of 1,088 patients of breast cancer over
ten years, from the curve by days, the mean of `--runs` draws; `private_km_95_E` its 95th percentile; `private_km_rises` how
many curves rise anywhere. delta is 1e-5.

Noise comes from the operating system: figures differ a little from run to run. Sums are made by the words of a run, without
masks, but for `fedsgd`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

import wardround as wr
from last_line import last_line
from survival_data import regions
from treatment_data import EXAMPLES
from wardround.analysis.carrying import in_one_place
from wardround.analysis.design import Design
from wardround.analysis.result import Result
from wardround.analysis.survival.event_counts import EventCounts, event_counts
from wardround.analysis.survival.kaplan_meier import kaplan_meier
from wardround.analysis.survival.time_grid import TimeGrid
from wardround.plan.plan import Plan
from wardround.plan.pricing import with_noise
from wardround.sources.datasets.named import load_dataset_rows
from wardround.study.declaration import Study
from wardround.study.reading import load_study, parse_study
from wardround.values.rows import Rows, joined_rows

Floats = NDArray[np.float64]
Hospitals = Mapping[str, Rows]
EPSILONS = (2.0, 8.0)
CLIPS = (2.0, 3.0, 4.0)
TRAINED = {"heart": "heart_disease_private.toml", "eicu": "intensive_care_private.toml"}


def carried_out(study: Study, hospitals: Hospitals) -> Result:
    """By the words of a run, without masks. study: with its hospitals and its noise."""
    plan = Plan(study)
    assert plan.analysis is not None and plan.private is not None
    return in_one_place(plan.analysis, hospitals, plan.private.words_of)


def at_epsilon(study: Study, epsilon: float, hospitals: Hospitals) -> Study:
    """The study of these hospitals, all of whose shares of the noise are counted on."""
    named = study.revised(sites={"names": sorted(hospitals)}, summation={"threshold": len(hospitals)})
    return with_noise(named.with_privacy(epsilon=epsilon, noise_multiplier=None))


def divided(rows: Rows, seed: int) -> dict[str, Rows]:
    """Three hospitals, patients by lot."""
    home = np.random.default_rng(seed).integers(0, 3, len(rows))
    return {name: replace(rows.select(home == at), hospital=name) for at, name in enumerate("abc")}


# --- Against private training ---------------------------------------------------------------------------------------------------


def regression_of(trained: Study) -> Study:
    """A logistic regression of the label by every column of a study that trains."""
    columns = trained.data.columns
    terms = [{"column": one.name, **({"missing": "indicator"} if one.max_missing > 0 else {})} for one in columns]
    section = {"outcome": trained.data.label.column, "family": "binomial", "ridge": 1.0, "terms": terms}
    value = {
        "question": {"title": "Privately"},
        "data": trained.data.model_dump(mode="json"),
        "analysis": {"regression": {**section, "events_per_coefficient": 0.0}},
        "privacy": {**trained.privacy.model_dump(mode="json", exclude_defaults=True), "clip_norm": CLIPS[0]},
    }
    return Study.model_validate_json(json.dumps(value))


def area(study: Study, result: Result, rows: Rows, which: str = "steps") -> float:
    """Of complete rows, by the coefficients of the model, or those that have the intervals."""
    assert study.analysis is not None and study.analysis.regression is not None
    design = Design(study.analysis.regression.terms, study.data)
    outcome = study.analysis.regression.outcome
    complete = rows.select(design.complete(rows) & rows.complete(outcome))
    scaled = np.linalg.solve(design.to_reported, np.array(result.figures["models"]["common"][which]))
    return float(roc_auc_score(complete[outcome], design.matrix(complete) @ scaled))


def hospitals_of(study: Study) -> dict[str, Rows]:
    """The study's public data by hospital, with its splits."""
    assert study.data.dataset is not None
    rows, sites = load_dataset_rows(study.data.dataset, study.data)
    assert sites is not None
    named = study.privacy.public_patients
    assert isinstance(named, dict)
    return {name: replace(rows.select(sites == name), hospital=name) for name in named}


def against_training(draws: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    print("\nArea under the curve on held-out patients, regression and private training (fedsgd)\n")
    print("| data | epsilon | clip norm, chosen | regression | its spread | its estimates | fedsgd | its spread |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, file in TRAINED.items():
        trained = load_study(EXAMPLES / file)
        hospitals = hospitals_of(trained)
        parts = {
            split: {site: rows.select(rows.splits == split) for site, rows in hospitals.items()}
            for split in ("train", "validation", "test")
        }
        plain = regression_of(trained)
        for epsilon in EPSILONS:
            studies = {clip: at_epsilon(plain.with_privacy(clip_norm=clip), epsilon, hospitals) for clip in CLIPS}
            seen = joined_rows({f"{site} {split}": parts[split][site] for split in ("train", "validation") for site in hospitals})
            test = joined_rows(parts["test"])
            scores = {
                clip: np.mean([area(one, carried_out(one, parts["train"]), seen) for _ in range(draws)])
                for clip, one in studies.items()
            }
            clip = max(scores, key=lambda each: scores[each])
            results = [carried_out(studies[clip], parts["train"]) for _ in range(4 * draws)]
            ours = [area(studies[clip], one, test) for one in results]
            with_intervals = [area(studies[clip], one, test, "coefficients") for one in results]
            theirs = [trained_area(trained, epsilon, len(hospitals)) for _ in range(draws)]
            spreads = [float(np.std(one)) for one in (ours, theirs)]
            figures[f"private_auc_{name}_{epsilon:g}"] = float(np.mean(ours))
            figures[f"private_auc_estimates_{name}_{epsilon:g}"] = float(np.mean(with_intervals))
            figures[f"fedsgd_auc_{name}_{epsilon:g}"] = float(np.mean(theirs))
            estimates = f"{np.mean(with_intervals):.4f}"
            middle = f"{np.mean(ours):.4f} | {spreads[0]:.4f} | {estimates} | {np.mean(theirs):.4f} | {spreads[1]:.4f}"
            print(f"| {name} | {epsilon:g} | {clip:g} | {middle} |", flush=True)
    return figures


def trained_area(study: Study, epsilon: float, hospitals: int) -> float:
    """A whole run of private training, by the example's recipe."""
    asked = study.revised(summation={"threshold": hospitals})
    with tempfile.TemporaryDirectory(prefix="wardround-private-") as folder:
        done = wr.simulate(
            asked,
            division=wr.load_run(EXAMPLES / "heart_disease_private.run.toml").simulation,
            epsilon=epsilon,
            out=Path(folder) / "run",
            workers=0,
            register=False,
            progress=False,
        )
        assert done.record.pooled is not None
        return float(done.record.pooled.federated.value("auc") or 0.0)


# --- Coverage -------------------------------------------------------------------------------------------------------------------

DRAWN = """
format = 1
[question]
title = "Drawn patients"
[data]
kind = "table"
[[data.columns]]
name = "age"
range = [18, 100]
center = 60
scale = 10
[[data.columns]]
name = "crp"
range = [0, 300]
center = 40
scale = 40
max_missing = 1.0
[[data.columns]]
name = "ward"
kind = "category"
categories = ["a", "b", "c"]
[[data.columns]]
name = "ill"
kind = "binary"
[[data.columns]]
name = "arm"
kind = "binary"
[[data.columns]]
name = "score"
range = [0, 200]
center = 100
scale = 20
[[data.columns]]
name = "days"
range = [0, 4000]
[privacy]
mode = "patient-distributed"
epsilon = 2.0
delta = 1e-5
clip_norm = CLIP
public_patients = 800
"""
REGRESSION = """
[analysis.regression]
outcome = "ill"
family = "binomial"
ridge = 1
[[analysis.regression.terms]]
column = "age"
per = 10
[[analysis.regression.terms]]
column = "crp"
per = 40
missing = "indicator"
[[analysis.regression.terms]]
column = "ward"
"""
EFFECT = """
[analysis.effect]
outcome = "score"
treatment = "arm"
probabilities = [0.5, 0.5]
individual = false
[[analysis.effect.covariates]]
column = "age"
[[analysis.effect.covariates]]
column = "ward"
"""
DESCRIBE = '[analysis.describe]\ncolumns = ["age", "ward"]\nbins = 32\n'
SURVIVAL = '[analysis.survival]\ntime = "days"\nevent = "ill"\nuntil = 3650\ncell = 365\n'
SLOPES = {"age, per 10": 0.5, "crp, per 40": -0.4, "crp missing": 0.3, "ward = b": 0.8, "ward = c": 0.0}
LASTS, GAIN = 4000.0, 6.0


def drawn(count: int, seed: int, *, of_time: bool = False) -> Rows:
    """Patients of a known truth. of_time: `ill` says whether the event was seen after `days`, and not what SLOPES say."""
    generator = np.random.default_rng(seed)
    age = np.clip(generator.normal(60, 10, count), 18, 100)
    crp = np.minimum(generator.exponential(40, count), 300)
    gone, ward = generator.random(count) < 0.15, generator.integers(0, 3, count).astype(float)
    linear = -0.5 + 0.5 * (age - 60) / 10 + np.where(gone, 0.3, -0.4 * (crp - 40) / 40) + 0.8 * (ward == 1)
    until, followed = generator.exponential(LASTS, count), generator.uniform(0, 4000, count)
    ill = until <= followed if of_time else generator.random(count) < 1 / (1 + np.exp(-linear))
    arm = generator.integers(0, 2, count).astype(float)
    columns = {
        "age": age,
        "crp": np.where(gone, np.nan, crp),
        "ward": ward,
        "ill": ill.astype(float),
        "arm": arm,
        "score": np.clip(100 - 12 * (age - 60) / 10 + GAIN * arm + generator.normal(0, 15, count), 0, 200),
        "days": np.minimum(np.ceil(np.minimum(until, followed)), 4000.0),
        "label": np.full(count, np.nan),
    }
    return Rows(columns, np.arange(count).astype(str), np.full(count, "train"), "all")


def held_by_regression(result: Result, truth: Mapping[str, float]) -> list[bool]:
    figures = result.figures["models"]["common"]
    ends = dict(zip(figures["names"], zip(figures["low"], figures["high"], strict=True), strict=True))
    return [ends[name][0] <= value <= ends[name][1] for name, value in truth.items()]


def held_by_effect(result: Result) -> list[bool]:
    figures = result.figures["averages"]["AIPW"]
    return [abs(figures["effects"][0] - GAIN) <= 1.96 * figures["errors"][0]]


def held_by_description(result: Result) -> list[bool]:
    (age,) = result.table("numbers").rows
    shares = [row for row in result.table("categories").rows if row[1] == "a"]
    mean, share = (float(age[4] or 0), float(age[5] or 0)), (float(shares[0][5] or 0), float(shares[0][6] or 0))
    return [mean[0] <= 60 <= mean[1], share[0] <= 1 / 3 <= share[1]]


def held_by_curve(result: Result) -> list[bool]:
    (group,) = result.figures["groups"]
    years = [year for year in (1, 3, 5, 7) if group["low"][year - 1] is not None]
    return [group["low"][year - 1] <= np.exp(-365 * year / LASTS) <= group["high"][year - 1] for year in years]


def coverage(runs: int, what: tuple[str, ...] = ()) -> dict[str, float]:
    """what: which of the kinds, and heart; all of them where none is named."""
    kinds: dict[str, tuple[str, str, bool, Callable[[Result], list[bool]]]] = {
        "regression": (REGRESSION, "2.5", False, lambda result: held_by_regression(result, SLOPES)),
        "effect": (EFFECT, "3.0", False, held_by_effect),
        "describe": (DESCRIBE, "1.0", False, held_by_description),
        "curve": (SURVIVAL, "1.0", True, held_by_curve),
    }
    figures: dict[str, float] = {}
    print(f"\nIntervals that hold the truth, of 95 %, {runs} studies of 2,400 drawn patients at three hospitals\n")
    print("| what | epsilon 2 | epsilon 8 |")
    print("| --- | --- | --- |")
    for name, (section, clip, of_time, held_by) in kinds.items():
        if name not in (what or kinds):
            continue
        for epsilon in EPSILONS:
            study = at_epsilon(parse_study(DRAWN.replace("CLIP", clip) + section), epsilon, divided(drawn(30, 0), 0))
            held = [
                one
                for seed in range(runs)
                for one in held_by(carried_out(study, divided(drawn(2400, seed, of_time=of_time), seed)))
            ]
            figures[f"private_covered_{name}_{epsilon:g}"] = float(np.mean(held))
        print(
            "| " + " | ".join([name, *(f"{figures[f'private_covered_{name}_{one:g}']:.3f}" for one in EPSILONS)]) + " |",
            flush=True,
        )
    return figures if what and "heart" not in what else figures | heart_coverage(runs)


def heart_coverage(runs: int) -> dict[str, float]:
    """Patients of heart disease, outcomes drawn from fixed coefficients: those of a fit with ridge 1, without noise."""
    trained = load_study(EXAMPLES / TRAINED["heart"])
    hospitals, plain = hospitals_of(trained), regression_of(trained)
    assert plain.analysis is not None and plain.analysis.regression is not None
    design, outcome = Design(plain.analysis.regression.terms, plain.data), plain.analysis.regression.outcome
    kept = {name: rows.select(design.complete(rows) & rows.complete(outcome)) for name, rows in hospitals.items()}
    whole = joined_rows(kept)
    columns = design.matrix(whole)
    truth = ridge_fit(columns, whole[outcome])
    chances = {name: 1 / (1 + np.exp(-design.matrix(rows) @ truth)) for name, rows in kept.items()}
    reported = dict(zip(design.names, design.to_reported @ truth, strict=True))
    figures: dict[str, float] = {}
    for epsilon in EPSILONS:
        study, held = at_epsilon(plain.with_privacy(clip_norm=2.0), epsilon, hospitals), list[bool]()
        for seed in range(runs):
            generator = np.random.default_rng(seed)
            again = {
                name: replace(
                    rows, columns={**rows.columns, outcome: (generator.random(len(rows)) < chances[name]).astype(float)}
                )
                for name, rows in kept.items()
            }
            held += held_by_regression(carried_out(study, again), reported)
        figures[f"private_covered_heart_{epsilon:g}"] = float(np.mean(held))
    print(
        "| " + " | ".join([f"heart, {len(design)} coefficients", *(f"{one:.3f}" for one in figures.values())]) + " |", flush=True
    )
    return figures


def ridge_fit(columns: Floats, outcome: Floats) -> Floats:
    """Ridge 1, the intercept free."""
    point, penalty = np.zeros(columns.shape[1]), np.r_[0.0, np.ones(columns.shape[1] - 1)]
    for _ in range(50):
        chance = 1 / (1 + np.exp(-columns @ point))
        information = (columns * (chance * (1 - chance))[:, None]).T @ columns + np.diag(penalty)
        point = point + np.linalg.solve(information, columns.T @ (outcome - chance) - penalty * point)
    return point


# --- Curves ---------------------------------------------------------------------------------------------------------------------


def curves(runs: int) -> dict[str, float]:
    hospitals = regions()
    whole = joined_rows(hospitals)
    days = TimeGrid.every(1, 3650)
    nobody, died = np.zeros(len(whole), np.int64), whole["died"].astype(np.int64)
    exact = kaplan_meier(EventCounts(days, event_counts(whole["days"], died, nobody, days, (1, 1))))
    declared = load_study(EXAMPLES / "breast_cancer_private.toml").revised(
        analysis={"survival": {"groups": None, "horizons": []}}
    )
    figures: dict[str, float] = {"private_km_rises": 0.0}
    print(f"\nYearly curves of {len(whole)} patients over ten years, {runs} draws: the largest error\n")
    print("| epsilon | mean | median | 95 % |")
    print("| --- | --- | --- | --- |")
    for epsilon in (2.0, 1.0):
        study, errors = at_epsilon(declared, epsilon, hospitals), []
        for _ in range(runs):
            (group,) = carried_out(study, hospitals).figures["groups"]
            curve = np.array([np.nan if value is None else value for value in group["survival"]])
            ends = np.arange(365.0, 3651.0, 365.0)
            errors.append(float(np.nanmax(np.abs(curve - [exact.at(end) for end in ends]))))
            figures["private_km_rises"] += float((np.diff(curve[np.isfinite(curve)]) > 0).any())
        figures[f"private_km_{epsilon:g}"] = float(np.mean(errors))
        figures[f"private_km_95_{epsilon:g}"] = float(np.quantile(errors, 0.95))
        print(f"| {epsilon:g} | {np.mean(errors):.3f} | {np.median(errors):.3f} | {np.quantile(errors, 0.95):.3f} |", flush=True)
    return figures


PARTS = ("auc", "coverage", "curves")
WHAT = ("regression", "effect", "describe", "curve", "heart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--what", choices=WHAT, nargs="+", default=())
    arguments = parser.parse_args()
    chosen = PARTS if arguments.only is None else (arguments.only,)
    figures: dict[str, Any] = {}
    if "auc" in chosen:
        figures |= against_training(arguments.draws)
    if "coverage" in chosen:
        figures |= coverage(arguments.runs, tuple(arguments.what))
    if "curves" in chosen:
        figures |= curves(arguments.runs)
    print(last_line({name: round(value, 4) for name, value in figures.items()}, 0))


if __name__ == "__main__":
    main()
