"""A clinic of a drug discovery partner: a molecule is asked by its SMILES, on the page and over REST, and drawn where it is."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rdkit")

from tests.clinic.made_clinics import serve_model
from tests.clinic.made_models import linear_model
from wardround.clinic.answering.serving import in_service
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.web.app import application
from wardround.clinic.web.server import opened
from wardround.sources import network_input, prepare
from wardround.study.contract import DataContract, LabelContract, MoleculeContract

from .visitors import Clinic, hosts, token_in

ASPIRIN, CAFFEINE = "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C)C(=O)N2C"
TOXIC = DataContract(kind="molecule", molecule=MoleculeContract(), label=LabelContract(name="toxic", column="toxic"))


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    place = ClinicPlace.begin(tmp_path_factory.mktemp("molecules") / "clinic", ClinicSettings(hospital="Ash"))
    rng = np.random.default_rng(3)
    own = (rng.random((60, 2048)) < 0.02).astype(np.float32)
    serve_model(place, linear_model(rng.normal(0, 0.3, 2048), -0.2, TOXIC), TOXIC, own)
    with opened(place) as state:
        yield Clinic(state, application(state, hosts()))


def probability(clinic: Clinic, smiles: str) -> float:
    model = in_service(clinic.state.place)
    return model.answer(network_input(TOXIC, prepare(TOXIC, smiles)[None])[0]).probability


def test_a_molecule_is_asked_on_the_page_answered_and_drawn(molecules: Clinic) -> None:
    """What is asked is seen beside the answer, and the SMILES stands nowhere: not on the page, not in any file of the clinic."""
    doctor = molecules.logged_in("doctor")
    form = doctor.get("/ask").text
    assert "Ask about a molecule" in form and "smiles" in form and 'name="patient"' not in form
    asked = {"token": token_in(form), "c0": ASPIRIN}
    told = doctor.client.post("/ask/try", data=asked, headers={"accept": "application/json"}).json()
    assert abs(told["probability"] - probability(molecules, ASPIRIN)) < 1e-6
    kept = doctor.post("/ask", **asked)
    assert kept.status_code == 303
    page = doctor.get(kept.headers["location"]).text
    (place,) = re.findall(r'<img src="(/cases/[0-9a-f]{32}/molecule)"', page)
    drawn = doctor.get(place)
    assert drawn.headers["content-type"].startswith("image/svg+xml") and drawn.text.startswith("<svg")
    assert "default-src 'none'" in drawn.headers["content-security-policy"]
    written = b"".join(path.read_bytes() for path in Path(molecules.state.place.path).rglob("*") if path.is_file())
    assert "compounds with an answer like this one" in page and "Ask about a patient" not in page
    assert doctor.get(f"{kept.headers['location']}/sheet").status_code == 404
    assert ASPIRIN not in page + drawn.text and ASPIRIN.encode() not in written


def test_a_molecule_is_asked_over_rest_one_or_many(molecules: Clinic) -> None:
    """A screening program asks thousands; one that is no molecule costs no other, and its SMILES is not told back."""
    machine = molecules.machine()
    told = machine.post("/v1/predict", json={"record": {"smiles": CAFFEINE}})
    assert told.status_code == 200
    assert abs(told.json()["probability"] - probability(molecules, CAFFEINE)) < 1e-6
    records = [{"smiles": CAFFEINE}, {"smiles": "(" * 30}, {"smiles": ASPIRIN}, {"smiles": None}, {}]
    answers = machine.post("/v1/predict/batch", json={"records": records}).json()["answers"]
    assert ["error" in answer for answer in answers] == [False, True, False, True, True]
    assert "((" not in str(answers) and answers[0]["probability"] == told.json()["probability"]
    report = machine.get("/fhir/DiagnosticReport", params={"_id": told.json()["case"]}).json()
    assert report["total"] == 1 and "compounds with an answer like this one" in str(report) and "patients" not in str(report)
    refused = machine.post("/fhir/$answer", json={"resourceType": "Bundle", "type": "collection", "entry": []})
    assert refused.status_code >= 400 and "SMILES" in refused.text and "images" not in refused.text
    wrong = machine.post("/v1/predict", json={"record": {"smiles": "benzol" * 9}})
    assert wrong.status_code == 422 and "benzol" not in wrong.text
    assert (
        machine.post("/v1/predict", content=b"\x89PNG", headers={"content-type": "application/octet-stream"}).status_code == 409
    )


def test_a_doctor_sees_the_drawing_of_what_a_machine_asked_until_it_is_forgotten(molecules: Clinic) -> None:
    """A chemist looks at what the screening found; after a restart the answer stands without the drawing."""
    case = molecules.machine().post("/v1/predict", json={"record": {"smiles": ASPIRIN}}).json()["case"]
    doctor = molecules.logged_in("doctor")
    assert f"/cases/{case}/molecule" in doctor.get(f"/cases/{case}").text
    molecules.state.desk.molecules.remember(case, ASPIRIN)
    molecules.state.desk.molecules._asked.clear()
    page = doctor.get(f"/cases/{case}")
    assert page.status_code == 200 and "/molecule" not in page.text
    assert doctor.get(f"/cases/{case}/molecule").status_code == 404
    assert molecules.logged_in("auditor").get(f"/cases/{case}/molecule").status_code == 403


def test_without_rdkit_a_molecule_is_refused_with_what_to_install(molecules: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clinic is installed without chemistry unless somebody asks for it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    told = molecules.machine().post("/v1/predict", json={"record": {"smiles": CAFFEINE}})
    assert told.status_code >= 400 and "wardround[chemistry]" in told.text
