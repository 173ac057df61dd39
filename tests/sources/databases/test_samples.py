"""One declaration on both public samples: every record and every feature equals a hand-written SQL and a hand-written reader."""

import gzip
import json
import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardround.sources import open_source
from wardround.sources.databases.cohort.records import cohort_rows
from wardround.sources.databases.csv_tables import open_csv_tables
from wardround.sources.databases.events import EventTables
from wardround.sources.databases.fhir.export import fhir_events
from wardround.sources.databases.fhir.lines import open_export
from wardround.sources.databases.omop.cdm import omop_events
from wardround.study.contract import DataContract
from wardround.study.reading import load_study
from wardround.values.records import Records

from .databases import Server, load_postgres, load_sqlite

ROOT = Path(__file__).parents[3]
COLUMNS = ("age", "sex", "acute_visits", "visits", "days_since_visit", "hypertension", "stress", "blood_pressure_drugs")

BY_HAND = """
WITH acute AS (SELECT DISTINCT person_id, visit_start_date AS day FROM visit_occurrence WHERE visit_concept_id IN (9201, 9203)),
aged AS (
  SELECT a.person_id, a.day, p.gender_concept_id,
    CAST(strftime('%Y', a.day) AS INTEGER) - p.year_of_birth
      - (strftime('%m%d', a.day) < printf('%02d%02d', p.month_of_birth, p.day_of_birth)) AS age
  FROM acute a JOIN person p ON p.person_id = a.person_id
),
kept AS (
  SELECT g.*, o.observation_period_end_date AS until FROM aged g JOIN observation_period o ON o.person_id = g.person_id
  WHERE g.age BETWEEN 18 AND 120 AND g.day BETWEEN o.observation_period_start_date AND o.observation_period_end_date
    AND julianday(g.day) - julianday(o.observation_period_start_date) >= 365
),
labelled AS (
  SELECT k.*,
    EXISTS (SELECT 1 FROM acute l WHERE l.person_id = k.person_id
      AND julianday(l.day) - julianday(k.day) BETWEEN 1 AND 365) AS again,
    julianday(k.until) - julianday(k.day) >= 365
      OR EXISTS (SELECT 1 FROM death d WHERE d.person_id = k.person_id AND julianday(d.death_date) - julianday(k.day) <= 365)
      AS settled
  FROM kept k
)
SELECT CAST(person_id AS TEXT), again, age, CASE gender_concept_id WHEN 8507 THEN 'male' WHEN 8532 THEN 'female' END,
  (SELECT count(*) FROM visit_occurrence v WHERE v.person_id = l.person_id AND v.visit_concept_id IN (9201, 9203)
    AND julianday(l.day) - julianday(v.visit_start_date) BETWEEN 1 AND 365),
  (SELECT count(*) FROM visit_occurrence v WHERE v.person_id = l.person_id
    AND julianday(l.day) - julianday(v.visit_start_date) BETWEEN 1 AND 365),
  (SELECT CAST(min(julianday(l.day) - julianday(v.visit_start_date)) AS INTEGER) FROM visit_occurrence v
    WHERE v.person_id = l.person_id AND v.visit_start_date < l.day),
  EXISTS (SELECT 1 FROM condition_occurrence c JOIN concept n ON n.concept_id = c.condition_concept_id
    WHERE c.person_id = l.person_id AND n.vocabulary_id = 'SNOMED' AND n.concept_code = '59621000'
    AND c.condition_start_date < l.day),
  EXISTS (SELECT 1 FROM condition_occurrence c JOIN concept n ON n.concept_id = c.condition_concept_id
    WHERE c.person_id = l.person_id AND n.vocabulary_id = 'SNOMED' AND n.concept_code = '73595000'
    AND julianday(l.day) - julianday(c.condition_start_date) BETWEEN 1 AND 730),
  (SELECT count(*) FROM drug_exposure x JOIN concept n ON n.concept_id = x.drug_concept_id
    WHERE x.person_id = l.person_id AND n.vocabulary_id = 'RxNorm' AND n.concept_code IN ('314076', '310798')
    AND julianday(l.day) - julianday(x.drug_exposure_start_date) BETWEEN 1 AND 365)
FROM labelled l WHERE again OR settled ORDER BY CAST(person_id AS TEXT), day
"""


@pytest.fixture(scope="module")
def contract() -> DataContract:
    return load_study(ROOT / "examples" / "acute_care_again.toml").data


def rows_of(contract: DataContract, tables: Callable[[], EventTables]) -> list[tuple[Any, ...]]:
    """Patient, label and columns of every record, sorted by patient and day."""
    assert contract.cohort is not None
    frame = cohort_rows(tables(), contract.cohort, contract, "required").frame
    return frame.select("patient", "again", *COLUMNS).rows()


def omop_rows(path: Path, contract: DataContract) -> list[tuple[Any, ...]]:
    def tables() -> EventTables:
        with open_csv_tables(path) as opened:
            return omop_events(opened, opened, contract.cohort)

    return rows_of(contract, tables)


@pytest.mark.slow
def test_the_records_of_omop_are_those_of_a_hand_written_query(tmp_path: Path, omop_sample: Path, contract: DataContract) -> None:
    """A window that is one day too long, or a visit counted twice, shows in some of these cells."""
    database = load_sqlite(omop_sample, tmp_path / "cdm.sqlite")
    with sqlite3.connect(database) as connection:
        by_hand = connection.execute(BY_HAND).fetchall()
    connection.close()
    assert len(by_hand) == 43 and sum(row[1] for row in by_hand) == 13
    assert omop_rows(omop_sample, contract) == by_hand


def resources(folder: Path, kind: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{kind}.000.ndjson.gz", "rt") as file:
        return [json.loads(line) for line in file]


def fhir_by_hand(folder: Path) -> list[tuple[Any, ...]]:
    """The same cohort in plain Python, resource by resource."""

    def day(text: str) -> date:
        return date.fromisoformat(text[:10])

    def owner(resource: dict[str, Any]) -> str:
        return resource["subject"]["reference"].removeprefix("Patient/")

    def coded(kind: str, field: str, codes: set[str]) -> list[tuple[str, date]]:
        start = {"Condition": "onsetDateTime", "MedicationRequest": "authoredOn"}[kind]
        return [
            (owner(resource), day(resource[start]))
            for resource in resources(folder, kind)
            if codes & {coding["code"] for coding in resource.get(field, {}).get("coding", [])}
        ]

    visits = [
        (owner(r), day(r["period"]["start"]), day(r["period"]["end"]), r["class"]["code"]) for r in resources(folder, "Encounter")
    ]
    acute = [(person, start) for person, start, _, kind in visits if kind in ("IMP", "EMER")]
    hypertension, stress = coded("Condition", "code", {"59621000"}), coded("Condition", "code", {"73595000"})
    drugs = coded("MedicationRequest", "medicationCodeableConcept", {"314076", "310798"})
    rows: list[tuple[Any, ...]] = []
    for patient in sorted(resources(folder, "Patient"), key=lambda p: p["id"]):
        name, born = patient["id"], day(patient["birthDate"])
        died = day(patient["deceasedDateTime"]) if "deceasedDateTime" in patient else None
        own = [(start, end) for person, start, end, _ in visits if person == name]
        for index in sorted({start for person, start in acute if person == name}):

            def before(events: list[tuple[str, date]], days: int, index: date = index, name: str = name) -> int:
                return sum(person == name and 1 <= (index - start).days <= days for person, start in events)

            age = index.year - born.year - ((index.month, index.day) < (born.month, born.day))
            first, last = min(start for start, _ in own), max(end for _, end in own)
            if (died is not None and died < index) or not 18 <= age <= 120 or (index - first).days < 365:
                continue
            again = any(person == name and 1 <= (start - index).days <= 365 for person, start in acute)
            if not again and (last - index).days < 365 and not (died is not None and (died - index).days <= 365):
                continue
            earlier = [(index - start).days for start, _ in own if start < index]
            every = [(person, start) for person, start, _, _ in visits]
            rows.append((
                name, int(again), age, patient["gender"], before(acute, 365), before(every, 365), min(earlier, default=None),
                int(before(hypertension, 10**6) > 0), int(before(stress, 730) > 0), before(drugs, 365),
            ))  # fmt: skip
    return rows


def test_the_records_of_fhir_are_those_of_a_hand_written_reader(fhir_sample: Path, contract: DataContract) -> None:
    """The reader that counts must count what a person would."""

    def tables() -> EventTables:
        with open_export(fhir_sample) as files:
            return fhir_events(files, contract.cohort)

    by_hand = fhir_by_hand(fhir_sample)
    assert len(by_hand) == 62 and sum(row[1] for row in by_hand) == 47
    assert rows_of(contract, tables) == by_hand


def same(left: Records, right: Records) -> bool:
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in ("inputs", "labels", "patients", "splits"))


@pytest.mark.slow
def test_a_zip_a_folder_sqlite_and_postgresql_give_identical_records(
    tmp_path: Path, omop_sample: Path, contract: DataContract, postgres: Server
) -> None:
    """Where a hospital keeps its tables must not change the model by a bit."""
    import zipfile

    with zipfile.ZipFile(omop_sample) as file:
        file.extractall(tmp_path / "csv")
    load_sqlite(omop_sample, tmp_path / "cdm.sqlite")
    load_postgres(omop_sample, postgres.address(), "cdm54")
    sources = [omop_sample, tmp_path / "csv", tmp_path / "cdm.sqlite", postgres.address(schema="cdm54")]
    records = [open_source(source, contract).load() for source in sources]
    assert len(records[0]) == 43
    assert all(same(records[0], other) for other in records[1:])
    reports = [open_source(source, contract).check() for source in sources]
    assert all(report.ready() and report.counts == reports[0].counts for report in reports)


@pytest.mark.slow
def test_measurements_of_the_sample_are_those_of_a_hand_written_query(tmp_path: Path, omop_sample: Path) -> None:
    """Numbers with units go another way than events that are only counted."""
    text = (ROOT / "examples" / "acute_care_again.toml").read_text()
    study = tmp_path / "study.toml"
    pressure = """
[[data.cohort.concepts]]
name = "systolic pressure"
event = "measurement"
codes = ["LOINC|8480-6"]
"""
    features = "".join(
        f'[[data.cohort.features]]\ncolumn = "{value}"\nvalue = "{value}"\nconcepts = "systolic pressure"\n'
        'units = { "mm[Hg]" = 1 }\ndays_before = 1000\n'
        for value in ("last", "mean", "min", "max")
    )
    columns = "".join(
        f'[[data.columns]]\nname = "{value}"\nrange = [50, 250]\nmax_missing = 1.0\n' for value in ("last", "mean", "min", "max")
    )
    study.write_text(text + pressure + features + columns)
    changed = load_study(study).data
    assert changed.cohort is not None
    with open_csv_tables(omop_sample) as opened:
        frame = cohort_rows(omop_events(opened, opened, changed.cohort), changed.cohort, changed, "required").frame
    database = load_sqlite(omop_sample, tmp_path / "cdm.sqlite")
    query = BY_HAND[: BY_HAND.index("SELECT CAST(person_id AS TEXT), again")]
    inside = (
        "FROM measurement m WHERE m.person_id = l.person_id AND m.measurement_concept_id = 3004249 "
        "AND julianday(l.day) - julianday(m.measurement_date) BETWEEN 1 AND 1000"
    )
    query += (
        f"SELECT (SELECT avg(value_as_number) {inside} AND m.measurement_date = (SELECT max(measurement_date) {inside})), "
        f"(SELECT avg(value_as_number) {inside}), (SELECT min(value_as_number) {inside}), (SELECT max(value_as_number) {inside}) "
        "FROM labelled l WHERE again OR settled ORDER BY CAST(person_id AS TEXT), day"
    )
    with sqlite3.connect(database) as connection:
        by_hand = pl.DataFrame(connection.execute(query).fetchall(), schema=["last", "mean", "min", "max"], orient="row")
    connection.close()
    read = frame.select("last", "mean", "min", "max")
    assert read.null_count().equals(by_hand.null_count()) and read["last"].is_not_null().sum() > 20
    assert np.allclose(read.to_numpy(), by_hand.to_numpy(), rtol=1e-12, equal_nan=True)
