"""Descriptions with noise: what a patient can change, and that intervals hold what they say."""

from typing import Any

import numpy as np
import pytest

from wardround.analysis.describe.private_tables import independence
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.values.errors import StudyError
from wardround.values.rows import Rows

from .private_conformance import PrivateConformance, carried_out

STUDY = """
format = 1
[question]
title = "Who they are"
[data]
kind = "table"
[[data.columns]]
name = "age"
range = [18, 100]
center = 55
unit = "years"
[[data.columns]]
name = "crp"
range = [0, 300]
max_missing = 1.0
[[data.columns]]
name = "ward"
kind = "category"
categories = ["a", "b", "c"]
max_missing = 1.0
[[data.columns]]
name = "ill"
kind = "binary"
[privacy]
mode = "patient-distributed"
epsilon = 2.0
delta = 1e-5
public_patients = 800
[analysis.describe]
bins = 32
group = "ill"
cross_tables = [["ward", "ill"]]
histograms = true
"""


def private(noise: float | None = None, **describe: Any) -> Study:
    study = parse_study(STUDY).revised(analysis={"describe": describe})
    return study if noise is None else study.with_privacy(noise_multiplier=noise, epsilon=None)


def cohort(count: int = 2000, seed: int = 0, *, connected: float = 0.0) -> Rows:
    """Ages around 60 with deviation 10; a third of the patients in each ward; ill: three in ten."""
    generator = np.random.default_rng(seed)
    ward = generator.integers(0, 3, count).astype(float)
    ill = (generator.random(count) < 0.3 + connected * (ward - 1)).astype(float)
    columns = {
        "age": np.clip(generator.normal(60, 10, count), 18, 100),
        "crp": np.where(generator.random(count) < 0.1, np.nan, np.minimum(generator.exponential(40, count), 300)),
        "ward": np.where(generator.random(count) < 0.05, np.nan, ward),
        "ill": ill,
    }
    return Rows(columns, np.arange(count).astype(str), np.full(count, "train"), "all")


class TestDescription(PrivateConformance):
    def study(self) -> Study:
        return private()

    def rows(self) -> Rows:
        return cohort(300)


def row_of(result: Any, table: str, *keys: str) -> dict[str, Any]:
    found = result.table(table)
    names = [column.name for column in found.columns]
    (row,) = [row for row in found.rows if row[: len(keys)] == keys]
    return dict(zip(names, row, strict=True))


def test_without_noise_figures_are_those_of_the_rows() -> None:
    """Noise is all that differs from the pooled table."""
    rows, result = cohort(), carried_out(private(noise=0.0), cohort())
    whole = row_of(result, "numbers", "age, years", "all")
    assert whole["mean"] == pytest.approx(rows["age"].mean(), abs=1e-3)
    assert whole["deviation"] == pytest.approx(rows["age"].std(), rel=1e-3)
    assert whole["median"] == pytest.approx(np.median(rows["age"]), abs=82 / 32)
    ill = row_of(result, "categories", "ward", "b", "ill = 1")
    known = ~np.isnan(rows["ward"]) & (rows["ill"] == 1)
    assert ill["share"] == pytest.approx((rows["ward"][known] == 1).mean(), abs=1e-4)
    assert ill["n"] == str(int((rows["ward"][known] == 1).sum()))


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Means, shares and medians of a fixed population, 100 studies with fresh patients and noise."""
    inside: dict[str, list[bool]] = {"mean": [], "share": [], "median": []}
    study = private()
    for seed in range(100):
        result = carried_out(study, cohort(1500, seed + 7))
        age, ward = row_of(result, "numbers", "age, years", "all"), row_of(result, "categories", "ward", "a", "all")
        inside["mean"].append(age["low"] <= 60 <= age["high"])
        inside["median"].append(age["median low"] <= 60 <= age["median high"])
        inside["share"].append(ward["low"] <= 1 / 3 <= ward["high"])
    for name, held in inside.items():
        assert np.mean(held) >= 0.85, (name, np.mean(held))  # fresh noise: 0.95 is meant, and four deviations are left


@pytest.mark.slow
def test_the_test_of_a_cross_table_keeps_its_level_and_sees_a_connection() -> None:
    """Noise alone makes a table look connected: Pearson's p would call it so."""
    generator = np.random.default_rng(0)
    alike = []
    for _ in range(60):
        counts = generator.multinomial(900, np.outer([0.3, 0.3, 0.4], [0.7, 0.3]).reshape(-1)).reshape(3, 2)
        alike.append(independence(counts + generator.normal(0, 12, counts.shape), 12.0)[1])
    assert np.mean(np.array(alike, float) < 0.05) <= 0.2
    result = carried_out(private(), cohort(3000, connected=0.15))
    assert row_of(result, "cross_tests", "ward by ill")["p"] < 0.001


def test_small_counts_are_not_shown_and_have_no_figures() -> None:
    """A hospital's rule holds under noise too; a count of three is as likely the noise of none."""
    rows = cohort(1000)
    few = Rows({**rows.columns, "ward": np.where(np.arange(1000) == 3, 2.0, 0.0)}, rows.patients, rows.splits, "all")
    shown = [row_of(carried_out(private(noise=0.5), few), "categories", "ward", "c", "all") for _ in range(10)]
    hidden = [row for row in shown if row["n"] == "< 5"]
    assert hidden and all(row["share"] is None for row in hidden)


@pytest.mark.parametrize(
    ("describe", "reason"),
    [({"bins": 1024}, "32 is a good number"), ({"correlation": True}, "leave it out"), ({"value_for": "ill"}, "leave it out")],
)
def test_what_noise_would_drown_is_refused_with_its_mend(describe: dict[str, Any], reason: str) -> None:
    """A table of noise would be read as a table of patients."""
    with pytest.raises(StudyError, match=reason):
        private(**describe)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"privacy": {"mode": "site", "public_patients": None}}, "patient-distributed"),
        ({"privacy": {"sampling_rate": 0.5}}, "counts every patient once"),
        ({"privacy": {"clip_norm": 2.0}}, "bounds follow from the ranges"),
        ({"summation": {"mode": "plain"}}, "masked"),
        ({"privacy": {"delta": 1e-3}}, "below 1 / patients"),
    ],
)
def test_settings_that_would_promise_something_else_are_refused(settings: dict[str, Any], reason: str) -> None:
    """What a study says of its privacy has to be what happens."""
    with pytest.raises(StudyError, match=reason):
        private().revised(**settings)
