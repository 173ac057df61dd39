"""One answer of every kind on every door that gives it: the form, the case's page, the worklist, the patient's sheet and /v1."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clinic.kinds.made_questions import KINDS, QUESTIONS, write_cases
from tests.clinic.web.conftest import running
from tests.clinic.web.visitors import Clinic, token_in
from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.answering.public_bins import SCORE, bin_numbers
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.service import activate
from wardround.clinic.store.cases import case_of
from wardround.clinic.watch.case_counts import case_counts, labelled_cases
from wardround.clinic.web.drawing import NumberDrawn, number_line, survival_curve

ROW = {"age": 63, "sex": "m", "pressure": 150}


def with_kind(clinic: ClinicPlace, name: str, folder: Path) -> ClinicPlace:
    """Puts a made model of that kind in service; no minimum is asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.onnx").write_bytes(QUESTIONS[name].model(offset=0.2))
    source = write_cases(folder / f"{name}.csv", QUESTIONS[name], 240)
    record = accept(clinic, candidates_of(clinic, str(folder / f"{name}.onnx")), str(source), AcceptanceSettings())
    activate(clinic, record.id, record.model, by="Dr Li")
    return clinic


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Clinic]]:
    folder = tmp_path_factory.mktemp(request.param)
    clinic = ClinicPlace.begin(folder / "clinic", ClinicSettings(hospital="St Anna"))
    for one in running(with_kind(clinic, request.param, folder)):
        yield request.param, one


def test_the_page_the_store_and_v1_give_one_value(served: tuple[str, Clinic]) -> None:
    """A doctor and a machine that are told different things would both trust theirs."""
    name, clinic = served
    told = clinic.machine().post("/v1/predict", json={"record": ROW}).json()
    doctor = clinic.logged_in("doctor")
    kept = doctor.post("/ask", patient="7", token=token_in(doctor.get("/ask").text), c0="63", c1="m", c2="150")
    case_id = kept.headers["location"].rpartition("/")[2]
    stored = case_of(clinic.state.store, case_id)
    assert kept.status_code == 303 and stored is not None
    assert told["kind"] == name == stored.answer["kind"]
    for key in ("answer", "parts", "verdict", "reasons", "model", "acceptance", "score_bin"):
        assert told[key] == stored.answer[key], key
    page, worklist, sheet = (doctor.get(path).text for path in (f"/cases/{case_id}", "/", f"/cases/{case_id}/sheet"))
    verdict = html.unescape(page.split('id="verdict">')[1].split("<")[0])
    assert verdict in html.unescape(worklist) and verdict in told["sentence"]
    if told["verdict"] == "cannot-tell":
        assert verdict == "cannot tell" and "cannot tell" in sheet and told["reasons"]
    assert "None" not in page and "nan" not in page.split("<main")[1]
    assert "What moved this answer" in page and page.count("<h1>") == 1


def test_a_machine_reads_its_answer_again_and_the_schema_knows_it(served: tuple[str, Clinic]) -> None:
    """Who builds on the interface reads the description, and not our code."""
    _, clinic = served
    machine = clinic.machine()
    told = machine.post("/v1/predict", json={"record": ROW}).json()
    assert machine.get(f"/v1/cases/{told['case']}").json() == told
    facts = machine.get("/v1/model").json()
    assert facts["threshold"] is None and facts["contract"]["label"]["kind"] == told["kind"]
    schema = machine.get("/v1/openapi.json").json()["components"]["schemas"]["PredictionInParts"]
    assert set(told) == set(schema["properties"])
    batch = machine.post("/v1/predict/batch", json={"records": [ROW, {**ROW, "age": 900}]}).json()["answers"]
    assert batch[0]["answer"] == told["answer"] and "error" in batch[1]


def test_every_page_says_it_in_chinese_too(served: tuple[str, Clinic]) -> None:
    """A sentence without a translation would be an error on the page."""
    _, clinic = served
    doctor = clinic.logged_in("doctor")
    kept = doctor.post("/ask", patient="8", token=token_in(doctor.get("/ask").text), c0="80", c1="f", c2="190")
    doctor.post("/language", token=token_in(doctor.get("/ask").text), language="zh", back="/")
    case = kept.headers["location"]
    for path in (case, "/", f"{case}/sheet", "/facts", "/leaflet"):
        answer = doctor.get(path)
        assert answer.status_code == 200 and 'lang="zh"' in answer.text, path
    assert doctor.get(f"{case}/sheet.pdf").content.startswith(b"%PDF")
    doctor.post("/language", token=token_in(doctor.get("/ask").text), language="en", back="/")


def test_what_watches_the_model_counts_these_answers_too(served: tuple[str, Clinic]) -> None:
    """A model of classes ages like any other: its answers lie in public bins, and nothing of a case goes on."""
    _, clinic = served
    clinic.machine().post("/v1/predict", json={"record": ROW})
    watch = clinic.logged_in("data-manager").get("/watch")
    assert watch.status_code == 200 and "Answer (index)" in watch.text
    contract = clinic.state.desk.model.contract
    counts = case_counts(clinic.state.store, contract, 0.0, 1e12, acceptance=clinic.state.desk.model.acceptance_id)
    assert counts.cases and counts.bins[SCORE].sum() == counts.cases and len(counts.bins[SCORE]) == bin_numbers(contract)[SCORE]
    assert labelled_cases(clinic.state.store) == ((), 0)


def test_a_doctor_agrees_and_the_register_lists_it(served: tuple[str, Clinic]) -> None:
    """Her word is kept, and is no label: what is right instead of the answer it does not say."""
    _, clinic = served
    doctor = clinic.logged_in("doctor")
    kept = doctor.post("/ask", patient="9", token=token_in(doctor.get("/ask").text), c0="40", c1="f", c2="120")
    case = kept.headers["location"]
    said = doctor.post(f"{case}/feedback", token=token_in(doctor.get(case).text), opinion="agree", comment="as seen")
    assert said.status_code == 303 and "I agree" in doctor.get(case).text
    register = clinic.logged_in("data-manager").get("/register").text
    assert "answered" in register and "None" not in register.split("<main")[1]


def test_fhir_gives_the_same_answer(served: tuple[str, Clinic]) -> None:
    """A record system that asks again by the case is told what the machine was told."""
    _, clinic = served
    told = clinic.machine().post("/v1/predict", json={"record": ROW}).json()
    found = clinic.machine().get("/fhir/DiagnosticReport", params={"_id": told["case"]})
    assert found.status_code == 200 and found.json()["total"] == 1
    numbers = {round(float(word), 9) for word in re.findall(r'"value": ?([0-9.e-]+)', found.text)}
    assert {round(part["value"], 9) for part in told["parts"]} <= numbers
    untold = any("dataAbsentReason" in entry["resource"] for entry in found.json()["entry"])
    assert untold == (told["verdict"] == "cannot-tell" and told["kind"] != "findings")


def test_drawings_escape_what_a_study_calls_things_and_stay_in_their_frame() -> None:
    """A unit or an event comes from a study file, which others wrote."""
    bad = '"><script>alert(1)</script>'
    line = number_line(NumberDrawn(40.0, (-5.0, 99.0), (0.0, 30.0), (bad, "30"), bad))
    curve = survival_curve([(2.0, 0.9, 0.8, 0.95), (5.0, 0.0, None, None)], bad, bad)
    for drawing in (line, curve):
        assert "<script" not in drawing and "&lt;script" in drawing
        places = [float(number) for number in re.findall(r' (?:cx|x1|x2)="([-0-9.]+)"', drawing)]
        assert all(0 <= one <= 480 for one in places)
