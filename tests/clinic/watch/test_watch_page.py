"""The page of what is watched, and the banner of alerts on every page; /metrics of a running clinic."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clinic.dicom_files import NUMBER, dicom, film_pixels
from tests.clinic.made_clinics import ClinicPlace
from tests.clinic.watch.made_weeks import accepted_record, add_cases, serve_record
from tests.clinic.web.conftest import running
from tests.clinic.web.visitors import Clinic, token_in
from wardround.clinic.place.clinic_place import ClinicSettings
from wardround.clinic.store.cases import audit_lines
from wardround.clinic.watch.alerts import open_alerts


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    place = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))
    record = serve_record(place, accepted_record())
    for one in running(place):
        add_cases(one.state.store, record, 150, moved=1.5, given=one.state.store.clock() - 60)
        yield one


def test_an_alert_is_on_every_page_until_it_ends_and_somebody_reads_it(clinic: Clinic) -> None:
    """In both languages; who read it first stands in the audit."""
    auditor = clinic.logged_in("auditor")
    page = auditor.get("/watch").text
    assert "beyond" in page and "Brightness of films" in page and "I have read it" in page
    assert "Alerts about the model" in auditor.get("/facts").text and "Alerts about" not in clinic.visitor().get("/login").text
    number = open_alerts(clinic.state.store)[0].id
    read = auditor.post("/watch/seen", alert=str(number), token=token_in(page)).text
    assert read.count("Somebody has read it") == 1
    assert [line["actor"] for line in audit_lines(clinic.state.store) if line["action"] == "alert-seen"] == ["olga"]
    assert auditor.post("/watch/seen", alert=str(number), token="wrong").status_code == 403
    auditor.post("/language", language="zh", token=token_in(page))
    assert "超出" in auditor.get("/watch").text


def test_metrics_are_closed_to_others_and_name_nobody(clinic: Clinic) -> None:
    """The test's client comes from no loopback address; a token opens them."""
    doctor = clinic.logged_in("doctor")
    assert doctor.drop(dicom(film_pixels(), BitsStored=12)).status_code == 200
    assert clinic.visitor().get("/metrics").status_code == 401
    settings = clinic.state.settings
    clinic.state.settings = settings.changed(watch=settings.watch.changed(metrics_token="s3cret"))
    reply = clinic.visitor(authorization="Bearer s3cret").get("/metrics")
    assert reply.status_code == 200 and 'door="page"' in reply.text and reply.headers["content-type"].startswith("text/plain")
    assert NUMBER not in reply.text and "anna" not in reply.text


@pytest.mark.slow
def test_a_withdrawn_case_is_gone_from_every_page(clinic: Clinic) -> None:
    """Also from the film that is still in memory."""
    doctor, manager = clinic.logged_in("doctor"), clinic.logged_in("data-manager")
    case = doctor.drop(dicom(film_pixels(), BitsStored=12)).json()["case"]
    assert doctor.get(f"/cases/{case}").status_code == 200 and case in doctor.get("/").text
    token = token_in(manager.get("/register").text)
    assert case in manager.post("/register/withdraw", patient=NUMBER, token=token).text
    assert doctor.get(f"/cases/{case}").status_code == 404 and case not in doctor.get("/").text
    assert doctor.get(f"/cases/{case}/film").status_code == 404
