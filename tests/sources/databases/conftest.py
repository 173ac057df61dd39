"""What the tests of databases share: a PostgreSQL server, started once, and the samples where they are on this machine."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .databases import Server, running_server, server_programs


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A real server. Skips where PostgreSQL's programs or its driver are not installed."""
    if server_programs() is None:
        pytest.skip("PostgreSQL's server programs (initdb, pg_ctl) are not installed")
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed: pip install 'wardround[postgresql]'")
    with running_server() as server:
        yield server


def _sample(name: str) -> Path:
    path = Path(os.environ.get("WARDROUND_DATA", "")) / name
    if not os.environ.get("WARDROUND_DATA") or not path.exists():
        pytest.skip(f"{name} is not in WARDROUND_DATA")
    return path


@pytest.fixture(scope="session")
def omop_sample() -> Path:
    """OMOP tables of 28 synthetic people."""
    return _sample("omop_synthea27nj") / "Synthea27Nj_5.4.zip"


@pytest.fixture(scope="session")
def fhir_sample() -> Path:
    """An export of FHIR resources of 13 synthetic people, without Observation."""
    return _sample("fhir_synthea10")
