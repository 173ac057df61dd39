"""Real patients, from the study to the answer: a model that hospitals taught, tested at one of them, put in service and asked.

Each model learns by the example's own study, for a part of its rounds. Figures are not the point (docs/benchmarks.md has them):
the cases that test it are of a hospital that taught it too.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.acceptance.activating import activate
from wardround.clinic.acceptance.card import card_file
from wardround.clinic.acceptance.judging import judgements
from wardround.clinic.acceptance.page import acceptance_page
from wardround.clinic.acceptance.summary import summary
from wardround.clinic.answering.answer import AnswerInParts
from wardround.clinic.answering.serving import in_service
from wardround.clinic.kinds.limits import TimeLimits
from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.criteria import Criteria
from wardround.simulation.simulate import simulate
from wardround.study.reading import parse_study
from wardround.study.sections.simulation import SimulationSection

EXAMPLES = Path(__file__).parents[3] / "examples"
DATA = Path(os.environ.get("WARDROUND_DATA", ""))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / "uci_heart_disease").is_dir(), reason="set WARDROUND_DATA to a folder with the public data"),
]


def taught(name: str, folder: Path, rounds: int) -> Path:
    """The run folder of an example's study with fewer rounds."""
    text = (EXAMPLES / f"{name}.toml").read_text("utf-8")
    text, count = re.subn(r"(?m)^rounds = \d+", f"rounds = {rounds}", text)
    assert count == 1
    run = folder / name
    simulate(parse_study(text), out=run, division=SimulationSection(by="column"), workers=1, own=False, register=False)
    return run


def put_in_service(folder: Path, run: Path, source: str) -> tuple[ClinicPlace, AcceptanceRecord]:
    """Accepted by the hospital's own minimums, with a card that a person has filled in."""
    clinic = ClinicPlace.begin(folder / "clinic", ClinicSettings(hospital="St Anna"))
    record = accept(clinic, candidates_of(clinic, str(run)), source, AcceptanceSettings())
    card = card_file(clinic, record.model)
    said = re.sub(r"\[to be filled in by [a-z ]+\]", "said by a person", card.read_text("utf-8"))
    card.write_text(said.replace('= ""', '= "said by a person"'), "utf-8")
    activate(clinic, record.id, by="Dr Li")
    return clinic, record


def figure(record: AcceptanceRecord, name: str) -> float:
    value = record.asked.local.value(name)
    assert value is not None
    return value


def answered(clinic: ClinicPlace) -> tuple[AnswerInParts, ...]:
    """Answers to made-up inputs near the hospital's mean patient."""
    model = in_service(clinic)
    assert model is not None and model.reference is not None
    rng = np.random.default_rng(0)
    inputs = model.reference.mean_input + rng.normal(0, 0.3, (8, *model.contract.input_shape)).astype(np.float32)
    answers = tuple(one for one in model.answer_many(inputs) if isinstance(one, AnswerInParts))
    assert len(answers) == 8
    alone = model.answer(inputs[0])
    assert len(alone.moved) == len(model.contract.columns)
    return answers


def test_grades_of_heart_disease_at_long_beach(tmp_path: Path) -> None:
    """Narrowing from 0 to 4 of 130 veterans; no promise of a table is broken, and every doctor's answer is a grade."""
    run = taught("heart_severity", tmp_path, 20)
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="Long Beach"))
    source = str(DATA / "uci_heart_disease" / "processed.va.data")
    record = accept(clinic, candidates_of(clinic, str(run)), source, AcceptanceSettings())
    assert record.cases.cases == 130 and record.cases.counted == {"0": 29, "1": 39, "2": 29, "3": 27, "4": 6}
    covered = record.measured.value("coverage")
    assert covered is not None and 0.83 <= covered <= 0.97
    assert figure(record, "log_loss") < 1.55
    judged = judgements(Criteria(), record)
    assert {one.name: one.met for one in judged}["cases"] and "Quadratic kappa" in acceptance_page(record, judged)
    assert "0: 29, 1: 39, 2: 29, 3: 27, 4: 6" in summary(record, judged)


def test_days_in_intensive_care_are_served(tmp_path: Path) -> None:
    """1,980 stays of the public eICU extract: nine of ten lie in the range that is shown, and every minimum is kept."""
    clinic, record = put_in_service(tmp_path, taught("icu_stay", tmp_path, 15), "eicu_demo")
    covered = record.measured.value("coverage")
    assert covered is not None and 0.88 <= covered <= 0.92
    assert figure(record, "rmse_log") < 0.58 and figure(record, "gain") > 0.05
    for one in answered(clinic):
        (part,) = one.parts
        assert part.low is not None and part.high is not None and 0 <= part.low <= part.value <= part.high <= 30
        assert one.answer.startswith(f"{part.value:.1f} days (")


def test_time_to_death_with_breast_cancer_is_served(tmp_path: Path) -> None:
    """1,088 women, 104 deaths: the chance to live three and five years stands beside what like women had."""
    clinic, record = put_in_service(tmp_path, taught("breast_cancer_time", tmp_path, 30), "fed_tcga_brca")
    assert record.tuned is not None and isinstance(record.tuned.limits, TimeLimits)
    groups = record.tuned.limits.groups
    assert figure(record, "c_index") > 0.7 and figure(record, "gain") > 0
    assert len(groups) == 5 and sum(group.cases for group in groups) == record.cases.cases
    assert groups[0].survival[1] > groups[-1].survival[1] + 0.15
    mean = sum(group.cases * (1 - group.survival[1]) for group in groups) / record.cases.cases
    assert abs(mean - figure(record, "observed_2")) < 0.05
    for one in answered(clinic):
        three, five = one.parts
        assert three.name == "1095 days" and 0 < five.value <= three.value < 1
