"""How far a reader is."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from wardround.sources.databases.fhir.lines import TOLD_EVERY
from wardround.sources.opening import open_source
from wardround.sources.progress import heard_by

from .databases.cases import contract, fhir_resources, omop_tables, patient
from .databases.databases import load_sqlite, write_csv, write_fhir
from .test_image_folder import WORDS, folder_of


def test_progress_is_heard_by_whoever_asked_and_ends_with_all(tmp_path: Path) -> None:
    """A check of 100,000 images takes minutes; without a sign it looks stuck."""
    heard: list[tuple[str, int, int]] = []
    source = open_source(folder_of(tmp_path / "d"), WORDS)
    with heard_by(lambda step, done, total: heard.append((step, done, total))):
        source.check()
    assert heard == [("images", number, 24) for number in range(1, 25)]
    source.check()
    assert len(heard) == 24


def steps(path: Path) -> list[str]:
    heard: list[str] = []
    source = open_source(path, contract())
    with heard_by(lambda step, _done, _total: heard.append(step)):
        source.check()
    return heard


@pytest.mark.parametrize("kind", ["csv", "sqlite"])
def test_each_table_of_a_database_says_how_many_rows_have_come(kind: str, tmp_path: Path) -> None:
    """Ten million measurements take most of a minute, and no database says how many there are."""
    path = write_csv(tmp_path / "cdm", omop_tables())
    heard = steps(path if kind == "csv" else load_sqlite(path, tmp_path / "cdm.sqlite"))
    assert {"person: 1 rows", "measurement: 1 rows"} <= set(heard)
    assert any(step.startswith("concept: ") for step in heard)
    assert heard.index("person") < heard.index("measurement")


def test_each_file_of_an_export_says_which_line_it_is_at(tmp_path: Path) -> None:
    """The largest kind of resource takes the longest, and she sees which it is."""
    people = [patient(f"q{number}") for number in range(TOLD_EVERY)]
    heard = steps(write_fhir(tmp_path, [*fhir_resources(), *people]))
    assert [step for step in heard if step.startswith("Patient")] == [
        "Patient.000.ndjson: line 1",
        f"Patient.000.ndjson: line {TOLD_EVERY + 1:,}",
    ]


@pytest.mark.slow
def test_progress_is_on_the_standard_error_of_a_terminal_alone(tmp_path: Path) -> None:
    """A log of a nightly check full of spinners is read by nobody, and standard output is for programs."""
    study = Path(__file__).parents[2] / "examples" / "acute_care_again.toml"
    tables = write_csv(tmp_path / "cdm", omop_tables())
    command = [sys.executable, "-m", "wardround", "data", "check", str(tables), "--contract", str(study), "--json"]
    environment = {"WARDROUND_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "xterm"}
    piped = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert piped.stderr == "" and '"ready"' in piped.stdout
    ours, theirs = pty.openpty()
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment, check=False)
    os.close(theirs)
    assert "reading" in os.read(ours, 100_000).decode() and shown.stdout == piped.stdout
    os.close(ours)
