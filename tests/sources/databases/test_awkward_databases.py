"""Databases as hospitals have them: odd dates, odd names, files beside the tables, references that lead elsewhere.

Each of these was once read without a word, or refused with a mend that led nowhere.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from wardround.sources.opening import open_source
from wardround.sources.readiness.report import Readiness
from wardround.study.contract import DataContract
from wardround.study.sections.cohort import FeatureSection, OutcomeSection
from wardround.values.errors import DataError

from .cases import (
    CONCEPTS,
    condition,
    contract,
    encounter,
    fhir_resources,
    observation,
    omop_period,
    omop_person,
    omop_pressure,
    omop_stay,
    omop_tables,
    patient,
)
from .databases import Server, csv_text, load_postgres, load_sqlite, write_csv, write_fhir

LATER = encounter("2020-12-01", **{"class": {"system": "x", "code": "AMB"}})
TESTED = contract(features=(FeatureSection(column="tested", value="any", concepts="pressure"),))


def levels(report: Readiness) -> dict[str, str]:
    return {finding.code: finding.level for finding in report.findings}


def omop(folder: Path, rules: DataContract | None = None, **tables: list[dict[str, Any]]) -> Readiness:
    return open_source(write_csv(folder / "cdm", omop_tables(**tables)), rules or contract()).check()


def fhir(folder: Path, resources: list[dict[str, Any]], rules: DataContract | None = None, private: bool = False) -> Readiness:
    return open_source(write_fhir(folder / "fhir", resources), rules or contract(), private=private).check()


def pressure_of(folder: Path, *more: dict[str, Any], people: tuple[dict[str, Any], ...] = (patient(),)) -> list[float]:
    """What the feature of each record is, by the person's id."""
    resources = [*people, encounter("2020-05-10"), condition("2020-05-12"), LATER, *more]
    source = open_source(write_fhir(folder / "fhir", resources), contract())
    column = contract().columns[1]
    return [round(value * column.constants[1] + column.constants[0]) for value in source.load().inputs[:, 2].tolist()]


@pytest.mark.parametrize("day", ["2020-13-09", "20200509", "09.05.2020", "05/09/2020", "0044-03-15 BC", "infinity", "1588982400"])
def test_a_date_that_cannot_be_read_is_an_error(tmp_path: Path, day: str) -> None:
    """Left out, a measurement looks as if it had never been made: READY, and every value of the column missing."""
    report = omop(tmp_path, measurement=[omop_pressure(day, 130)])
    finding = next(finding for finding in report.findings if finding.code == "date-unread:measurement")
    assert not report.ready() and day in finding.where and day not in json.dumps(report.to_json())


@pytest.mark.parametrize("day", ["2020-05-09", "2020-5-9", "2020-05-09 23:59:59", "2020-05-09T23:59:59.5+02:00", " 2020-05-09 "])
def test_a_date_with_a_time_is_read(tmp_path: Path, day: str) -> None:
    """Exports write midnight behind a day."""
    assert "date-unread:measurement" not in levels(omop(tmp_path, measurement=[omop_pressure(day, 130)]))


def test_numbers_where_sqlite_should_hold_dates_are_told_with_their_value(tmp_path: Path) -> None:
    """SQLite has no type of dates; programs put seconds and Julian days there."""
    path = load_sqlite(write_csv(tmp_path / "cdm", omop_tables()), tmp_path / "cdm.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE measurement SET measurement_date = julianday('2020-05-09')")
    connection.close()
    report = open_source(path, contract()).check()
    assert "2458978.5" in next(f.where for f in report.findings if f.code == "date-unread:measurement")


def test_dates_of_death_and_of_observation_are_read_as_strictly(tmp_path: Path) -> None:
    """A death on a day that was not understood passed for no death, without a word."""
    deaths, periods = [{"person_id": 1, "death_date": "20200601"}], [omop_period(end="31.12.2030")]
    assert {"date-unread:death", "date-unread:observation_period"} <= levels(
        omop(tmp_path, death=deaths, observation_period=periods)
    ).keys()


def test_persons_named_by_text_are_told_as_such(tmp_path: Path) -> None:
    """They were said to have no person_id, although everyone had one."""
    report = omop(tmp_path, person=[omop_person(), omop_person("P2")])  # type: ignore[arg-type]
    assert levels(report)["person-id-no-number"] == "error" and "person-without-id" not in levels(report)


def test_what_ends_before_it_begins_is_told(tmp_path: Path) -> None:
    """Such a visit was left out as one that is over, and such a time under observation vanished."""
    rules = contract(outcome=OutcomeSection(kind="concepts", concepts="stroke", days_from=1, within_visit=True))
    turned = omop(tmp_path, rules, visit_occurrence=[omop_stay("2020-05-10", end="2020-04-10")])
    assert levels(turned)["ends-before-start"] == "warning"
    period = omop(tmp_path / "b", observation_period=[omop_period(start="2030-01-01", end="2000-01-01")])
    assert levels(period)["period-reversed"] == "warning"
    stay = encounter("2020-05-10", end="2020-04-01")
    assert levels(fhir(tmp_path, [patient(), stay, observation("2020-05-09"), condition("2020-05-12"), LATER]))[
        "ends-before-start"
    ]


def test_a_birth_on_no_day_of_the_calendar_is_told(tmp_path: Path) -> None:
    """The age was missing, and nobody was told why."""
    assert levels(omop(tmp_path, person=[omop_person(month_of_birth=2, day_of_birth=31)]))["birth-impossible"] == "warning"


def test_a_concept_with_two_codes_is_refused(tmp_path: Path) -> None:
    """Of two units of one number the last was taken: every value was in the wrong unit, or left out."""
    twice = [*CONCEPTS, {"concept_id": 8876, "vocabulary_id": "UCUM", "concept_code": "kPa"}]
    source = open_source(write_csv(tmp_path, omop_tables(concept=twice)), contract())
    with pytest.raises(DataError, match="two codes"):
        source.load()


@pytest.mark.parametrize(
    "name", ["measurement_2.csv", "Measurement (1).csv", "measurement.parquet", "measurement.csv.zip", "person-b.csv"]
)
def test_a_table_in_parts_is_not_read_by_half(tmp_path: Path, name: str) -> None:
    """The second half was ignored, READY."""
    folder = write_csv(tmp_path, omop_tables())
    (folder / name).write_text(csv_text("measurement", [omop_pressure("2020-05-09", 180)]))
    report = open_source(folder, contract()).check()
    assert levels(report)["table-in-parts"] == "error" and name not in json.dumps(report.to_json())


def test_a_table_that_was_loaded_twice_is_an_error(tmp_path: Path) -> None:
    """Every event would be counted twice; two measurements of one day and value are two, if they have numbers of their own."""
    folder = write_csv(tmp_path, omop_tables())
    head = "measurement_id,person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id\n"
    rows = [f"{number},1,3004249,2020-05-09,130,8876\n" for number in (1, 2, 3)]
    (folder / "measurement.csv").write_text(head + "".join(rows))
    assert open_source(folder, contract()).check().ready()
    (folder / "measurement.csv").write_text(head + "".join(rows * 2))
    finding = next(f for f in open_source(folder, contract()).check().findings if f.code == "rows-twice:measurement")
    assert finding.level == "error" and finding.exact.endswith(": 3")


@pytest.mark.parametrize("unit", ["mmHg", '"mm, or\nHg"'])
def test_a_row_that_was_cut_is_an_error(tmp_path: Path, unit: str) -> None:
    """The parser fills a short row with nothing: of an export that broke off, the last values were missing ones."""
    folder = write_csv(tmp_path, omop_tables())
    whole = (folder / "measurement.csv").read_text().replace("mmHg", unit) + "\n"
    (folder / "measurement.csv").write_text(whole)
    assert open_source(folder, contract()).check().ready()
    (folder / "measurement.csv").write_text(f"{whole}1,3004249,2020-05-08\n")
    with pytest.raises(DataError, match="fewer cells") as caught:
        open_source(folder, contract()).load()
    assert f"line {whole.count(chr(10)) + 1}" in caught.value.found


def test_files_that_are_no_tables_are_told_and_stop_nothing(tmp_path: Path) -> None:
    """A list with a doubled column, which nobody reads, made the hospital not ready, its names in the report."""
    folder = write_csv(tmp_path, omop_tables())
    (folder / "Mueller.csv").write_text("hans,hans\n1,2\n")
    for part in ("a", "b"):
        (folder / part).mkdir()
        (folder / part / "list.csv").write_text("x\n")
    (folder / "drug_strength.csv").write_text("x,x\n")
    report = open_source(folder, contract()).check()
    assert report.ready() and levels(report)["other-files"] == "warning" and levels(report)["unused-tables"] == "note"
    assert "mueller" not in json.dumps(report.to_json()).casefold() and "hans" not in json.dumps(report.to_json())


@pytest.mark.parametrize("reference", ["Group/p1", "Device/p1", "https://h/fhir/Location/p1", "#p1"])
def test_a_reference_to_something_else_is_no_patient(tmp_path: Path, reference: str) -> None:
    """A device and a patient may have one id: the device's measurements became the patient's."""
    assert pressure_of(
        tmp_path, observation("2020-05-09", 180, subject={"reference": reference}), observation("2020-05-08", 120)
    ) == [120]


def test_a_resource_with_a_modifier_is_left_out_and_told(tmp_path: Path) -> None:
    """FHIR: an application that does not understand a modifierExtension may not process the resource. It may say "not"."""
    negated = observation("2020-05-09", 180, modifierExtension=[{"url": "http://x/negated", "valueBoolean": True}])
    assert pressure_of(tmp_path, negated, observation("2020-05-08", 120)) == [120]
    assert levels(fhir(tmp_path / "b", [*fhir_resources(), negated]))["status:Observation:modifierExtension"] == "warning"
    odd = [
        patient(),
        encounter("2020-05-10"),
        LATER,
        observation("2020-05-09"),
        condition("2020-05-12"),
        patient("p2", modifierExtension=[{"url": "x"}]),
    ]
    assert levels(fhir(tmp_path / "c", odd))["status:Patient:modifierExtension"] == "warning"


def test_what_was_not_measured_is_no_event(tmp_path: Path) -> None:
    """A pressure that was "not performed" counted as one that was taken."""
    declined = {k: v for k, v in observation("2020-05-09").items() if k != "valueQuantity"}
    declined["dataAbsentReason"] = {"coding": [{"code": "not-performed"}]}
    resources = [patient(), encounter("2020-05-10"), condition("2020-05-12"), LATER, declined]
    source = open_source(write_fhir(tmp_path / "fhir", resources), TESTED)
    assert source.load().inputs[0, 0] == pytest.approx((0 - TESTED.columns[0].constants[0]) / TESTED.columns[0].constants[1])
    assert levels(source.check())["status:Observation:dataAbsentReason"] == "note"


def test_the_events_of_a_merged_patient_are_those_of_the_one_that_is_left(tmp_path: Path) -> None:
    """Servers keep the old id in what was written before the records were joined."""
    old, middle = (
        patient(name, link=[{"type": "replaced-by", "other": {"reference": f"Patient/{to}"}}])
        for name, to in (("old", "mid"), ("mid", "p1"))
    )
    assert pressure_of(tmp_path, observation("2020-05-09", 150, name="old"), people=(patient(), old, middle)) == [150]
    lost = patient("gone", link=[{"type": "replaced-by", "other": {"reference": "Patient/elsewhere"}}])
    assert levels(fhir(tmp_path / "b", [*fhir_resources(), lost]))["patient-replaced-unknown"] == "warning"


def test_two_records_of_one_person_are_told_and_refused_in_private(tmp_path: Path) -> None:
    """One would be in train, the other in test, each with a privacy of its own."""
    linked = [*fhir_resources()[1:], patient(link=[{"type": "seealso", "other": {"reference": "Patient/p2"}}]), patient("p2")]
    assert levels(fhir(tmp_path, linked))["patient-linked"] == "warning"
    assert levels(fhir(tmp_path / "b", linked, private=True))["patient-linked"] == "error"


@pytest.mark.parametrize("name", ["Observation.json", "x.xml"])
def test_resources_in_another_form_are_not_passed_over(tmp_path: Path, name: str) -> None:
    """It may hold all that the export lacks; it was a file that nobody needs."""
    folder = write_fhir(tmp_path, fhir_resources())
    xml = '<Bundle xmlns="http://hl7.org/fhir"/>'
    (folder / name).write_text(xml if name.endswith("xml") else json.dumps({"resourceType": "Observation"}) + "\n")
    assert levels(open_source(folder, contract()).check())["other-form"] == "error"


@pytest.mark.parametrize("name", ["Bundle.ndjson", "bundle.json"])
def test_a_bundle_without_its_type_is_not_mended_by_empty_files(tmp_path: Path, name: str) -> None:
    """The hint to add an empty Observation.ndjson made everybody someone who was never measured."""
    (tmp_path / name).write_text(json.dumps({"resourceType": "Bundle"}) + "\n")
    with pytest.raises(DataError, match="type that is not read") as caught:
        open_source(tmp_path, contract()).load()
    assert "empty file" not in str(caught.value)


def test_a_file_that_is_no_export_is_told_although_nobody_asks_for_it(tmp_path: Path) -> None:
    """What cannot be read at all may have been any resource. A name stays here."""
    folder = write_fhir(tmp_path, fhir_resources())
    (folder / "Mueller.ndjson").write_text("garbage\n")
    report = open_source(folder, contract()).check()
    assert levels(report)["not-a-resource"] == "error" and "Mueller" not in json.dumps(report.to_json())


def _altered(server: Server, folder: Path, schema: str, *statements: str) -> str:
    import psycopg

    load_postgres(write_csv(folder / schema, omop_tables()), server.address(), schema)
    with psycopg.connect(server.address(), autocommit=True) as connection:
        connection.execute(f"SET search_path TO {schema}")
        for statement in statements:
            connection.execute(statement)
    return server.address(schema=schema)


@pytest.mark.slow
def test_moments_are_no_days(postgres: Server, tmp_path: Path) -> None:
    """Half past eleven at night in New York was the next day, the index day, where the server counts in UTC."""
    change = "ALTER TABLE measurement ALTER measurement_date TYPE timestamptz USING '2020-05-09 23:30:00-05'::timestamptz"
    address = _altered(postgres, tmp_path, "zoned", change)
    with pytest.raises(DataError, match="time zone") as caught:
        open_source(address, contract()).load()
    view = "(measurement_date AT TIME ZONE 'Europe/Berlin')::date AS measurement_date"
    assert view in caught.value.hint
    columns = "person_id, measurement_concept_id, value_as_number, unit_concept_id, unit_source_value"
    others = ("person", "death", "observation_period", "visit_occurrence", "condition_occurrence", "observation", "concept")
    mend = ["CREATE SCHEMA days", *(f"CREATE VIEW days.{name} AS SELECT * FROM {name}" for name in others)]
    ny = view.replace("Europe/Berlin", "America/New_York")
    mended = _altered(
        postgres, tmp_path, "zoned2", change, *mend, f"CREATE VIEW days.measurement AS SELECT {columns}, {ny} FROM measurement"
    )
    assert len(open_source(mended.replace("zoned2", "days"), contract()).load()) == 1


@pytest.mark.parametrize(
    ("schema", "change", "code"),
    [
        ("nan", "UPDATE measurement SET value_as_number = 'NaN'", "no-number:pressure"),
        ("inf", "UPDATE measurement SET value_as_number = 'Infinity'", "no-number:pressure"),
        ("uuids", "ALTER TABLE person ALTER person_id TYPE uuid USING gen_random_uuid()", "person-id-no-number"),
        ("open_end", "UPDATE observation_period SET observation_period_end_date = 'infinity'", "date-unread:observation_period"),
        ("far", "UPDATE measurement SET measurement_date = '12000-03-15'", "date-unread:measurement"),
    ],
)
def test_values_that_only_postgresql_has_are_told(postgres: Server, tmp_path: Path, schema: str, change: str, code: str) -> None:
    """NaN stopped the whole program inside a library; infinity was refused with a mend about passwords."""
    assert code in levels(open_source(_altered(postgres, tmp_path, schema, change), contract()).check())


def test_a_materialised_view_is_a_table(postgres: Server, tmp_path: Path) -> None:
    """Warehouses keep OMOP in them; the table was said not to be there."""
    change = ("ALTER TABLE measurement RENAME TO raw", "CREATE MATERIALIZED VIEW measurement AS SELECT * FROM raw")
    assert len(open_source(_altered(postgres, tmp_path, "matview", *change), contract()).load()) == 1


def test_a_report_to_send_does_not_say_where_the_database_is() -> None:
    """The path of a folder was kept out; host and user of a server were not."""
    report = open_source("postgresql://anna@127.0.0.1:1/ward?connect_timeout=1", contract()).check()
    assert "anna" not in json.dumps(report.to_json()) and "127.0.0.1" in report.findings[0].exact


def test_the_mend_of_a_damaged_sqlite_file_is_not_a_password(tmp_path: Path) -> None:
    """One message for every cause sent the manager to ~/.pgpass."""
    path = load_sqlite(write_csv(tmp_path / "cdm", omop_tables()), tmp_path / "cdm.sqlite")
    content = bytearray(path.read_bytes())
    content[5000:9000] = b"\xff" * 4000
    path.write_bytes(content)
    finding = open_source(path, contract()).check().findings[0]
    assert "pgpass" not in finding.exact_hint and "copy the file again" in finding.exact_hint


@pytest.mark.parametrize(
    "text",
    ["mysql://u:hidden@h/ward", "postgres//u:hidden@h/ward", "host=h password=hidden dbname=d", "oracle+cx://u:hidden@h/x"],
)
def test_an_address_of_another_kind_is_told_as_one_without_its_password(text: str) -> None:
    """ "There is nothing at mysql:/u:hidden@h/ward" showed the password, and named no way on."""
    with pytest.raises(DataError, match="no address of a database") as caught:
        open_source(text, contract())
    assert "hidden" not in str(caught.value) and "postgresql://USER@HOST/DATABASE" in str(caught.value)
