"""A running clinic with a model of another question: what a machine gets over FHIR and CDS Hooks is what the model answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fhir.resources.R4B.bundle import Bundle

from tests.clinic.kinds.made_questions import QUESTIONS, write_cases
from tests.clinic.web.visitors import Clinic, hosts
from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.answering.answer import AnswerInParts
from wardround.clinic.answering.serving import in_service
from wardround.clinic.fhir.hooks import prefetch
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.fhir_settings import HooksSection
from wardround.clinic.place.service import activate
from wardround.clinic.store.cases import say_opinion
from wardround.clinic.watch.drift import drift_of
from wardround.clinic.watch.labels import label_table
from wardround.clinic.watch.register import ANSWER, register, register_csv
from wardround.clinic.web.app import application
from wardround.clinic.web.server import opened
from wardround.sources import network_input, prepare

from .bundles import MAPPING, bundle, patient, pressure

TABLE = MAPPING.changed(columns=[one.model_dump(mode="json") for one in MAPPING.columns if one.column != "smoker"])
HOOKS = HooksSection(hooks=("patient-view",))


def clinic_of(folder: Path, name: str) -> ClinicPlace:
    clinic = ClinicPlace.begin(folder / "clinic", ClinicSettings(hospital="St Anna", fhir=TABLE, hooks=HOOKS))
    (folder / "model.onnx").write_bytes(QUESTIONS[name].model())
    cases = write_cases(folder / "cases.csv", QUESTIONS[name], 120)
    record = accept(clinic, candidates_of(clinic, str(folder / "model.onnx")), str(cases), AcceptanceSettings())
    activate(clinic, record.id, record.model, by="Dr Li")
    return clinic


@pytest.mark.parametrize("name", ["classes", "findings", "number", "time"])
def test_a_record_system_gets_what_the_model_answers_and_the_watch_counts_it(name: str, tmp_path: Path) -> None:
    """One answer at every door; a doctor's word counts as agreement, and never as a label of what it leaves open."""
    place = clinic_of(tmp_path, name)
    with opened(place) as state:
        clinic, model = Clinic(state, application(state, hosts())), in_service(place)
        reply = clinic.machine().post("/fhir/$answer", json=bundle(patient(), pressure()))
        assert reply.status_code == 200 and Bundle.model_validate(reply.json()).type == "collection"
        expected = model.answer(
            network_input(model.contract, prepare(model.contract, {"age": 60, "sex": "f", "pressure": 150})[None])[0]
        )
        assert isinstance(expected, AnswerInParts)
        numbers = set(np.round(list(_numbers(reply.json())), 9).tolist())
        assert {round(part.value, 9) for part in expected.parts} <= numbers
        hook = {"hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": {"patientId": "p1"}}
        asked = {key: patient() if key == "patient" else bundle(pressure()) for key in prefetch(TABLE)}
        told = clinic.machine().post("/cds-services/wardround-patient-view", json={**hook, "prefetch": asked})
        assert told.status_code == 200 and len(told.json()["cards"]) == 1
        (service,) = clinic.machine().get("/cds-services").json()["services"]
        assert service["id"] == "wardround-patient-view"
        lines = register(state.store)
        assert {line.answer for line in lines} == {expected.answer} and ANSWER in register_csv(lines).splitlines()[0].split(",")
        for number, line in enumerate(lines):
            say_opinion(state.store, line.case, "d1", "anna", ("agree", "disagree")[number], "")
        watched = replace(drift_of(state.store, model.acceptance, place.settings.watch, state.store.clock() + 1.0))
        figures = {figure.name: figure for figure in watched.figures}
        told_cases = sum(line.verdict == "told" for line in lines)
        assert figures["agreement"].cases == told_cases and "calibration" not in figures and "score" in figures
        assert label_table(state.store).cases == label_table(state.store).undecided == 0


def _numbers(told: Any) -> "list[float]":
    if isinstance(told, dict):
        return [number for value in told.values() for number in _numbers(value)]
    if isinstance(told, list):
        return [number for value in told for number in _numbers(value)]
    return [told] if isinstance(told, float) else []
