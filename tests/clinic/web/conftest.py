"""Running clinics: one with films, one with a table."""

import warnings
from collections.abc import Iterator

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the test client alone
    import starlette.testclient  # noqa: F401

from tests.clinic.made_clinics import film_clinic, table_clinic
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.web.app import application
from wardround.clinic.web.server import opened

from .visitors import Clinic, hosts


def running(clinic: ClinicPlace) -> Iterator[Clinic]:
    with opened(clinic) as state:
        yield Clinic(state, application(state, hosts()))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    yield from running(film_clinic(tmp_path_factory.mktemp("films") / "clinic"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    yield from running(table_clinic(tmp_path_factory.mktemp("tables") / "clinic"))
