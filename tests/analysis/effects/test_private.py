"""Average effects with noise: what a patient can change, and that intervals hold a known effect."""

from typing import Any

import numpy as np
import pytest

from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.values.errors import DataError, StudyError
from wardround.values.rows import Rows

from ..private_conformance import PrivateConformance, carried_out

STUDY = """
format = 1
[question]
title = "What the new drug does"
[data]
kind = "table"
[[data.columns]]
name = "age"
range = [18, 100]
center = 60
scale = 10
[[data.columns]]
name = "sex"
kind = "binary"
[[data.columns]]
name = "arm"
kind = "category"
categories = ["usual", "new", "other"]
[[data.columns]]
name = "score"
range = [0, 200]
center = 100
scale = 20
[[data.columns]]
name = "well"
kind = "binary"
[privacy]
mode = "patient-distributed"
epsilon = 4.0
delta = 1e-5
clip_norm = 3.0
public_patients = 700
[analysis.effect]
outcome = "score"
treatment = "arm"
arms = ["usual", "new"]
probabilities = [0.5, 0.5]
individual = false
[[analysis.effect.covariates]]
column = "age"
[[analysis.effect.covariates]]
column = "sex"
"""
EFFECT = 6.0


def private(**changes: Any) -> Study:
    return parse_study(STUDY).revised(**changes) if changes else parse_study(STUDY)


def trial(count: int = 2000, seed: int = 0) -> Rows:
    """Half of the patients get the new drug, which adds EFFECT to a score that falls with age."""
    generator = np.random.default_rng(seed)
    age, sex = np.clip(generator.normal(60, 10, count), 18, 100), generator.integers(0, 2, count).astype(float)
    arm = generator.integers(0, 2, count).astype(float)
    score = np.clip(100 - 12 * (age - 60) / 10 + 5 * sex + EFFECT * arm + generator.normal(0, 15, count), 0, 200)
    columns = {"age": age, "sex": sex, "arm": arm, "score": score, "well": (score > 100).astype(float)}
    return Rows(columns, np.arange(count).astype(str), np.full(count, "train"), "all")


class TestNumber(PrivateConformance):
    def study(self) -> Study:
        return private()

    def rows(self) -> Rows:
        return trial(300)


class TestYesOrNo(PrivateConformance):
    def study(self) -> Study:
        return private(analysis={"effect": {"outcome": "well"}}, privacy={"clip_norm": 1.0})

    def rows(self) -> Rows:
        return trial(300)


def effect_of(study: Study, rows: Rows) -> tuple[float, float]:
    figures = carried_out(study, rows).figures["averages"]["AIPW"]
    return figures["effects"][0], figures["errors"][0]


@pytest.mark.slow
def test_intervals_hold_the_effect_as_often_as_they_say() -> None:
    """A fixed effect, fresh patients, lots and noise: 150 trials."""
    held = []
    study = private()
    for seed in range(150):
        effect, error = effect_of(study, trial(1200, seed + 5))
        held.append(abs(effect - EFFECT) <= 1.96 * error)
    assert np.mean(held) >= 0.86  # fresh noise: 0.95 is meant, and four deviations are left


def test_covariates_make_the_interval_narrower_under_noise_too() -> None:
    """Why the first of the two sums is paid for."""
    quiet = {"noise_multiplier": 0.5, "epsilon": None}
    rows = trial(3000, 1)
    _, error = effect_of(private(privacy=quiet), rows)
    plain = np.sqrt(sum(rows["score"][rows["arm"] == arm].var() / (rows["arm"] == arm).sum() for arm in (0, 1)))
    assert error < 0.9 * plain


def test_the_interval_is_wider_for_the_noise() -> None:
    """The same patients at two prices."""
    rows = trial(1500, 2)
    errors = [effect_of(private(privacy={"noise_multiplier": z, "epsilon": None}), rows)[1] for z in (0.0, 10.0)]
    assert errors[1] > 1.3 * errors[0]


def test_an_arm_that_noise_hides_is_refused() -> None:
    """An effect of nobody would be a number all the same."""
    with pytest.raises(DataError, match="no more patients than the noise"):
        carried_out(private(privacy={"noise_multiplier": 300.0, "epsilon": None}), trial(300))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"analysis": {"effect": {"probabilities": []}}}, "the probabilities of a lottery"),
        ({"analysis": {"effect": {"individual": True}}}, "set it to false"),
        ({"analysis": {"effect": {"curves": ["age"]}}}, "leave it out"),
        ({"analysis": {"effect": {"links": ["log"]}}}, "leave it out"),
        ({"privacy": {"clip_norm": 1.0}}, "set it to 3"),
        ({"analysis": {"effect": {"outcome": "well"}}}, "leave it out"),
    ],
)
def test_what_cannot_be_bounded_is_refused_with_its_mend(changes: dict[str, Any], reason: str) -> None:
    """An effect under a promise that cannot be kept is worse than none."""
    with pytest.raises(StudyError, match=reason):
        private(**changes)
