"""Where a visit led to, as an event of its last day: the same study on OMOP tables and on FHIR resources."""

from pathlib import Path
from typing import Any

import pytest

from wardround.sources.opening import open_source
from wardround.study.contract import DataContract
from wardround.study.sections.cohort import ConceptSet, FeatureSection, IndexSection, OutcomeSection

from .cases import CONCEPTS, STAY, contract, encounter, omop_person, omop_stay, omop_tables, patient
from .databases import load_sqlite, write_csv, write_fhir

DIED = ConceptSet(name="died", event="discharge", codes=("SNOMED|371828006", "Discharge|exp"))
DEAD, HOME = 4216643, 581476
ENDS = {1: ("2020-05-10", "2020-05-20", DEAD), 2: ("2020-05-10", "2020-05-14", HOME), 3: ("2020-05-10", "2020-05-12", None)}
AGE = (FeatureSection(column="age", value="age"),)


def in_hospital() -> DataContract:
    outcome = OutcomeSection(kind="concepts", concepts="died", within_visit=True)
    return contract(STAY, DIED, features=AGE, outcome=outcome)


def omop(folder: Path) -> Path:
    stays = [
        {**omop_stay(start, number, end), "discharged_to_concept_id": code or 0} for number, (start, end, code) in ENDS.items()
    ]
    died = {"concept_id": DEAD, "vocabulary_id": "SNOMED", "concept_code": "371828006", "standard_concept": "S"}
    tables = omop_tables(person=[omop_person(n) for n in ENDS], visit_occurrence=stays, concept=[*CONCEPTS, died])
    return write_csv(folder, {**tables, "death": []})


def fhir(folder: Path) -> Path:
    resources: list[dict[str, Any]] = []
    for number, (start, end, code) in ENDS.items():
        words = {DEAD: "exp", HOME: "home"}
        system = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
        said = (
            {"hospitalization": {"dischargeDisposition": {"coding": [{"system": system, "code": words[code]}]}}} if code else {}
        )
        resources += [patient(f"p{number}"), encounter(start, f"p{number}", end, **said)]
    return write_fhir(folder, resources)


@pytest.mark.parametrize("write", [omop, fhir, lambda folder: load_sqlite(omop(folder / "csv"), folder / "d.sqlite")])
def test_death_in_hospital_is_told_by_the_discharge_in_every_source(tmp_path: Path, write: Any) -> None:
    """Many hospitals know how a stay ended and no day of death; everybody then seemed to have lived."""
    records = open_source(write(tmp_path), in_hospital()).load()
    assert {name.removeprefix("p"): int(label) for name, label in zip(records.patients, records.labels, strict=True)} == {
        "1": 1, "2": 0, "3": 0,
    }  # fmt: skip


@pytest.mark.parametrize("write", [omop, fhir])
def test_a_discharge_is_an_index_on_the_last_day_of_its_visit(tmp_path: Path, write: Any) -> None:
    """A study of readmission counts from the day on which the patient left."""
    home = ConceptSet(name="left", event="discharge")
    within = OutcomeSection(kind="concepts", concepts="stay", days_from=0, days_after=2, censored="negative")
    since = (FeatureSection(column="days", value="days_since", concepts="stay"),)
    rules = contract(STAY, home, features=since, outcome=within, index=IndexSection(concepts="left"))
    records = open_source(write(tmp_path), rules).load()
    days = dict(zip((name.removeprefix("p") for name in records.patients), records.inputs[:, 0] * 2750 + 4500, strict=True))
    assert {name: round(float(value)) for name, value in days.items()} == {"1": 10, "2": 4}
