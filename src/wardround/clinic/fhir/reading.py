"""A FHIR bundle about one patient to a row of the contract, by the mapping of clinic.toml.

    Patient, Observations --codes, units, values of [[fhir.columns]]--> {column: value, None where nothing is known}

What the mapping does not name is not read. What it names and cannot be understood is refused, not guessed: another unit, a value
that is only a bound ("< 5"), two patients, an element that may turn the meaning around. No message quotes a value of a patient.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from wardround.clinic.place.fhir_settings import FhirColumnSection, FhirSection
from wardround.sources.databases.fhir.values import (
    INTENTS,
    MODIFIED,
    RESOURCE_KINDS,
    Coding,
    codings,
    day_of,
    first_text,
    id_in,
    listed,
    measured,
    moment_of,
    part,
    unused_status,
)
from wardround.study.code_systems import code_of
from wardround.study.contract import DataContract
from wardround.values.errors import DataError, StudyError
from wardround.values.printable import printable

MOST_ENTRIES = 5000
Resource = dict[str, Any]
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_OBSERVATION = RESOURCE_KINDS["Observation"]


@dataclass(frozen=True)
class PatientRow:
    """values: of every column of the contract. reference: as the bundle names the patient, "" where it has no id."""

    values: Mapping[str, Any]
    reference: str


def require_fit(section: FhirSection | None, contract: DataContract) -> FhirSection:
    """The mapping, where it fills every column of a table model and no other. StudyError else."""
    names = [column.name for column in contract.columns]
    hint = "write a [[fhir.columns]] for each column of the model into clinic.toml"
    if contract.kind == "molecule":
        raise StudyError(
            "The model in service reads molecules",
            expected="a table model for FHIR",
            hint="ask it by a SMILES, on the page or over /v1",
        )
    if contract.kind != "table":
        raise StudyError(
            "The model in service reads images", expected="a table model for FHIR", hint="send films over DICOM or REST"
        )
    if section is None or not section.columns:
        raise StudyError("clinic.toml does not say which codes fill the model's columns", expected=", ".join(names), hint=hint)
    filled = [column.column for column in section.columns]
    if sorted(filled) != sorted(names):
        raise StudyError(
            "The mapping of clinic.toml is not that of the model in service",
            expected=", ".join(names),
            found=", ".join(filled),
            hint=hint,
        )
    return section


@dataclass(frozen=True)
class Order:
    """A ServiceRequest that asks for the answer to the films of a study. reference: "ServiceRequest/ID", "" where it has no id.
    subject: as it names the patient."""

    study_uid: str
    reference: str
    subject: str


def ordered_study(resource: Mapping[str, Any]) -> Order:
    """The order of an active ServiceRequest, which names its study in supportingInfo. DataError where it does not.

    The study is an identifier of urn:dicom:uid, as FHIR has it: {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}.
    """
    if resource.get("status") != "active" or resource.get("intent") not in INTENTS or resource.get("doNotPerform") is True:
        raise DataError(
            "The ServiceRequest is no active order", expected="status active, intent order", hint="send it when it is"
        )
    if resource.get(MODIFIED):
        raise DataError("The ServiceRequest has a modifierExtension, which may turn its meaning around", hint="send it without")
    identifiers = [part(info, "identifier") for info in listed(resource.get("supportingInfo"))]
    values = {part(one, "value") for one in identifiers if part(one, "system") == "urn:dicom:uid"}
    studies = {value.removeprefix("urn:oid:") for value in values if isinstance(value, str)}
    if len(studies) != 1:
        raise DataError(
            "The ServiceRequest does not name one study", expected="supportingInfo with an identifier of urn:dicom:uid",
            hint="order one study at a time",
        )  # fmt: skip
    return Order(studies.pop(), _reference("ServiceRequest", resource.get("id")), _subject_of(resource))


def _subject_of(resource: Mapping[str, Any]) -> str:
    name = id_in(part(resource, "subject", "reference"), "Patient")
    return _reference("Patient", name)


def _reference(kind: str, name: object) -> str:
    return f"{kind}/{name}" if isinstance(name, str) and _ID.fullmatch(name) else ""


def patient_row(section: FhirSection, resources: Mapping[str, Any] | list[Any], now: datetime | None = None) -> PatientRow:
    """The row of a Bundle, or of a list of resources. DataError where it cannot be understood."""
    moment = now or datetime.now(UTC)
    patients, observations = [], []
    for resource in _resources(resources):
        kind = resource.get("resourceType")
        if kind == "Patient":
            patients.append(resource)
        elif kind == "Observation":
            observations.append(resource)
    patient = _one_patient(patients, observations)
    if patient.get(MODIFIED):
        raise DataError("The Patient has a modifierExtension, which may turn its meaning around", hint="send it without")
    usable = [one for one in observations if unused_status(_OBSERVATION, one) is None]
    values = {column.column: _filled(column, patient, usable, moment) for column in section.columns}
    return PatientRow(values, _reference("Patient", patient.get("id")))


def _resources(content: Mapping[str, Any] | list[Any]) -> Iterator[Resource]:
    """What is in a bundle, also in bundles within it (the answer to a search)."""
    pending: list[Any] = list(content) if isinstance(content, list) else [content]
    count = 0
    while pending:
        resource = pending.pop()
        count += 1
        if count > MOST_ENTRIES:
            raise DataError(
                "The bundle holds too much", expected=f"at most {MOST_ENTRIES} resources", hint="send the latest alone"
            )
        if not isinstance(resource, dict):
            raise DataError(
                "The bundle holds something that is no resource", expected="objects of JSON", hint="send FHIR R4 JSON"
            )
        if resource.get("resourceType") == "Bundle":
            if any(part(link, "relation") == "next" for link in listed(resource.get("link"))):
                raise DataError("The bundle is one page of several", hint="send all pages, or ask for the latest alone")
            pending.extend(entry["resource"] for entry in listed(resource.get("entry")) if part(entry, "resource") is not None)
        else:
            yield resource


def _one_patient(patients: list[Resource], observations: list[Resource]) -> Resource:
    names = {patient.get("id") for patient in patients}
    subjects = {id_in(part(one, "subject", "reference"), "Patient") for one in observations} - {""}
    if len(names) > 1 or len(subjects) > 1 or (len(patients) == 1 and patients[0].get("id") and subjects - names):
        raise DataError("The bundle is about more than one patient", expected="one Patient and its Observations", hint="send one")
    return patients[0] if patients else {}


def _filled(column: FhirColumnSection, patient: Resource, observations: list[Resource], now: datetime) -> Any:
    if column.source == "age":
        return _age(patient, now.date())
    if column.source == "sex":
        return _translated(column, patient.get("gender"))
    latest = _latest(column, observations, now)
    if latest is None:
        return None
    holder, where = latest
    if column.source == "code":
        said = [code for _, code in codings(holder.get("valueCodeableConcept"))]
        return _translated(
            column, next((code for code in said if code in column.values), said[0] if said else holder.get("valueString"))
        )
    number = measured(holder)
    if number.absent:
        return None
    if number.limit:
        raise DataError(f"The column {column.column!r} would be filled by a bound", expected="a measured number", hint=where)
    if number.number is None:
        raise DataError(f"The Observation for the column {column.column!r} holds no number", hint=where)
    factor = column.units.get(number.unit)
    if factor is None:
        raise DataError(
            f"The unit of the Observation for the column {column.column!r} is not known",
            expected=", ".join(unit or "no unit" for unit in column.units),
            found=printable(number.unit)[:40] or "no unit",
            hint=f"add it with its factor to units of {column.column!r} under [[fhir.columns]], or send it in a unit of these",
        )
    return number.number * factor


def _latest(column: FhirColumnSection, observations: list[Resource], now: datetime) -> tuple[Resource, str] | None:
    """The newest Observation, or component of one, with one of the column's codes, and what to do about it."""
    column_codes = {(system, code.code) for text in column.codes for code in [code_of(text)] for system in code.fhir_systems}
    dated: list[tuple[date, int, Resource]] = []
    for observation in observations:
        when = first_text(observation, _OBSERVATION.starts)
        day = day_of(when)
        if day is None or not now.date() - timedelta(days=column.days) <= day <= now.date() + timedelta(days=1):
            continue
        for holder in (observation, *(one for one in listed(observation.get("component")) if isinstance(one, dict))):
            if column_codes & set(_codes(holder)):
                dated.append((day, moment_of(when) or 0, holder))
    if not dated:
        return None
    dated.sort(key=lambda one: one[:2])
    same = [holder for day, moment, holder in dated if (day, moment) == dated[-1][:2]]
    if any(
        measured(one) != measured(same[0]) or one.get("valueCodeableConcept") != same[0].get("valueCodeableConcept")
        for one in same
    ):
        raise DataError(
            f"Two Observations of the same time for the column {column.column!r} differ", hint="send the one that holds"
        )
    return same[-1], "send another Observation, or leave it out: the column then has no value"


def _codes(holder: Resource) -> list[Coding]:
    return codings(holder.get("code"))


def _translated(column: FhirColumnSection, said: object) -> Any:
    if said is None:
        return None
    if not isinstance(said, str) or said not in column.values:
        raise DataError(
            f"What the record says for the column {column.column!r} is not in its mapping", expected=", ".join(column.values),
            hint=f"add it to values of {column.column!r} under [[fhir.columns]]",
        )  # fmt: skip
    return column.values[said]


def _age(patient: Resource, today: date) -> int | None:
    """In whole years. A birth date without its day is not known well enough."""
    born = day_of(patient.get("birthDate"))
    if born is None:
        return None
    if born > today:
        raise DataError("The Patient's birth date lies ahead", hint="correct it at the source")
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
