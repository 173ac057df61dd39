"""Drawn trials and cohorts: a study of three treatments, and patients whose effects are known."""

import json

import numpy as np

from tests.analysis.drawn_rows import drawn
from wardround.analysis.effects.build import EffectAnalysis, build
from wardround.study.declaration import Study
from wardround.values.rows import Rows

ARMS = ("usual", "new", "other")


def study(**effect: object) -> Study:
    """A study of an outcome between 0 and 100, explained by an age, a sex and a weight that may be missing."""
    section = {
        "outcome": "score",
        "treatment": "arm",
        "covariates": [{"column": "age", "per": 10}, {"column": "female"}, {"column": "weight", "missing": "indicator"}],
        **effect,
    }
    columns = [
        {"name": "age", "unit": "years", "range": [20, 80]},
        {"name": "female", "kind": "binary"},
        {"name": "weight", "unit": "kg", "range": [40, 140], "max_missing": 1.0},
        {"name": "arm", "kind": "category", "categories": list(ARMS)},
        {"name": "score", "range": [0, 100]},
        {"name": "died", "kind": "binary"},
    ]
    raw = {
        "question": {"title": "A drawn trial"},
        "data": {"kind": "table", "columns": columns},
        "analysis": {"effect": section, "largest_hospital": 2000},
    }
    return Study.model_validate_json(json.dumps(raw))


def analysis(**effect: object) -> EffectAnalysis:
    return build(study(**effect))


def patients(count: int = 600, seed: int = 0, chosen: bool = False, effect: float = 8.0, differs: float = 0.0) -> Rows:
    """`count` patients. chosen: whether age decides the treatment too. effect: of `new`; of `other` half. differs: how much more
    of it women have."""
    random = np.random.default_rng(seed)
    age, female = random.uniform(20, 80, count), random.integers(0, 2, count).astype(float)
    weight = np.where(random.random(count) < 0.1, np.nan, np.clip(random.normal(75, 15, count), 40, 140))
    linear = np.stack([np.zeros(count), 0.04 * (age - 50), 0.02 * (age - 50) - 0.3], axis=1) if chosen else np.zeros((count, 3))
    shares = np.exp(linear) / np.exp(linear).sum(axis=1, keepdims=True)
    arm = (random.random(count)[:, None] > np.cumsum(shares, axis=1)).sum(axis=1).astype(float)
    gain = np.array([0.0, effect, effect / 2])[arm.astype(int)] + np.where(arm == 1, differs * female, 0.0)
    score = 40 + 0.3 * (age - 50) + 4 * female + 0.1 * (np.nan_to_num(weight, nan=75) - 75) + gain + random.normal(0, 6, count)
    died = (random.random(count) < 1 / (1 + np.exp(1 + 0.8 * (arm == 1) - 0.03 * (age - 50)))).astype(float)
    columns = {"age": age, "female": female, "weight": weight, "arm": arm, "score": np.clip(score, 0, 100), "died": died}
    return drawn(count, columns)
