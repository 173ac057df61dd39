"""A fitted regression is a model like any other: its file answers, its card says the whole of it, a registry knows it."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

import wardround as wr
from wardround.analysis.carrying import in_one_place
from wardround.analysis.design import Design
from wardround.analysis.registry import analysis_of, model_of
from wardround.analysis.result import Result
from wardround.hub.analysis_model import EndedAnalysis, write_fitted_model
from wardround.hub.run_folder import RunPlan
from wardround.plan.evaluated_model import evaluated_in
from wardround.registry import open_registry
from wardround.study.declaration import Study
from wardround.study.record.run_record import RunRecord
from wardround.values.errors import RunError
from wardround.values.rows import Rows

from .survival.test_survival import TERMS as COX_TERMS
from .survival.test_survival import drawn_patients, survival_study
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


def written(study: Study, result: Result, folder: Path, *, register: bool = False) -> RunRecord | None:
    """What a run of the analysis leaves in its folder besides its tables."""
    plan = RunPlan(f"run-{folder.name}", study.hash, "2026-11-29T12:00:00+00:00", True)
    return write_fitted_model(EndedAnalysis(study, plan, result, 8, ("a", "b", "c"), "network", 3), folder, register=register)


def test_the_file_gives_the_probabilities_of_the_fit(tmp_path: Path) -> None:
    """Numbers in other units, categories against another reference, a value that is missing: all through raw columns."""
    rows, study = cohort(), study_of(FAMILIES["binomial"][0], TERMS)
    result = in_one_place(analysis_of(study), split(rows))
    assert written(study, result, tmp_path) is not None
    assert study.analysis is not None and study.analysis.regression is not None
    design = Design(study.analysis.regression.terms, study.data)
    scaled = np.linalg.solve(design.to_reported, np.array(result.figures["models"]["common"]["coefficients"]))
    expected = 1 / (1 + np.exp(-design.matrix(rows) @ scaled))
    asked = [asked_of(rows, at) for at in range(60)]
    answers = wr.predict(tmp_path, asked)
    assert np.max(np.abs(np.array(answers.probabilities) - expected[:60])) < 1e-6


def test_a_linear_model_gives_a_number_and_a_range(tmp_path: Path) -> None:
    """A question for a number: the fit, and around it what holds 80 of 100 residuals, within the range of the contract."""
    rows, study = cohort(), study_of('outcome = "visits"\nfamily = "gaussian"\n', TERMS)
    result = in_one_place(analysis_of(study), split(rows))
    record = written(study, result, tmp_path)
    assert record is not None and record.fit is not None and record.fit.deviation is not None
    b = dict(zip(*(result.figures["models"]["common"][key] for key in ("names", "coefficients")), strict=True))
    asked = {"age": 70.0, "bmi": 30.0, "ward": "a", "smoker": 1}
    value = b["intercept"] + 7 * b["age, per 10"] + 6 * b["bmi, per 5"] + b["ward = a"] + b["smoker"]
    answer = wr.predict(tmp_path, [asked]).table[0]
    assert answer["value"] == pytest.approx(value, abs=1e-5)
    assert answer["high"] == pytest.approx(value + 1.2815515655 * record.fit.deviation, abs=1e-4) and answer["low"] >= 0.0
    inside = [wr.predict(tmp_path, [asked_of(rows, at)]).table[0] for at in range(200)]
    held = np.mean([one["low"] - 1e-6 <= rows["visits"][at] <= one["high"] + 1e-6 for at, one in enumerate(inside)])
    assert 0.7 < held < 0.95


@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
def test_a_count_is_answered_by_its_expectation(family: str, tmp_path: Path) -> None:
    """A question for a count, without a time at risk; no answer is above the largest count of the contract."""
    more = "dispersion = 0.7\n" if family == "negative_binomial" else ""
    study = study_of(f'outcome = "visits"\nfamily = "{family}"\n{more}', TERMS)
    result = in_one_place(analysis_of(study), split(cohort()))
    record = written(study, result, tmp_path)
    assert record is not None and record.model is not None and record.model.threshold is None
    b = dict(zip(*(result.figures["models"]["common"][key] for key in ("names", "coefficients")), strict=True))
    answer = wr.predict(tmp_path, [{"age": 70.0, "bmi": None, "ward": "b", "smoker": 0}]).table[0]
    score = b["intercept"] + 7 * b["age, per 10"] + 35 / 5 * b["bmi, per 5"] + b["bmi missing"]
    assert answer["count"] == pytest.approx(min(math.exp(score), 60.0), rel=1e-5)


def asked_of(rows: Rows, at: int) -> dict[str, object]:
    """One row as somebody would ask about it."""
    bmi = rows["bmi"][at]
    ward = "abc"[int(rows["ward"][at])]
    return {"age": rows["age"][at], "bmi": None if np.isnan(bmi) else bmi, "ward": ward, "smoker": int(rows["smoker"][at])}


def cox(**settings: object) -> tuple[Study, Result]:
    study = survival_study(terms=COX_TERMS, horizons=[400, 1200], **settings)
    return study, in_one_place(analysis_of(study), {"a": drawn_patients(), "b": drawn_patients(seed=6)})


def test_a_cox_model_gives_the_chances_that_its_study_was_judged_by(tmp_path: Path) -> None:
    """exp(-H(h) exp(xb - center)), with the baseline of the tables, at each of the study's horizons."""
    study, result = cox()
    record = written(study, result, tmp_path)
    assert record is not None and record.fit is not None and record.model is not None and record.model.threshold is None
    figures, asked = result.figures, {"age": 71.0, "stage": "III", "arm": 1}
    b = dict(zip(figures["columns"], figures["coefficients"], strict=True))
    predictor = b["age, per 10"] * (71 - 60) / 10 if "age, per 10" in b else b["age, per 10 years"] * (71 - 60) / 10
    predictor += b["stage = III"] + b["arm"] - figures["baseline"]["centre"]
    answers = wr.predict(tmp_path, [asked]).table[0]
    ends = figures["baseline"]["ends"]
    for horizon in (400.0, 1200.0):
        hazard = figures["baseline"]["cumulative_hazard"][ends.index(horizon)]
        assert answers[f"survival at {horizon:g} days"] == pytest.approx(math.exp(-hazard * math.exp(predictor)), abs=1e-6)


def test_one_horizon_is_enough(tmp_path: Path) -> None:
    """Its end is the end of the grid too: the question for a time needs a middle that nobody asks about."""
    study = survival_study(terms=COX_TERMS, horizons=[1500])
    result = in_one_place(analysis_of(study), {"a": drawn_patients(), "b": drawn_patients(seed=6)})
    assert written(study, result, tmp_path) is not None
    answers = wr.predict(tmp_path, [{"age": 40.0, "stage": "I", "arm": 0}, {"age": 80.0, "stage": "III", "arm": 0}]).table
    assert 1 > answers[0]["survival at 1500 days"] > answers[1]["survival at 1500 days"] > 0


@pytest.mark.parametrize(
    ("settings", "terms"),
    [
        (FAMILIES["poisson"][0], TERMS),
        (FAMILIES["gamma"][0], TERMS),
        (FAMILIES["binomial"][0] + 'intercepts = "random"\n', TERMS),
        (FAMILIES["binomial"][0] + 'intercepts = "own"\n', TERMS),
        (FAMILIES["binomial"][0], TERMS + '[[analysis.regression.terms]]\ncolumn = "age"\ntimes = "smoker"\n'),
    ],
)
def test_what_is_no_model_of_a_probability_writes_none(settings: str, terms: str, tmp_path: Path) -> None:
    """A count by time at risk, a gamma law, hospitals' levels that are their own or drawn, a product that no column is."""
    study = study_of(settings, terms)
    result = in_one_place(analysis_of(study), split(cohort()))
    assert model_of(study, result, 1) is None
    assert written(study, result, tmp_path) is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "settings",
    [
        {"terms": COX_TERMS},
        {"horizons": [400]},
        {"terms": COX_TERMS, "horizons": [400], "event": "end", "causes": ["relapse", "death"]},
        {"terms": [{"column": "age"}], "horizons": [400], "strata": "arm"},
    ],
)
def test_what_gives_no_chance_at_a_horizon_writes_none(settings: dict, tmp_path: Path) -> None:
    """Ratios without a horizon, curves without a regression, causes that compete, groups with baselines of their own."""
    study = survival_study(**settings)
    result = in_one_place(analysis_of(study), {"a": drawn_patients(), "b": drawn_patients(seed=6)})
    assert written(study, result, tmp_path) is None and not list(tmp_path.iterdir())


def test_a_registry_knows_a_regression_and_its_study(tmp_path: Path) -> None:
    """By the hash of its numbers, with its run; both files are kept, and writing them again changes nothing."""
    study = study_of(FAMILIES["binomial"][0], TERMS)
    result = in_one_place(analysis_of(study), split(cohort()))
    record = written(study, result, tmp_path, register=True)
    assert record is not None and record.model is not None
    assert written(study, result, tmp_path, register=True) == record
    with open_registry() as registry:
        entry = registry.model(record.run_id)
        assert entry.sha256 == record.model.sha256 and entry.parameters == 8 and entry.threshold == 0.5 and entry.synthetic
        assert {file.kind for file in entry.files} == {"safetensors", "onnx"}
        assert registry.record(record.run_id).fit == record.fit
    asked = {"age": 50.0, "bmi": None, "ward": "a", "smoker": 1}
    assert wr.predict(record.model.sha256[:16], [asked]).probabilities == wr.predict(tmp_path, [asked]).probabilities


def test_the_card_says_the_whole_model(tmp_path: Path) -> None:
    """Whoever has the card alone can compute an answer; what nobody measured stands there as a blank."""
    from wardround.evidence.model_card import render_model_card

    study = study_of(FAMILIES["binomial"][0], TERMS)
    result = in_one_place(analysis_of(study), split(cohort()))
    record = written(study, result, tmp_path)
    assert record is not None
    card = render_model_card(record)
    for name, value in zip(*(result.figures["models"]["common"][key] for key in ("names", "coefficients")), strict=True):
        assert f"| {name} | {value:.6g} |" in card.replace("\\", "")
    assert "ill" in card and "logistic regression, 7 coefficients" in card and "8 sums" in card
    assert "The record holds no evaluation on other patients" in card and "[to be filled in by the ethics lead]" in card
    headings = [line for line in card.splitlines() if line.startswith("## ")]
    assert headings[0] == "## Model details" and headings[-1] == "## TRIPOD+AI items" and len(headings) == 10
    assert all(text for *_, text in (line.split(" | ") for line in card.splitlines() if line.startswith("| 22 ")))


def test_the_card_of_a_cox_model_says_its_baseline(tmp_path: Path) -> None:
    """Hazard ratios alone give no chance."""
    from wardround.evidence.model_card import render_model_card

    study, result = cox()
    record = written(study, result, tmp_path)
    assert record is not None and record.fit is not None
    card = render_model_card(record)
    for one in record.fit.baseline:
        assert one.cumulative_hazard is not None and f"{one.cumulative_hazard:.6g} by {one.horizon:g}" in card
    assert "stratified by hospital" in card and "wardround clinic accept" in card


def test_a_record_without_a_regression_is_written_as_before(tmp_path: Path) -> None:
    """An older release reads it, and a registered run does not become another."""
    study = study_of(FAMILIES["binomial"][0], TERMS)
    record = written(study, in_one_place(analysis_of(study), split(cohort())), tmp_path)
    assert record is not None and RunRecord.from_json(record.to_json()) == record
    without = json.loads(record.to_json())
    del without["fit"]
    assert "fit" not in json.loads(RunRecord.model_validate_json(json.dumps(without)).to_json())


def test_a_study_that_evaluates_refuses_a_regression_in_words(tmp_path: Path) -> None:
    """Its numbers are of 64 bits, and no network reads them."""
    study = study_of(FAMILIES["binomial"][0], TERMS)
    written(study, in_one_place(analysis_of(study), split(cohort())), tmp_path)
    with pytest.raises(RunError, match="is a regression, which no study evaluates"):
        evaluated_in((tmp_path / "model.safetensors").read_bytes(), "model.safetensors")


@real
def test_the_heart_model_answers_for_its_own_label(tmp_path: Path) -> None:
    """The label's own values stay: num above 0 is heart disease."""
    study, parts = heart()
    result = in_one_place(analysis_of(study), parts)
    record = written(study, result, tmp_path)
    assert record is not None and record.fit is not None and record.fit.data.header == study.data.header  # as its files are read
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
