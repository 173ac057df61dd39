"""/v1 against its own description: every answer is one that OpenAPI names, whatever is sent; and a look for known faults."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.clinic.dicom_files import dicom, film_pixels

from .visitors import HOST, Clinic

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the libraries that it loads
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

FILM = dicom(film_pixels(), BitsStored=12)
NOT_ASKED = [ignored_auth, positive_data_acceptance]
"""Whether a wrong key is refused is asked in test_security.py, with a right one beside it. Which film or row can be answered is
said by the contract of the model in service, not by OpenAPI: what no contract accepts is refused with 422."""
CLINIC = Path(__file__).parents[3] / "src" / "wardround" / "clinic"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of schemathesis and what it loads
@pytest.mark.parametrize("kind", ["films", "tables"])
def test_whatever_is_sent_the_answer_is_one_that_openapi_names(request: pytest.FixtureRequest, kind: str) -> None:
    """Drawn requests, valid and not: no fault of the server, no status, type or shape that is not described."""
    from hypothesis import HealthCheck, Phase, given, settings

    clinic: Clinic = request.getfixturevalue(kind)
    headers = {"authorization": f"Bearer {clinic.key}", "host": HOST}
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", clinic.app, headers=headers)
    seen: set[tuple[str, int]] = set()

    for operation in (one.ok() for one in schema.get_all_operations()):

        @given(case=operation.as_strategy())
        @settings(
            max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
        )
        def ask(case: Any) -> None:
            response = case.call(headers=headers)
            seen.add((case.operation.path, response.status_code))
            assert response.status_code < 500 or response.status_code == 503, response.text
            case.validate_response(response, excluded_checks=NOT_ASKED)

        ask()
    assert {path for path, _ in seen} == {"/v1/predict", "/v1/predict/batch", "/v1/model", "/v1/cases/{case_id}"}
    assert ("/v1/model", 200) in seen and not any(status == 500 for _, status in seen)


def test_the_description_names_every_route_its_key_and_its_errors(films: Clinic) -> None:
    """Other software is written by it."""
    assert films.visitor().get("/v1/openapi.json").status_code == 401
    told = films.machine().get("/v1/openapi.json").json()
    assert set(told["paths"]) == {"/v1/predict", "/v1/predict/batch", "/v1/model", "/v1/cases/{case_id}"}
    for path, methods in told["paths"].items():
        for operation in methods.values():
            assert (
                operation["security"] == [{"HTTPBearer": []}]
                and operation["summary"]
                and {"401", "422"} <= set(operation["responses"])
            ), path


@pytest.mark.slow
def test_bandit_finds_nothing_of_weight_in_the_clinic() -> None:
    """Known kinds of faults: shells, temporary files, weak hashes, queries from text. B615 takes our own `load_dataset`, which
    reads a hospital's files, for one that fetches from a hub of models."""
    command = [sys.executable, "-m", "bandit", "-q", "-r", str(CLINIC), "-ll", "-ii", "-s", "B615"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
