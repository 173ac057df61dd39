"""A small cohort that OMOP tables and FHIR resources can both hold: a stay, a systolic pressure before it, a stroke after it."""

from typing import Any

from wardround.study.contract import ColumnContract, DataContract, LabelContract, SplitsContract
from wardround.study.sections.cohort import CohortSection, ConceptSet, FeatureSection, IndexSection, OutcomeSection

STAY = ConceptSet(name="stay", event="visit", codes=("Visit|IP", "ActCode|IMP"))
PRESSURE = ConceptSet(name="pressure", event="measurement", codes=("LOINC|8480-6",))
STROKE = ConceptSet(name="stroke", event="condition", codes=("SNOMED|230690007",))
FEW = SplitsContract(minimum_patients=1, validation=0.0, test=0.0)
CONCEPTS = [
    {"concept_id": 9201, "vocabulary_id": "Visit", "concept_code": "IP", "standard_concept": "S"},
    {"concept_id": 3004249, "vocabulary_id": "LOINC", "concept_code": "8480-6", "standard_concept": "S"},
    {"concept_id": 381316, "vocabulary_id": "SNOMED", "concept_code": "230690007", "standard_concept": "S"},
    {"concept_id": 8876, "vocabulary_id": "UCUM", "concept_code": "mm[Hg]", "standard_concept": "S"},
]


def contract(
    *concepts: ConceptSet, features: tuple[FeatureSection, ...] = (), splits: SplitsContract = FEW, **parts: Any
) -> DataContract:
    """Age and the last systolic pressure of 30 days; positive with a stroke from the next day to day 30."""
    features = features or (
        FeatureSection(column="age", value="age"),
        FeatureSection(column="pressure", value="last", concepts="pressure", days_before=30, units={"mm[Hg]": 1.0}),
    )
    cohort = CohortSection(
        concepts=concepts or (STAY, PRESSURE, STROKE),
        index=parts.pop("index", IndexSection(concepts="stay", which="each")),
        features=features,
        outcome=parts.pop("outcome", OutcomeSection(kind="concepts", concepts="stroke", days_from=1, days_after=30)),
    )
    columns = tuple(ColumnContract(name=f.column, range=(-1000, 10000), max_missing=1.0) for f in features)
    return DataContract(kind="table", columns=columns, label=LabelContract(name="stroke"), cohort=cohort, splits=splits)


def patient(name: str = "p1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": name, "birthDate": "1950-03-01", "gender": "female", **more}


def encounter(day: str, name: str = "p1", end: str | None = None, **more: Any) -> dict[str, Any]:
    period = {"start": day, "end": end or day}
    inside = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    return {
        "resourceType": "Encounter", "id": f"e-{name}-{day}", "status": "finished", "class": inside,
        "subject": {"reference": f"Patient/{name}"}, "period": period, **more,
    }  # fmt: skip


def observation(day: str, value: Any = 120, name: str = "p1", unit: str = "mm[Hg]", **more: Any) -> dict[str, Any]:
    quantity = {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    return {
        "resourceType": "Observation", "id": f"o-{name}-{day}-{value}", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}, "subject": {"reference": f"Patient/{name}"},
        "effectiveDateTime": day, "valueQuantity": quantity, **more,
    }  # fmt: skip


def condition(day: str, name: str = "p1", **more: Any) -> dict[str, Any]:
    confirmed = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed"}]}
    return {
        "resourceType": "Condition", "id": f"c-{name}-{day}", "verificationStatus": confirmed,
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "230690007"}]},
        "subject": {"reference": f"Patient/{name}"}, "onsetDateTime": day, **more,
    }  # fmt: skip


def omop_person(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"person_id": number, "gender_concept_id": 8532, "year_of_birth": 1950, "month_of_birth": 3, "day_of_birth": 1, **more}


def omop_stay(day: str, number: int = 1, end: str | None = None) -> dict[str, Any]:
    return {"person_id": number, "visit_concept_id": 9201, "visit_start_date": day, "visit_end_date": end or day}


def omop_pressure(day: str, value: Any = 120, number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "person_id": number, "measurement_concept_id": 3004249, "measurement_date": day, "value_as_number": value,
        "unit_concept_id": 8876, "unit_source_value": "mmHg", **more,
    }  # fmt: skip


def omop_stroke(day: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {"person_id": number, "condition_concept_id": 381316, "condition_start_date": day, **more}


def omop_period(number: int = 1, start: str = "2000-01-01", end: str = "2030-12-31") -> dict[str, Any]:
    return {"person_id": number, "observation_period_start_date": start, "observation_period_end_date": end}


def omop_tables(**more: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """One person with a stay, a pressure of 130 the day before, and a stroke two days later."""
    tables = {
        "person": [omop_person()], "observation_period": [omop_period()], "visit_occurrence": [omop_stay("2020-05-10")],
        "measurement": [omop_pressure("2020-05-09", 130)], "condition_occurrence": [omop_stroke("2020-05-12")],
        "concept": CONCEPTS,
    }  # fmt: skip
    return {**tables, **more}


def fhir_resources() -> list[dict[str, Any]]:
    """The same person as resources; a later encounter says how long the person was observed."""
    return [
        patient(), encounter("2020-05-10T08:00:00+02:00"), observation("2020-05-09T10:00:00+02:00", 130),
        condition("2020-05-12"), encounter("2020-12-01", **{"class": {"system": "x", "code": "AMB"}}),
    ]  # fmt: skip
