"""Databases from the command line, and a whole run over two kinds of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import wardround as wr

from .databases import Server, load_postgres

EXAMPLE = Path(__file__).parents[3] / "examples" / "acute_care_again.toml"


def wardround(*words: str | Path, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wardround", *map(str, words)]
    environment = {"WARDROUND_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(home), "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=home)


@pytest.fixture(scope="session")  # as the server: a module may be divided, and come to one process twice
def warehouse(postgres: Server, omop_sample: Path) -> str:
    load_postgres(omop_sample, postgres.address(), "warehouse")
    return postgres.address(schema="warehouse")


@pytest.mark.slow
def test_data_check_reads_an_address(warehouse: str, omop_sample: Path, tmp_path: Path) -> None:
    """The report of a database is that of the files it was loaded from."""
    reports = [
        wardround("data", "check", path, "--contract", EXAMPLE, "--json", home=tmp_path) for path in (warehouse, omop_sample)
    ]
    assert [report.returncode for report in reports] == [0, 0], reports[0].stderr
    first, second = (json.loads(report.stdout) for report in reports)
    second["findings"] = [finding for finding in second["findings"] if finding["code"] != "unused-tables"]  # of files alone
    assert (first.pop("kind"), second.pop("kind")) == ("postgresql", "omop") and first == second


@pytest.mark.slow
def test_data_check_says_in_a_sentence_what_cannot_be_read(warehouse: str, tmp_path: Path) -> None:
    """A traceback would show the address, with all that stands in it."""
    wrong = warehouse.replace("keeper@", "nobody-here:very-secret@")
    done = wardround("data", "check", wrong, "--contract", EXAMPLE, home=tmp_path)
    assert done.returncode == 3 and "Traceback" not in done.stderr + done.stdout
    assert "secret" not in done.stderr + done.stdout
    other = wardround("data", "check", "postgresql://db:very-secret", "--contract", EXAMPLE, home=tmp_path)
    assert other.returncode == 3 and "secret" not in other.stderr + other.stdout and "postgresql://USER@HOST" in other.stderr


@pytest.mark.slow
def test_a_hospital_with_omop_and_one_with_fhir_learn_one_model(warehouse: str, fhir_sample: Path, tmp_path: Path) -> None:
    """The address lies in the run folder, goes to a process of its own, and is still one when the run goes on."""
    sites = {"north": warehouse, "south": str(fhir_sample)}
    run = wr.simulate(EXAMPLE, sites, out=tmp_path / "run", workers=2, register=False)
    assert {name: site.patients for name, site in run.record.sites.items()} == {"north": 15, "south": 8}
    kept = json.loads((tmp_path / "run" / "hospitals.json").read_text())
    assert kept["north"]["path"].startswith("postgresql:/keeper@")
