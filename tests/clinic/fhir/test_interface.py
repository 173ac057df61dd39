"""FHIR and CDS Hooks over a running clinic: whoever may ask gets the model's own answer, and nobody else gets anything."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.operationoutcome import OperationOutcome

from tests.clinic.dicom.films import film
from tests.clinic.made_clinics import HEART, film_clinic, table_clinic
from tests.clinic.web.visitors import HOST, Clinic, hosts
from wardround.clinic.answering.serving import in_service
from wardround.clinic.fhir.hooks import prefetch
from wardround.clinic.intake.desk import Sender
from wardround.clinic.place.fhir_settings import HooksSection
from wardround.clinic.store.cases import latest_cases
from wardround.clinic.web.app import application
from wardround.clinic.web.server import opened
from wardround.sources import network_input, prepare

from .bundles import MAPPING, bundle, patient, pressure, smoking, whole
from .test_tokens import ISSUER, Issuer

HOOKS = HooksSection(hooks=("patient-view", "order-select"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    clinic = table_clinic(tmp_path_factory.mktemp("tables") / "clinic", fhir=MAPPING, hooks=HOOKS)
    with opened(clinic) as state:
        yield Clinic(state, application(state, hosts()))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with opened(film_clinic(tmp_path_factory.mktemp("films") / "clinic", fhir=MAPPING)) as state:
        yield Clinic(state, application(state, hosts()))


def named(resources: dict[str, Any]) -> dict[str, Any]:
    return {entry["resource"]["resourceType"]: entry["resource"] for entry in resources["entry"]}


def test_a_bundle_is_answered_as_the_model_answers_everywhere(tables: Clinic) -> None:
    """The number in a record system must be the number on the page."""
    reply = tables.machine().post("/fhir/$answer", json=whole())
    assert reply.status_code == 200 and reply.headers["content-type"] == "application/fhir+json"
    assert Bundle.model_validate(reply.json()).type == "collection"
    told = named(reply.json())
    assert set(told) == {"DiagnosticReport", "Observation", "RiskAssessment", "Device", "Provenance"}
    model = in_service(tables.state.place)
    record = {"age": 60, "sex": "f", "smoker": 1, "pressure": 150.0}
    expected = model.answer(network_input(HEART, prepare(HEART, record)[None])[0])
    assert abs(told["Observation"]["valueQuantity"]["value"] - expected.probability) < 1e-12
    assert told["RiskAssessment"]["prediction"][0]["probabilityDecimal"] == told["Observation"]["valueQuantity"]["value"]
    subjects = {told[kind]["subject"]["reference"] for kind in ("DiagnosticReport", "Observation", "RiskAssessment")}
    assert subjects == {"Patient/p1"} and told["Device"]["identifier"][0]["value"] == model.acceptance.model
    targets = {target["reference"] for target in told["Provenance"]["target"]}
    assert targets <= {entry["fullUrl"] for entry in reply.json()["entry"]} and len(targets) == 3
    assert "RESEARCH USE ONLY" in told["DiagnosticReport"]["conclusion"]
    assert all(resource["meta"]["security"][0]["code"] == "HRESCH" for resource in told.values())


def test_a_report_can_be_asked_for_again_by_its_own_key_alone(tables: Clinic) -> None:
    """A case of another machine does not exist: its patient is not that machine's."""
    made = named(tables.machine().post("/fhir/$answer", json=whole()).json())
    case = made["DiagnosticReport"]["identifier"][0]["value"]
    again = tables.machine().get(f"/fhir/DiagnosticReport/{case}")
    assert again.status_code == 200 and DiagnosticReport.model_validate(again.json()).status == "preliminary"
    assert {one["resourceType"] for one in again.json()["contained"]} == {"Device", "Observation", "RiskAssessment"}
    listed = tables.machine().get("/fhir/DiagnosticReport", params={"_id": case}).json()
    assert listed["total"] == 1 and set(named(listed)) == set(made)
    assert "Patient/p1" not in json.dumps(again.json())  # the clinic keeps a pseudonym alone
    other = tables.state.people.add_key("another-machine", actor="test")
    for address in (f"/fhir/DiagnosticReport/{case}", f"/fhir/DiagnosticReport/{'0' * 32}"):
        reply = tables.machine(other).get(address)
        assert reply.status_code == 404 and OperationOutcome.model_validate(reply.json())
    assert tables.machine(other).get("/fhir/DiagnosticReport", params={"_id": case}).json()["total"] == 0


@pytest.mark.slow
def test_reports_of_films_are_found_by_their_study_where_the_hospital_says_so(films: Clinic) -> None:
    """A record system knows the study; which key may read, stands in clinic.toml."""
    films.state.desk.submit(film(), Sender("dicom", "dicom MODALITY"))
    reader = films.state.people.add_key("his", actor="test")
    query = {"identifier": "urn:dicom:uid|urn:oid:1.2.276.0.7.1.1"}
    listed = films.machine(reader).get("/fhir/DiagnosticReport", params=query).json()
    assert listed["total"] == 1 and Bundle.model_validate(listed)
    assert "films with an answer like this one" in named(listed)["DiagnosticReport"]["conclusion"]
    assert not any(word in json.dumps(listed) for word in ("Mustermann", "4711", "1.2.276.0.7.1.1"))
    assert films.machine().get("/fhir/DiagnosticReport", params=query).json()["total"] == 0
    for wrong in ({}, {"identifier": "1.2.3"}, {"identifier": "urn:dicom:uid|urn:oid:../x"}, {"_id": "a", "identifier": "b"}):
        reply = films.machine(reader).get("/fhir/DiagnosticReport", params=wrong)
        assert reply.status_code == 400 and reply.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"no json", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b"[]", 400, "object"),
        (json.dumps(bundle(patient(), pressure(5, "[psi]"))).encode(), 422, "unit"),
        (json.dumps(bundle(patient(birthDate="1900-01-01"), smoking(), pressure())).encode(), 422, "age"),
        (json.dumps(bundle(smoking(), pressure())).encode(), 422, "age"),
    ],
)
def test_a_bundle_that_cannot_be_answered_is_refused_as_an_outcome(tables: Clinic, body: bytes, status: int, word: str) -> None:
    """In FHIR's own form, without a value of the patient, and without a case."""
    before = len(latest_cases(tables.state.store, 1000))
    reply = tables.machine().post("/fhir/$answer", content=body, headers={"content-type": "application/fhir+json"})
    assert reply.status_code == status and word in reply.json()["issue"][0]["diagnostics"]
    assert OperationOutcome.model_validate(reply.json()) and "1900" not in reply.text
    assert len(latest_cases(tables.state.store, 1000)) == before


def test_nobody_without_a_key_gets_a_word(tables: Clinic) -> None:
    """Also not what the server can do."""
    nobody = tables.visitor().client
    routes = [("get", "/fhir/metadata"), ("post", "/fhir/$answer"), ("get", "/cds-services"), ("post", "/cds-services/x")]
    for method, address in routes:
        reply = nobody.request(method, address)
        assert reply.status_code == 401 and "www-authenticate" in reply.headers
    assert CapabilityStatement.model_validate(tables.machine().get("/fhir/metadata").json()).fhirVersion == "4.0.1"


def test_a_model_of_films_takes_no_bundle(films: Clinic) -> None:
    """And says which door is the right one."""
    reply = films.machine().post("/fhir/$answer", json=whole())
    assert reply.status_code == 409 and "reads images" in reply.text


def call(**changes: Any) -> dict[str, Any]:
    return {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/1", "patientId": "p1"},
        "prefetch": {"patient": patient(), "observations1": bundle(smoking(), pressure())},
        **changes,
    }


def test_discovery_says_what_each_service_needs(tables: Clinic) -> None:
    """A record system sends what the templates ask for, and nothing else."""
    told = tables.machine().get("/cds-services").json()["services"]
    assert [(one["hook"], one["id"]) for one in told] == [
        ("patient-view", "wardround-patient-view"),
        ("order-select", "wardround-order-select"),
    ]
    assert told[0]["prefetch"] == prefetch(MAPPING)
    assert told[0]["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    codes = told[0]["prefetch"]["observations1"]
    assert "http://loinc.org|72166-2" in codes and "http://loinc.org|8480-6" in codes
    assert "research use only" in told[0]["description"].lower()


def test_a_hook_answers_with_a_card(tables: Clinic) -> None:
    """The answer in words, where it comes from, research use first, and the way to the case."""
    reply = tables.machine().post("/cds-services/wardround-patient-view", json=call())
    (card,) = reply.json()["cards"]
    case = latest_cases(tables.state.store)[0]
    assert case.source == "hooks" and case.patient == tables.state.desk.pseudonym("Patient/p1")
    assert card["summary"].startswith("RESEARCH USE ONLY: heart disease") and len(card["summary"]) <= 140
    assert f"{case.answer['probability']:.2f}" in card["summary"] and card["indicator"] == "info"
    assert card["source"] == {"label": "Wardround clinic, research use only", "url": f"http://{HOST}/cases/{case.id}"}
    assert "films" not in card["detail"] and case.id in card["detail"]


def test_a_hook_without_what_it_needs_says_so(tables: Clinic) -> None:
    """412 where the record system did not send it; a card where the record itself lacks it."""
    machine, address = tables.machine(), "/cds-services/wardround-patient-view"
    assert machine.post(address, json=call(prefetch={"patient": patient()})).status_code == 412
    assert machine.post(address, json=call(prefetch=None)).status_code == 412
    lacking = call(prefetch={"patient": patient(birthDate="1960"), "observations1": None})
    (card,) = machine.post(address, json=lacking).json()["cards"]
    assert "no answer" in card["summary"] and "'age'" in card["detail"]


@pytest.mark.parametrize(
    ("service", "changes", "status"),
    [
        ("wardround-order-sign", {}, 404),
        ("wardround-patient-view", {"hook": "order-select"}, 400),
        ("wardround-patient-view", {"hookInstance": 5}, 400),
        ("wardround-patient-view", {"context": {"patientId": "p2"}}, 400),
        ("wardround-patient-view", {"context": {}}, 400),
        ("wardround-patient-view", {"context": []}, 400),
    ],
)
def test_a_call_that_is_none_is_refused(tables: Clinic, service: str, changes: dict[str, Any], status: int) -> None:
    """Most of all one whose record is not of the patient whose page is open."""
    before = len(latest_cases(tables.state.store, 1000))
    assert tables.machine().post(f"/cds-services/{service}", json=call(**changes)).status_code == status
    assert len(latest_cases(tables.state.store, 1000)) == before


def test_without_the_section_there_are_no_hooks(films: Clinic) -> None:
    """Off by default."""
    assert films.machine().get("/cds-services").status_code == 404


def test_with_issuers_a_call_needs_a_token_and_no_key(tmp_path: Path) -> None:
    """A key that leaked from one machine must not open what only the record system may open."""
    issuer = Issuer(tmp_path)
    with opened(table_clinic(tmp_path / "clinic", fhir=MAPPING, hooks=issuer.section)) as state:
        clinic = Clinic(state, application(state, hosts()))
        address = "/cds-services/wardround-patient-view"
        assert clinic.machine().post(address, json=call()).status_code == 401
        signed = clinic.machine(issuer.token())
        assert signed.post(address, json=call()).status_code == 200
        assert signed.post(address, json=call()).status_code == 401
        assert latest_cases(state.store)[0].sender == ISSUER
