"""OMOP tables as scripts write them: what is no number and no event is told."""

from pathlib import Path

import pytest

from wardround.sources.opening import open_source
from wardround.sources.readiness.report import Finding, Readiness

from .cases import contract, omop_person, omop_tables
from .databases import Row, write_csv


def report_of(path: Path) -> tuple[Readiness, dict[str, Finding]]:
    report = open_source(path, contract()).check()
    return report, {finding.code: finding for finding in report.findings}


def replaced(folder: Path, table: str, before: str, after: str) -> Path:
    write_csv(folder, omop_tables())
    path = folder / f"{table}.csv"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    return folder


@pytest.mark.parametrize("concept", ["stroke", "3.8E+05", "381316a"])
def test_a_concept_that_is_text_is_an_error(tmp_path: Path, concept: str) -> None:
    """The stroke was no event of the set: a healthy patient, READY."""
    folder = replaced(tmp_path / "csv", "condition_occurrence", "381316", concept)
    report, told = report_of(folder)
    assert not report.ready() and told["concept-id-no-number:condition_occurrence"].places[0].value == concept


def test_a_concept_written_as_a_float_is_read(tmp_path: Path) -> None:
    """Other programs write 381316.0."""
    assert report_of(replaced(tmp_path, "condition_occurrence", "381316", "381316.0"))[0].ready()


def test_a_header_among_the_rows_is_an_error(tmp_path: Path) -> None:
    """It was dropped in silence, and nobody knew that the file was two."""
    folder = write_csv(tmp_path, omop_tables())
    path = folder / "condition_occurrence.csv"
    path.write_text(path.read_text() + path.read_text())
    report, told = report_of(folder)
    assert not report.ready() and "header line" in told["concept-id-no-number:condition_occurrence"].hint


@pytest.mark.parametrize("number", ["Infinity", "-inf", "NaN"])
def test_a_number_without_end_is_an_error(tmp_path: Path, number: str) -> None:
    """It was a pressure that nobody had measured."""
    report, told = report_of(replaced(tmp_path, "measurement", "130", number))
    assert not report.ready() and told["not-a-number:measurement"].places[0].value == number


@pytest.mark.parametrize(("year", "code"), [(1900, "age-impossible"), (0, "age-impossible"), (2050, "birth-after-index")])
def test_births_that_programs_write_for_unknown_ones_are_told(tmp_path: Path, year: int, code: str) -> None:
    """A birth in 1900 is one of the commonest, and nobody is so old."""
    persons: list[Row] = [omop_person(year_of_birth=year, month_of_birth=1, day_of_birth=1)]
    assert code in report_of(write_csv(tmp_path, omop_tables(person=persons)))[1]
    plain = report_of(write_csv(tmp_path / "plain", omop_tables()))[1]
    assert not {"age-impossible", "birth-after-index"} & set(plain)
