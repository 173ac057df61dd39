"""The register and a withdrawal in the browser: who answered, who learnt, who looked; and that the looking is noted."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pyotp
import pytest

from tests.clinic.dicom_files import NUMBER, dicom, film_pixels
from tests.clinic.made_clinics import film_clinic
from tests.clinic.watch.made_weeks import accepted_record, add_cases
from wardround.clinic.store.cases import audit_lines, case_of
from wardround.clinic.store.database import Store
from wardround.clinic.store.people import People
from wardround.clinic.watch.withdrawal import Learnt
from wardround.clinic.web.app import application
from wardround.clinic.web.register_pages import PAGE_ROWS
from wardround.clinic.web.server import opened, store_url
from wardround.sources.excluded_patients import ExcludedPatients
from wardround.values.errors import RunError

from .served import served
from .visitors import PASSWORD, Clinic, hosts, secret_in, token_in

FILM = dicom(film_pixels(), BitsStored=12)
LEARNT = (
    Learnt("a1" * 32, "Pneumonia <b>2025</b>", "films", "train", ("b2" * 32, "c3" * 32)),
    Learnt("d4" * 32, "Fractures", "films", "none", ()),
)


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    with opened(film_clinic(tmp_path / "clinic")) as state:
        yield Clinic(state, application(state, hosts()))


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


@pytest.mark.slow
def test_a_withdrawal_lists_who_answered_her_and_who_learnt_from_her(clinic: Clinic) -> None:
    """They are two questions: a model that never saw her film may have learnt from it, and the other way round."""
    asked = []

    def learnt(patient: str, reads_data: bool) -> tuple[Learnt, ...]:
        asked.append((patient, reads_data))
        return LEARNT

    clinic.state.learnt = learnt
    case = clinic.logged_in("doctor").drop(FILM).json()["case"]
    dan = clinic.logged_in("data-manager")
    page = dan.post("/register/withdraw", token=dan.token, patient=f" {NUMBER} ", read="yes").text
    section = text_of(page.split('id="withdrawn"')[1].split("</section>")[0])
    assert asked == [(NUMBER, True)] and case in section and clinic.state.model.acceptance.model[:12] in section
    assert "it learnt from her. Models: b2b2b2b2b2b2, c3c3c3c3c3c3" in section and "she is not in it" in section
    assert "<b>2025" not in page and NUMBER not in page
    stored = case_of(clinic.state.store, case)
    assert stored is not None and stored.withdrawn
    dan.post("/register/withdraw", token=dan.token, patient=NUMBER)
    assert asked[-1] == (NUMBER, False)


def test_a_withdrawal_is_done_also_where_nobody_can_say_who_learnt(clinic: Clinic) -> None:
    """What may not happen any more does not wait for an answer about what happened."""
    dan = clinic.logged_in("data-manager")
    alone = dan.post("/register/withdraw", token=dan.token, patient="P1").text
    assert "runs beside no site" in alone and "No case of this patient" in alone

    def failed(*_: object) -> tuple[Learnt, ...]:
        raise RunError("It could not be found out which models learnt from this patient", found="the disk", hint="look")

    clinic.state.learnt = failed
    page = dan.post("/register/withdraw", token=dan.token, patient="P2")
    assert page.status_code == 200 and "could not be found out" in page.text
    clinic.state.learnt = lambda *_: ()
    assert "has decided about no study" in dan.post("/register/withdraw", token=dan.token, patient="P3").text
    assert len(ExcludedPatients.of_user().among(np.array(["P1", "P2", "P3"])).nonzero()[0]) == 3
    before = len(audit_lines(clinic.state.store))
    assert dan.post("/register/withdraw", token=dan.token, patient=" ").status_code == 200
    assert len(audit_lines(clinic.state.store)) > before


@pytest.mark.slow
@pytest.mark.parametrize("role", ["auditor", "administrator", "data-manager"])
def test_the_register_shows_which_model_answered_which_case_and_who_looked(clinic: Clinic, role: str) -> None:
    """By pseudonym; and whoever reads it stands in the audit herself. The form to withdraw is the data manager's alone."""
    anna = clinic.logged_in("doctor")
    case = anna.drop(FILM).json()["case"]
    anna.get(f"/cases/{case}")
    visitor = clinic.logged_in(role)
    page = visitor.get("/register").text
    row = text_of(next(line for line in page.splitlines() if case[:12] in line))
    record = clinic.state.model.acceptance
    pseudonym = clinic.state.desk.pseudonym(NUMBER)
    assert record.model[:12] in row and record.id[:8] in row and pseudonym[:12] in row and "anna, 20" in row
    assert NUMBER not in page and "Mustermann" not in page
    assert ("/register/withdraw" in page) is (role == "data-manager")
    assert ("register-seen", "/register?page=1") in {(one["action"], one["subject"]) for one in audit_lines(clinic.state.store)}
    assert case[:12] in visitor.get(f"/register?patient={pseudonym}&model={record.model[:6]}&seen_by=anna").text
    for nothing in ("case=ffff", "seen_by=olga", "patient=x", "model=%25"):
        assert "No answer was given that fits" in visitor.get(f"/register?{nothing}").text
    assert 'href="/register"' in page


def test_the_register_is_read_a_page_at_a_time(clinic: Clinic) -> None:
    """A year of a hospital does not fit on one; every answer is on exactly one page."""
    record = accepted_record()
    ids = add_cases(clinic.state.store, record, 2 * PAGE_ROWS + 7, cannot_tell=0, unusual=0)
    olga = clinic.logged_in("auditor")
    pages = [olga.get(f"/register?model={record.model[:8]}&page={number}").text for number in (1, 2, 3, 4)]
    found = [[case for case in ids if f"<td>{case[:12]}</td>" in page] for page in pages]
    assert [len(one) for one in found] == [PAGE_ROWS, PAGE_ROWS, 7, 0] and {case for page in found for case in page} == set(ids)
    assert "Page 2 of 3" in pages[1] and f"model={record.model[:8]}&amp;page=3" in pages[1] and "Newer" not in pages[0]
    assert "Older" not in pages[2]
    for wrong in ("0", "-1", "99999999999999999999", "x"):
        assert olga.get(f"/register?page={wrong}").status_code == 422
    assert olga.get(f"/register?case={'a' * 65}").status_code == 422
    assert olga.get("/register?case=%00").status_code == 400
    assert "<script>alert" not in olga.get("/register?seen_by=<script>alert(1)</script>").text


@pytest.mark.slow
def test_the_command_that_serves_the_clinic_knows_the_hospitals_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page and `wardround clinic withdraw` ask the same site; one that is damaged is said, after the withdrawal is done."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WARDROUND_SITE", str(tmp_path / "site"))
    clinic = film_clinic(tmp_path / "clinic")
    with Store(store_url(clinic)) as store:
        People(store, clinic.path).add("dan", "data-manager", PASSWORD, actor="test")
    with served(clinic.path) as (address, _), httpx.Client(base_url=f"http://{address}", follow_redirects=True) as browser:
        browser.timeout = httpx.Timeout(120)
        page = browser.post("/login", data={"name": "dan", "password": PASSWORD}).text
        code = pyotp.TOTP(secret_in(page)).now()
        token = token_in(browser.post("/second", data={"code": code, "token": token_in(page)}).text)
        fields = {"token": token, "patient": "P-77", "read": "yes"}
        assert "has decided about no study" in browser.post("/register/withdraw", data=fields).text
        (tmp_path / "site").mkdir(mode=0o700)
        (tmp_path / "site" / "hub.json").write_text("no record", "utf-8")
        told = browser.post("/register/withdraw", data=fields | {"patient": "P-78"}).text
        assert "could not be found out" in told and "P-78" not in told
    assert ExcludedPatients.of_user().among(np.array(["P-77", "P-78"])).all()
