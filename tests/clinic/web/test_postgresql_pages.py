"""The pages over PostgreSQL: what a stranger may type there must not be a fault, though the database takes no such text."""

import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the test client alone
    import starlette.testclient  # noqa: F401

from tests.clinic.dicom_files import dicom, film_pixels
from tests.clinic.made_clinics import film_clinic
from tests.sources.databases.conftest import postgres as postgres
from tests.sources.databases.databases import Server
from wardround.clinic.web.app import application
from wardround.clinic.web.server import opened

from .visitors import PASSWORD, Clinic, hosts


@pytest.mark.slow
def test_signs_that_the_database_does_not_take_are_no_fault(
    postgres: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A NUL in a name, a comment, a search, a path: one that got to the database was a fault, for strangers too."""
    url = postgres.address().replace("postgresql://", "postgresql+psycopg://")
    with opened(film_clinic(tmp_path / "clinic", database=url)) as state:
        clinic = Clinic(state, application(state, hosts()))
        assert clinic.visitor().post("/login", name="an\0na", password=f"{PASSWORD}\0").status_code == 403
        anna = clinic.logged_in("doctor")
        case = anna.drop(dicom(film_pixels(), BitsStored=12, PatientName="A\\B")).json()["case"]
        said = anna.post(f"/cases/{case}/feedback", token=anna.token, opinion="agree", comment="a\0b")
        assert said.status_code == 303 and "a\ufffdb" in anna.get(f"/cases/{case}").text
        for path in (
            "/audit?words=%00",
            "/audit/%00",
            "/cases/%00",
            f"/cases/{case}?notice=%00",
            "/static/%00",
            "/oidc/done?code=%00",
        ):
            assert anna.get(path).status_code in (303, 400, 403, 404), path
        machine = clinic.machine()
        assert machine.get("/v1/cases/%00").status_code in (400, 404, 422)
        assert machine.get("/fhir/DiagnosticReport?_id=%00").status_code in (400, 404, 422)
        root = clinic.logged_in("administrator")
        assert root.post("/people", token=root.token, name="x\0", role="doctor").status_code == 409
        assert root.post("/people/change", token=root.token, name="x\0", act="off").status_code == 409
        assert root.post("/keys", token=root.token, name="k\0").status_code == 409
        data = clinic.logged_in("data-manager")
        assert data.post("/register/withdraw", token=data.token, patient="P\0").status_code in (200, 303, 409, 422)
        assert "fault" not in caplog.text
