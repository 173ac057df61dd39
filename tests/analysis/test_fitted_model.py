"""A fitted regression answers like any other model: by its file, for raw columns, with the probability of its coefficients."""

import os
from pathlib import Path

import numpy as np
import pytest

import wardround as wr
from wardround.analysis.carrying import in_one_place
from wardround.analysis.design import Design
from wardround.analysis.registry import analysis_of
from wardround.analysis.regression.fitted_model import fitted_model
from wardround.hub.analysis_model import write_fitted_model

from .test_regression import FAMILIES, cohort, heart, split, study_of

TERMS = """
[[analysis.regression.terms]]
column = "age"
per = 10
[[analysis.regression.terms]]
column = "bmi"
per = 5
missing = "indicator"
[[analysis.regression.terms]]
column = "ward"
reference = "b"
[[analysis.regression.terms]]
column = "smoker"
"""
real = pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA is not set: no public data sets here")


def test_the_file_gives_the_probabilities_of_the_fit(tmp_path: Path) -> None:
    """Numbers in other units, categories against another reference, a value that is missing: all through raw columns."""
    rows, study = cohort(), study_of(FAMILIES["binomial"][0], TERMS)
    result = in_one_place(analysis_of(study), split(rows))
    assert write_fitted_model(study, result, tmp_path, synthetic=True)
    assert study.analysis is not None and study.analysis.regression is not None
    design = Design(study.analysis.regression.terms, study.data)
    scaled = np.linalg.solve(design.to_reported, np.array(result.figures["models"]["common"]["coefficients"]))
    expected = 1 / (1 + np.exp(-design.matrix(rows) @ scaled))
    asked = [
        {
            "age": rows["age"][at],
            "bmi": None if np.isnan(rows["bmi"][at]) else rows["bmi"][at],
            "ward": "abc"[int(rows["ward"][at])],
            "smoker": int(rows["smoker"][at]),
        }
        for at in range(60)
    ]
    answers = wr.predict(tmp_path, asked)
    assert np.max(np.abs(np.array(answers.probabilities) - expected[:60])) < 1e-6


@pytest.mark.parametrize(
    ("settings", "terms"),
    [
        (FAMILIES["poisson"][0], TERMS),
        (FAMILIES["binomial"][0] + 'intercepts = "own"\n', TERMS),
        (FAMILIES["binomial"][0], TERMS + '[[analysis.regression.terms]]\ncolumn = "age"\ntimes = "smoker"\n'),
    ],
)
def test_what_is_no_model_of_a_probability_writes_none(settings: str, terms: str, tmp_path: Path) -> None:
    """A count, a model of four hospitals' own levels, a product that no prepared column is."""
    study = study_of(settings, terms)
    result = in_one_place(analysis_of(study), split(cohort()))
    assert fitted_model(study, result) is None
    assert not write_fitted_model(study, result, tmp_path, synthetic=True) and not list(tmp_path.iterdir())


@real
def test_the_heart_model_answers_for_its_own_label(tmp_path: Path) -> None:
    """The label's own values stay: num above 0 is heart disease."""
    study, parts = heart()
    result = in_one_place(analysis_of(study), parts)
    write_fitted_model(study, result, tmp_path, synthetic=False)
    row = {
        "age": 63,
        "sex": 1,
        "cp": 1,
        "trestbps": 145,
        "chol": 0,
        "fbs": 1,
        "restecg": 2,
        "thalach": 150,
        "exang": 0,
        "oldpeak": 2,
    }
    answer = wr.predict(tmp_path, [row])
    figures = result.figures["models"]["common"]
    c = dict(zip(figures["names"], figures["coefficients"], strict=True))
    eta = c["intercept"] + 6.3 * c["age, per 10 years"] + c["sex"] + 145 / 20 * c["trestbps, per 20 mmHg"] + c["chol missing"]
    eta += 245 / 50 * c["chol, per 50 mg/dl"] + c["fbs"] + c["restecg = 2"] + 15 * c["thalach, per 10 beats per minute"]
    eta += 2 * c["oldpeak"]
    assert answer.probabilities[0] == pytest.approx(1 / (1 + np.exp(-eta)), abs=1e-6)
