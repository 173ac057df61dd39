"""FHIR exports as servers and scripts write them: what cannot be read is no event that never was."""

from pathlib import Path
from typing import Any

import pytest

from wardround.sources.opening import open_source
from wardround.sources.readiness.report import Finding, Readiness

from .cases import condition, contract, encounter, fhir_resources, observation, patient
from .databases import Row, write_fhir


def report_of(folder: Path, resources: list[Row]) -> tuple[Readiness, dict[str, Finding]]:
    report = open_source(write_fhir(folder, resources), contract()).check()
    return report, {finding.code: finding for finding in report.findings}


def changed(at: int, **more: Any) -> list[Row]:
    """The one person's resources, with something else in one of them; None takes a part away."""
    resources: list[Row] = list(fhir_resources())
    merged = {**resources[at], **more}
    resources[at] = {name: part for name, part in merged.items() if part is not None}
    return resources


@pytest.mark.parametrize("day", ["12/05/2020", "20200512", "12.05.2020", "2020-02-30", 20200512])
def test_a_date_of_an_event_that_cannot_be_read_is_an_error(tmp_path: Path, day: Any) -> None:
    """The stroke of 12/05/2020 never was: the patient was healthy, READY with a warning."""
    report, told = report_of(tmp_path, changed(3, onsetDateTime=day))
    finding = told["date-unread:Condition"]
    assert not report.ready() and finding.places[0].line == 1 and finding.places[0].value == str(day)


@pytest.mark.parametrize("day", ["2020", "2020-05"])
def test_a_date_in_part_is_as_before_no_error(tmp_path: Path, day: str) -> None:
    """FHIR allows it."""
    report, told = report_of(tmp_path, changed(3, onsetDateTime=day))
    assert report.ready() and "event-without-day" in told


@pytest.mark.parametrize(("name", "day"), [("birthDate", "01.03.1950"), ("deceasedDateTime", "12/2020")])
def test_a_date_of_a_patient_that_cannot_be_read_is_an_error(tmp_path: Path, name: str, day: str) -> None:
    """A birth that nobody could read was an age that nobody knew."""
    report, told = report_of(tmp_path, changed(0, **{name: day}))
    assert not report.ready() and told["date-unread:Patient"].places[0].value == "p1"


@pytest.mark.parametrize("number", ["130", "130,5", float("nan"), 10**400])
def test_a_value_that_is_no_number_of_json_is_an_error(tmp_path: Path, number: Any) -> None:
    """In OMOP it is one; here the pressure was one that nobody had measured."""
    quantity = {"value": number, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
    report, told = report_of(tmp_path, changed(2, valueQuantity=quantity))
    assert not report.ready() and told["not-a-number:Observation"].places[0].file.startswith("Observation")


def test_a_result_in_words_is_as_before_no_error(tmp_path: Path) -> None:
    """ "negative" is a result of many tests."""
    report, told = report_of(tmp_path, changed(2, valueQuantity=None, valueString="negative"))
    assert report.ready() and "no-number:pressure" in told


def test_a_death_in_quotation_marks_is_an_error(tmp_path: Path) -> None:
    """ "true" was not true, and the patient alive."""
    assert not report_of(tmp_path, changed(0, deceasedBoolean="true"))[0].ready()


OTHER_SYSTEMS = [
    {"system": "http://snomed.info/sct/", "code": "230690007"},
    {"system": "http://snomed.info/sct/900000000000207008", "code": "230690007"},
    {"system": "urn:oid:2.16.840.1.113883.6.96", "code": "230690007"},
    {"code": "230690007"},
    {"system": "http://snomed.info/sct", "code": 230690007},
]


@pytest.mark.parametrize("coding", OTHER_SYSTEMS)
def test_a_code_under_another_system_is_told(tmp_path: Path, coding: dict[str, Any]) -> None:
    """Where one of two departments writes so, half of the strokes were none, and no set was unmet."""
    other = condition("2020-05-12", "p2", code={"coding": [coding]})
    resources = [*fhir_resources(), patient("p2"), encounter("2020-05-10", "p2"), encounter("2020-12-01", "p2"), other]
    _, told = report_of(tmp_path, resources)
    finding = told["code-other-system:stroke"]
    assert finding.level == "warning" and finding.places[0].value == coding.get("system", "")
    assert "concepts-unmet:stroke" not in told


def test_a_birth_after_the_index_day_is_told(tmp_path: Path) -> None:
    """An age of -30 years, moved to the bound by the contract, was that of a child."""
    assert "birth-after-index" in report_of(tmp_path, changed(0, birthDate="2050-01-01"))[1]


def test_messages_of_the_server_and_patients_out_of_use_are_told(tmp_path: Path) -> None:
    """A server writes what it could not export, and the files look whole."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "diagnostics": "timeout"}]}
    told = report_of(tmp_path, [*changed(0, active=False), outcome])[1]
    assert "OperationOutcome" in told["server-messages"].where and told["patient-inactive"].places[0].value == "p1"


def test_what_belongs_to_no_set_is_not_looked_at(tmp_path: Path) -> None:
    """An odd date of an event that nobody asks for is nobody's error."""
    odd = condition("12/05/2020", code={"coding": [{"system": "http://snomed.info/sct", "code": "1"}]}, id="odd")
    weight = observation("2020-05-09", "80", id="w", code={"coding": [{"system": "http://loinc.org", "code": "29463-7"}]})
    assert report_of(tmp_path, [*fhir_resources(), odd, weight])[0].ready()
