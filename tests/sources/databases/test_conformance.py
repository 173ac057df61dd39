"""What every source promises holds for OMOP tables, SQLite and FHIR exports as well."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from wardround.sources.opening import open_source
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.study.sections.cohort import CohortSection, FeatureSection, IndexSection, OutcomeSection
from wardround.values.errors import DataError

from ..source_conformance import Item, SourceConformance, case, same
from .cases import (
    CONCEPTS,
    PRESSURE,
    STAY,
    STROKE,
    condition,
    encounter,
    observation,
    omop_period,
    omop_person,
    omop_pressure,
    omop_stay,
    omop_stroke,
    patient,
)
from .databases import load_sqlite, write_bundles, write_csv, write_fhir

UNITS = {"mm[Hg]": 1.0}


def day(item: Item, shift: int = 0, apart: int = 10) -> str:
    """Of an item's stay; the two items of a patient are some days apart."""
    return (date(2020, 1, 1) + timedelta(days=apart * (item.number % 1000) + shift)).isoformat()


class CohortConformance(SourceConformance):
    """An item is a stay with a pressure the day before, and a stroke the day after where its label is 1.

    A cohort declares no split, and its label is made from the outcome: it can be no third value.
    """

    test_declared_splits_are_kept_and_a_lacking_validation_is_taken_from_train = None  # type: ignore[assignment]
    test_a_patient_in_train_and_test_is_refused = None  # type: ignore[assignment]
    test_a_label_outside_the_contract_is_refused = None  # type: ignore[assignment]
    test_errors_and_reports_name_no_patient = None  # type: ignore[assignment]  # provoked by such a label; see the end instead

    def contract(self) -> DataContract:
        cohort = CohortSection(
            concepts=(STAY, PRESSURE, STROKE),
            index=IndexSection(concepts="stay", which="each"),
            features=(FeatureSection(column="x", value="last", concepts="pressure", days_before=1, units=UNITS),),
            outcome=OutcomeSection(kind="concepts", concepts="stroke", days_from=1, days_after=5),
        )
        columns = (ColumnContract(name="x", range=(0, 1)),)
        return DataContract(kind="table", columns=columns, label=LabelContract(name="stroke"), cohort=cohort)

    def source_order(self, items: list[Item]) -> list[Item]:
        return sorted(items, key=lambda item: (self.key(item), item.number))

    def raw_records(self, path: Path) -> list[Any]:  # noqa: ARG002
        return []

    @staticmethod
    def key(item: Item) -> str:
        raise NotImplementedError


class TestOmop(CohortConformance):
    @staticmethod
    def key(item: Item) -> str:
        return str(int(item.patient.rpartition("-")[2]) + 1)

    def tables(self, items: list[Item], end: str, apart: int) -> dict[str, list[dict[str, Any]]]:
        people = sorted({int(self.key(item)) for item in items})
        return {
            "concept": CONCEPTS,
            "person": [omop_person(number) for number in people],
            "observation_period": [omop_period(number, end=end) for number in people],
            "visit_occurrence": [omop_stay(day(item, 0, apart), int(self.key(item))) for item in items],
            "measurement": [omop_pressure(day(i, -1, apart), i.number / 1000, int(self.key(i))) for i in items],
            "condition_occurrence": [omop_stroke(day(i, 1, apart), int(self.key(i))) for i in items if i.label == "1"],
        }

    def write(self, folder: Path, items: list[Item]) -> Path:
        return self.put(folder, self.tables(items, "2030-12-31", 10))

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        tables = self.tables(items, "2020-01-01", 1)
        return self.put(folder, {**tables, "condition_occurrence": []})

    def put(self, folder: Path, tables: dict[str, list[dict[str, Any]]]) -> Path:
        return write_csv(folder, tables)

    def test_words_that_name_nobody_are_no_patient(self, tmp_path: Path) -> None:
        """A person is a whole number, as OMOP says: a word in its place is an error, whatever it means."""
        tables = self.tables(case(), "2030-12-31", 10)
        tables["person"][0]["person_id"] = "NA"
        source = open_source(self.put(tmp_path / "a", tables), self.contract())
        assert "person-id-no-number" in {finding.code for finding in source.check().findings if finding.level == "error"}
        with pytest.raises(DataError, match="no whole number"):
            source.load()

    def test_one_patient_written_in_two_ways_is_told_and_in_a_private_study_refused(self, tmp_path: Path) -> None:
        """0007 and 7 are one whole number, so that they are one person, with all events of both."""
        tables = self.tables(case(), "2030-12-31", 10)
        for row in tables["visit_occurrence"][1:]:
            row["person_id"] = f"000{row['person_id']}"
        plain = open_source(self.put(tmp_path / "plain", self.tables(case(), "2030-12-31", 10)), self.contract())
        source = open_source(self.put(tmp_path / "a", tables), self.contract())
        assert same(source.load(), plain.load())
        tables["person"].append({**tables["person"][0], "person_id": "00001"})
        with pytest.raises(DataError, match="names a person twice"):
            open_source(self.put(tmp_path / "b", tables), self.contract()).load()


class TestSqlite(TestOmop):
    def put(self, folder: Path, tables: dict[str, list[dict[str, Any]]]) -> Path:
        source = write_csv(folder.with_name(f"{folder.name}-csv"), tables)
        folder.mkdir()
        return load_sqlite(source, folder / "cdm.sqlite")


class TestFhir(CohortConformance):
    @staticmethod
    def key(item: Item) -> str:
        return item.patient

    def resources(self, items: list[Item], apart: int) -> list[dict[str, Any]]:
        return [
            *(patient(name) for name in dict.fromkeys(item.patient for item in items)),
            *(encounter(day(item, 0, apart), item.patient) for item in items),
            *(observation(day(item, -1, apart), item.number / 1000, item.patient) for item in items),
        ]

    def write(self, folder: Path, items: list[Item]) -> Path:
        other = {"class": {"system": "x", "code": "AMB"}}
        later = [encounter("2030-01-01", name, **other) for name in {item.patient for item in items}]
        strokes = [condition(day(item, 1), item.patient) for item in items if item.label == "1"]
        return write_fhir(folder, [*self.resources(items, 10), *later, *strokes])

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        write_fhir(folder, self.resources(items, 1))
        (folder / "Condition.ndjson").touch()
        return folder


class TestFhirBundles(TestFhir):
    """The same resources as one Bundle for each patient, as a hospital's interface hands them over."""

    def write(self, folder: Path, items: list[Item]) -> Path:
        return write_bundles(folder, super().write(folder.with_name(f"{folder.name}-ndjson"), items))

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        write_bundles(folder, super().write_unlabelled(folder.with_name(f"{folder.name}-ndjson"), items))
        (folder / "Condition.ndjson").touch()
        return folder


def test_the_report_of_a_database_that_may_be_sent_names_nobody(tmp_path: Path) -> None:
    """Places hold ids and values: they are for the person at the machine."""
    from .cases import contract, fhir_resources

    resources = [
        *fhir_resources(),
        observation("2020-05-09", 117.25, "Mustermann"),
        observation("2020-05-08", 117.25, unit="kPa"),
    ]
    report = open_source(write_fhir(tmp_path, resources), contract()).check()
    sent = json.dumps(report.to_json())
    assert "Mustermann" not in sent and "117" not in sent and "kPa" not in sent and "2020" not in sent
    assert "Mustermann" in str(report.findings) and "kPa" in str(report.findings)
