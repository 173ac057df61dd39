"""The archive on the doctor's pages: its studies, the films of one of them, and what waits for an archive that is away."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the test client alone
    import starlette.testclient  # noqa: F401

from tests.clinic.made_clinics import film_clinic
from tests.clinic.web.visitors import Clinic, hosts, token_in
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.dicom_settings import ArchiveSection, DicomSection, NodeSection
from wardround.clinic.place.fhir_settings import FhirSection
from wardround.clinic.store.cases import latest_cases
from wardround.clinic.web.app import application
from wardround.clinic.web.server import opened

from .films import film
from .orthanc import HERE, free_port
from .test_archive import INSTANCE, ROW, STUDY, listing
from .test_listener import wait_for
from .web_archives import WebArchive, dicom_json, part, web_archive

STUDY_ROW = ROW | {"00100010": {"Alphabetic": "Mustermann^Erika"}, "00080020": "20250102", "00081030": "<b>Thorax</b>"}


def running(clinic: ClinicPlace) -> Iterator[Clinic]:
    with opened(clinic) as state:
        yield Clinic(state, application(state, hosts()))


@pytest.fixture(scope="module")
def web() -> Iterator[WebArchive]:
    film_of = listing(part(film()))
    with web_archive(lambda method, path: film_of(method, path) if "/instances" in path else dicom_json(STUDY_ROW)) as archive:
        yield archive


@pytest.fixture(scope="module")
def beside(web: WebArchive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic beside an archive that gives films, and beside another that takes no results."""
    nodes = (NodeSection(name="away", address=HERE, port=free_port()),)
    section = DicomSection(
        port=free_port(), nodes=nodes, archive=ArchiveSection(url=web.url, modalities=("CR",)), results=("report",)
    )
    yield from running(
        film_clinic(tmp_path_factory.mktemp("beside") / "clinic", dicom=section, fhir=FhirSection(readers=("his",)))
    )


@pytest.mark.slow
def test_a_doctor_chooses_a_study_of_the_archive_and_reads_the_answer(beside: Clinic, web: WebArchive) -> None:
    """She sees names as the archive has them; the clinic keeps none."""
    doctor = beside.logged_in("doctor")
    page = doctor.get("/archive").text
    assert (
        "Mustermann Erika" in page and "2025-01-02" in page and "&lt;b&gt;Thorax" in page and "/archive" in doctor.get("/").text
    )
    reply = doctor.post("/archive", token=token_in(page), study=STUDY)
    (case,) = latest_cases(beside.state.store)
    assert (reply.status_code, reply.headers["location"]) == (303, f"/cases/{case.id}") and case.source == "dicom"
    assert "pneumonia" in doctor.get(f"/cases/{case.id}").text.lower()
    assert doctor.post("/archive", token=token_in(page), study=STUDY).status_code == 303  # the same film is the same case
    assert len(latest_cases(beside.state.store)) == 1
    assert [line for line in web.asked if INSTANCE in line]
    assert "Mustermann" not in str(case) and STUDY not in str(case)


def test_a_study_that_is_none_is_refused_before_anybody_is_asked(beside: Clinic, web: WebArchive) -> None:
    """What a form holds becomes part of an address."""
    doctor = beside.logged_in("doctor")
    before = len(web.asked)
    for study in ("../../instances", "1.2.3/../4", "", "1.2.3?x=1"):
        assert doctor.post("/archive", token=doctor.token, study=study).status_code == 422
    assert doctor.post("/archive", token="wrong", study=STUDY).status_code == 403
    assert len(web.asked) == before


def test_what_waits_for_an_archive_is_on_the_worklist(beside: Clinic) -> None:
    """Nobody looks into a log at night."""
    doctor = beside.logged_in("doctor")
    beside.state.dicom.take_study(STUDY)
    assert wait_for(lambda: "wait for away" in doctor.get("/").text, 10)
    assert "cannot be reached" in doctor.get("/").text


@pytest.fixture(scope="module")
def reader(beside: Clinic) -> str:
    return beside.state.people.add_key("his", actor="test")


def order(study: str = STUDY, **changes: Any) -> dict[str, Any]:
    info = {"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{study}"}}
    told = {
        "resourceType": "ServiceRequest",
        "id": "o1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
    }
    return {**told, "supportingInfo": [info], **changes}


def test_an_order_of_a_record_system_is_answered_from_the_archive(beside: Clinic, reader: str) -> None:
    """The order names the study, the report names the order; only a key that the hospital named may order."""
    assert beside.machine().post("/fhir/$answer", json=order()).status_code == 403
    reply = beside.machine(reader).post("/fhir/$answer", json=order())
    assert reply.status_code == 200 and Bundle.model_validate(reply.json())
    told = {entry["resource"]["resourceType"]: entry["resource"] for entry in reply.json()["entry"]}
    assert told["DiagnosticReport"]["basedOn"] == [{"reference": "ServiceRequest/o1"}]
    assert told["RiskAssessment"]["subject"] == {"reference": "Patient/p1"}
    (case,) = latest_cases(beside.state.store)
    assert told["Observation"]["valueQuantity"]["value"] == case.answer["probability"]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "draft"},
        {"intent": "plan"},
        {"doNotPerform": True},
        {"supportingInfo": []},
        {"supportingInfo": 5},
        {"supportingInfo": [{"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:../../x"}}]},
        {
            "supportingInfo": [
                {"identifier": {"system": "urn:dicom:uid", "value": value}} for value in ("urn:oid:1.2", "urn:oid:1.3")
            ]
        },
        {"modifierExtension": [{"url": "u"}]},
    ],
)
def test_an_order_that_is_none_is_refused(beside: Clinic, web: WebArchive, reader: str, changes: dict[str, Any]) -> None:
    """A draft, a prohibition, a study that is an address."""
    before = len(web.asked)
    reply = beside.machine(reader).post("/fhir/$answer", json=order(**changes))
    assert reply.status_code == 422 and reply.json()["resourceType"] == "OperationOutcome" and len(web.asked) == before


def test_without_an_archive_there_is_no_page(tmp_path: Path) -> None:
    """Nor a word of it in the menu."""
    for clinic in running(film_clinic(tmp_path / "clinic")):
        doctor = clinic.logged_in("doctor")
        assert doctor.get("/archive").status_code == 404 and "/archive" not in doctor.get("/").text


def test_an_archive_that_is_away_is_said_on_its_page(tmp_path: Path) -> None:
    """In words, and in the reader's language."""
    section = DicomSection(port=free_port(), archive=ArchiveSection(url=f"http://{HERE}:{free_port()}/dicom-web"))
    for clinic in running(film_clinic(tmp_path / "clinic", dicom=section)):
        assert "cannot be reached" in clinic.logged_in("doctor").get("/archive").text
