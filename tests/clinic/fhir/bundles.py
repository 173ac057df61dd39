"""A patient's record as a record system sends it, and the mapping of the clinic that reads it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from wardround.clinic.place.fhir_settings import FhirColumnSection, FhirSection

NOW = datetime.now(UTC)
MAPPING = FhirSection(
    columns=(
        FhirColumnSection(column="age", source="age"),
        FhirColumnSection(column="sex", source="sex", values={"female": "f", "male": "m"}),
        FhirColumnSection(
            column="smoker", source="code", codes=("LOINC|72166-2",), values={"449868002": 1, "8517006": 0, "266919005": 0}
        ),
        FhirColumnSection(column="pressure", codes=("LOINC|8480-6",), units={"mm[Hg]": 1, "kPa": 7.50062}),
    ),
    readers=("his",),
)


def patient(**changes: Any) -> dict[str, Any]:
    told = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": f"{NOW.year - 60}-01-01"}
    return {**told, "name": [{"family": "Mustermann"}], **changes}


def observation(code: str, days_ago: float = 1, **content: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": (NOW - timedelta(days=days_ago)).isoformat(timespec="seconds"),
        **content,
    }


def quantity(value: float, unit: str = "mm[Hg]", **more: Any) -> dict[str, Any]:
    return {"valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit, **more}}


def smoking(code: str = "449868002") -> dict[str, Any]:
    return observation("72166-2", valueCodeableConcept={"coding": [{"system": "http://snomed.info/sct", "code": code}]})


def pressure(value: float = 150, unit: str = "mm[Hg]", days_ago: float = 1, **more: Any) -> dict[str, Any]:
    """A systolic pressure as a component, as the profile of vital signs has it."""
    systolic = {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}, **quantity(value, unit, **more)}
    return observation("85354-9", days_ago, component=[systolic])


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


def whole() -> dict[str, Any]:
    return bundle(patient(), smoking(), pressure())
