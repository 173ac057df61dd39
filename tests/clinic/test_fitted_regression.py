"""A regression over hospitals, tested and served by a clinic: accepted, in service, asked; what moved an answer is exact."""

import re
from pathlib import Path

import numpy as np
import pytest

from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.acceptance.activating import activate
from wardround.clinic.acceptance.card import blanks, card_file, read_card
from wardround.clinic.acceptance.operating_point import OperatingPoint
from wardround.clinic.answering.network import open_network
from wardround.clinic.answering.serving import in_service
from wardround.clinic.kinds.registry import kind_of
from wardround.clinic.kinds.time import TimeKind
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.simulation.analysing import analyse
from wardround.sources import network_input, prepare
from wardround.study.reading import parse_study

from .web.conftest import running
from .web.visitors import token_in

STUDY = """
format = 1
[question]
title = "Who is readmitted"
intended_use = "A test."
[data]
kind = "table"
[data.splits]
minimum_patients = 1
[[data.columns]]
name = "age"
range = [18, 100]
unit = "years"
[[data.columns]]
name = "ward"
kind = "category"
categories = ["internal", "surgery", "intensive"]
[[data.columns]]
name = "pressure"
range = [60, 220]
max_missing = 0.5
[[data.columns]]
name = "again"
kind = "binary"
[analysis]
largest_hospital = 1000
[analysis.regression]
outcome = "again"
family = "binomial"
[[analysis.regression.terms]]
column = "age"
per = 10
[[analysis.regression.terms]]
column = "ward"
reference = "surgery"
[[analysis.regression.terms]]
column = "pressure"
missing = "indicator"
"""
COX = """
[[data.columns]]
name = "days"
range = [0, 400]
unit = "days"
[analysis.survival]
time = "days"
event = "again"
until = 365
cell = 30
horizons = [90]
[[analysis.survival.terms]]
column = "age"
"""


def table(path: Path, seed: int, count: int = 400) -> Path:
    """Patients of one hospital; some pressures are missing."""
    random = np.random.default_rng(seed)
    age, ward = random.uniform(18, 100, count).round(1), random.integers(0, 3, count)
    pressure, there = random.uniform(80, 200, count).round(), random.random(count) > 0.1
    eta = (age - 60) / 15 + 0.8 * (ward == 2) + 0.01 * np.where(there, pressure - 140, 0.0)
    again = random.random(count) < 1 / (1 + np.exp(-eta))
    days = random.integers(0, 400, count)
    names = ("internal", "surgery", "intensive")
    lines = ["patient,age,ward,pressure,again,days"]
    for row in range(count):
        shown = f"{pressure[row]:g}" if there[row] else ""
        lines.append(f"{path.stem}{row},{age[row]},{names[ward[row]]},{shown},{int(again[row])},{days[row]}")
    path.write_text("\n".join(lines) + "\n")
    return path


def fitted(folder: Path, study: str) -> Path:
    sites = {name: table(folder / f"{name}.csv", seed) for seed, name in enumerate(("north", "south", "west"))}
    return analyse(parse_study(study), sites, out=folder / "run", workers=0, register=False).folder


@pytest.mark.slow
def test_a_regression_is_accepted_put_in_service_and_asked(tmp_path: Path) -> None:
    """The contract of its columns is the form; shares are weight times distance from the mean, without an error."""
    run = fitted(tmp_path, STUDY)
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))
    cases = table(tmp_path / "own.csv", 9)
    record = accept(
        clinic, candidates_of(clinic, str(run)), str(cases), AcceptanceSettings(point=OperatingPoint("sensitivity=0.95"))
    )
    auc = record.asked.raw.value("auc")
    assert record.cases.cases == 400 and auc is not None and auc > 0.75
    card = {item.number: item.text for item in read_card(clinic, record.model, record.card)}
    assert card["9"] == "age (years), ward, pressure" and "Newton's method" in card["12c"]
    assert "intercept" in card["22"] and "3 hospitals" in card["21"]
    path = card_file(clinic, record.model)
    said = re.sub(r"\[to be filled in by [a-z ]+\]", "said by a person", path.read_text("utf-8"))
    path.write_text(said.replace('= ""', '= "said by a person"'), "utf-8")
    assert not blanks(read_card(clinic, record.model, record.card))
    activate(clinic, record.id, by="Dr Li")
    serving = in_service(clinic)
    assert serving is not None and [column.name for column in serving.contract.columns] == ["age", "ward", "pressure"]
    asked = network_input(serving.contract, prepare(serving.contract, {"age": 82, "ward": "intensive", "pressure": None})[None])[
        0
    ]
    answer = serving.answer(asked)
    assert serving.reference is not None
    mean = serving.reference.mean_input
    weights = np.array(
        [serving.network.scores((mean + np.eye(len(mean))[at])[None].astype(np.float32))[0] for at in range(len(mean))]
    )
    weights -= serving.network.scores(mean[None])[0]
    products = weights * (asked - mean)
    parts = [products[0], products[1:4].sum(), products[4:].sum()]
    assert [one.column for one in answer.moved] == ["age", "ward", "pressure"]
    assert np.allclose([one.share for one in answer.moved], parts, atol=1e-4) and all(one.error == 0 for one in answer.moved)

    require_served(clinic, serving.answer(asked).probability)


def require_served(clinic: ClinicPlace, probability: float) -> None:
    """The doctor's form has the regression's columns; the page says what moved the answer; a machine gets the same."""
    for running_clinic in running(clinic):
        anna = running_clinic.logged_in("doctor")
        form = anna.get("/ask").text
        assert "age (years)" in form and "intensive" in form and "from 60 to 220" in form and "days" not in form
        kept = anna.post("/ask", patient="7", token=token_in(form), c0="82", c1="intensive", c2="")
        page = anna.get(kept.headers["location"]).text
        assert kept.status_code == 303 and "What moved this answer" in page and page.count("<meter") == 3
        row = {"age": 82, "ward": "intensive", "pressure": None}
        told = running_clinic.machine().post("/v1/predict", json={"record": row}).json()
        assert told["finding"] == "again" and told["probability"] == pytest.approx(probability, abs=1e-9)


@pytest.mark.slow
def test_a_cox_regression_can_be_asked_at_the_bedside(tmp_path: Path) -> None:
    """Survival at the horizons of its question, whose names the file has."""
    head = STUDY.split("[analysis]")[0]
    columns, survival = COX.split("[analysis.survival]")
    run = fitted(tmp_path, f"{head}{columns}\n[analysis]\nlargest_hospital = 1000\n[analysis.survival]{survival}")
    network = open_network((run / "model.onnx").read_bytes())
    kind = kind_of(network.statement.data.label)
    assert isinstance(kind, TimeKind)
    shown = network.outputs(np.zeros((2, *network.statement.data.input_shape), np.float32)).shown
    assert shown.shape == (2, len(kind.horizons)) and ((shown > 0) & (shown < 1)).all()
