"""What a FHIR resource says: days, references, codes, statuses. JSON from anywhere goes in; every oddity comes out as None.

A day is the one that is written: of "2019-05-03T23:30:00-05:00" it is 3 May, the day on the hospital's own clock.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from wardround.study.sections.cohort import EventKind

Resource = dict[str, Any]
Coding = tuple[str, str]
"""System and code."""

_DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T.*)?)?)?", re.ASCII | re.DOTALL)


def parts_of_day(text: object) -> tuple[int | None, int | None, int | None]:
    """Year, month and day of a date that may lack its end.

    >>> parts_of_day("2019-05"), parts_of_day("2019-05-03T10:00:00Z"), parts_of_day("May")
    ((2019, 5, None), (2019, 5, 3), (None, None, None))
    """
    match = _DAY.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None, None, None
    year, month, day = (None if part is None else int(part) for part in match.groups())
    return year, month, day


def day_of(text: object) -> date | None:
    """The day of a date or a time; None where a part of it is missing, or the calendar has no such day.

    >>> day_of("2019-05-03T23:30:00-05:00"), day_of("2019-05"), day_of("2019-02-30")
    (datetime.date(2019, 5, 3), None, None)
    """
    year, month, day = parts_of_day(text)
    if year is None or month is None or day is None:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def is_unread_date(text: object) -> bool:
    """Whether something stands where a date should, and is none: neither whole, nor a year, nor a month of one.

    >>> [is_unread_date(text) for text in (None, "2019", "2019-05-03", "12/05/2020", "20200512", "2019-02-30", 7)]
    [False, False, False, True, True, True, True]
    """
    if text is None:
        return False
    year, _, day = parts_of_day(text)
    return year is None or (day is not None and day_of(text) is None)


def moment_of(text: object) -> int | None:
    """Microseconds since 1970 of an instant, to tell a newer version from an older one."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def part(value: object, *names: str) -> Any:
    """What stands at a path of names, None where it leads nowhere."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def id_in(reference: object, kind: str) -> str:
    """The id of a resource of a kind that a reference names, "" for none: of this server, of another, of one version, or a UUID.

    A reference to a resource of another kind is given back whole, which is nobody's id: Device/1 is not Patient/1.

    >>> id_in("Patient/1", "Patient"), id_in("urn:uuid:1b9d", "Patient"), id_in("https://h/fhir/Patient/1/_history/2", "Patient")
    ('1', '1b9d', '1')
    >>> id_in("Group/1", "Patient"), id_in("Patient?identifier=x|7", "Patient")
    ('Group/1', '')
    """
    if not isinstance(reference, str) or "?" in reference:
        return ""
    path = reference.partition("/_history/")[0]
    before, _, name = path.removeprefix("urn:uuid:").removeprefix("urn:oid:").rpartition("/")
    return name if before.rpartition("/")[2] in ("", kind) else reference


def codings(concept: object) -> list[Coding]:
    """The codes of a CodeableConcept."""
    return [pair for coding in listed(part(concept, "coding")) if (pair := coding_of(coding)) is not None]


def coding_of(coding: object) -> Coding | None:
    system, code = part(coding, "system"), part(coding, "code")
    return (system.strip(), code.strip()) if isinstance(system, str) and isinstance(code, str) else None


def bare_codes(concept: object) -> Iterator[tuple[str, str]]:
    """System and code of each coding of a CodeableConcept, "" where no system is named, and a number as its text."""
    for coding in listed(part(concept, "coding")):
        system, code = part(coding, "system"), part(coding, "code")
        if isinstance(code, (str, int)):
            yield system if isinstance(system, str) else "", str(code).strip()


@dataclass(frozen=True)
class Measured:
    """A number with its unit; limit: it is only a bound of what could be measured. absent: the source says why nothing was.
    unread: what stands in place of a number is none."""

    number: float | None = None
    unit: str = ""
    limit: bool = False
    absent: bool = False
    unread: bool = False


def measured(holder: Resource) -> Measured:
    """The value of an Observation, or of one of its components. The unit is UCUM's code, or else as it is written."""
    if holder.get("dataAbsentReason") is not None:
        return Measured(absent=True)
    quantity = holder.get("valueQuantity")
    number = part(quantity, "value") if quantity is not None else holder.get("valueInteger")
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return Measured(unread=number is not None)
    if isinstance(number, float) and not math.isfinite(number):
        return Measured(unread=True)
    code, written = part(quantity, "code"), part(quantity, "unit")
    unit = code if isinstance(code, str) and part(quantity, "system") == "http://unitsofmeasure.org" else written
    try:
        return Measured(float(number), unit.strip() if isinstance(unit, str) else "", part(quantity, "comparator") is not None)
    except OverflowError:
        return Measured(unread=True)


@dataclass(frozen=True)
class ResourceKind:
    """How a resource tells an event. starts, ends: paths to its days, the first that is there counts.

    status: the path to its state, and `used` the states of what really happened. unstated: a resource without a state is used.
    """

    name: str
    event: EventKind
    starts: tuple[tuple[str, ...], ...]
    ends: tuple[tuple[str, ...], ...] = ()
    subject: str = "subject"
    code: str = "code"
    used: frozenset[str] = frozenset()
    unstated: bool = False


RESOURCE_KINDS: dict[str, ResourceKind] = {
    kind.name: kind
    for kind in (
        ResourceKind(
            "Encounter", "visit", (("period", "start"),), (("period", "end"),), code="type",
            used=frozenset({"finished", "in-progress", "onleave", "arrived", "triaged"}),
        ),
        ResourceKind(
            "Condition", "condition", (("onsetDateTime",), ("onsetPeriod", "start"), ("recordedDate",)),
            (("abatementDateTime",), ("abatementPeriod", "end")), used=frozenset({"confirmed"}), unstated=True,
        ),
        ResourceKind(
            "Procedure", "procedure", (("performedDateTime",), ("performedPeriod", "start")), (("performedPeriod", "end"),),
            used=frozenset({"completed", "in-progress"}),
        ),
        ResourceKind(
            "MedicationRequest", "drug", (("authoredOn",),), code="medicationCodeableConcept",
            used=frozenset({"active", "completed", "stopped", "on-hold"}),
        ),
        ResourceKind(
            "Immunization", "drug", (("occurrenceDateTime",),), subject="patient", code="vaccineCode",
            used=frozenset({"completed"}),
        ),
        ResourceKind(
            "Observation", "measurement", (("effectiveDateTime",), ("effectiveInstant",), ("effectivePeriod", "start")),
            used=frozenset({"final", "amended", "corrected"}),
        ),
    )
}  # fmt: skip

STATUS_WORDS = frozenset(
    [
        "active",
        "amended",
        "arrived",
        "cancelled",
        "completed",
        "confirmed",
        "corrected",
        "differential",
        "draft",
        "entered-in-error",
        "final",
        "finished",
        "in-progress",
        "not-done",
        "on-hold",
        "onleave",
        "planned",
        "preliminary",
        "preparation",
        "provisional",
        "refuted",
        "registered",
        "stopped",
        "triaged",
        "unconfirmed",
        "unknown",
    ]
)
"""FHIR's own words, which a report may show; any other is called "another status"."""
INTENTS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
"""What was prescribed, and not only thought of."""


MODIFIED = "modifierExtension"
"""What may turn a resource's meaning around: whoever does not understand it may not use the resource."""


def unused_status(kind: ResourceKind, resource: Resource) -> str | None:
    """Why a resource tells no event, in a word of FHIR's; None where it does."""
    if resource.get(MODIFIED) or any(part(component, MODIFIED) for component in listed(resource.get("component"))):
        return MODIFIED
    if kind.name == "Condition":
        # A concept whose codes are FHIR's own; one word in it that says no is enough.
        states = [code for _, code in codings(resource.get("verificationStatus"))]
        state = next((code for code in states if code not in kind.used), states[0] if states else None)
    else:
        state = _word(resource.get("status"))
    if kind.name == "MedicationRequest" and resource.get("doNotPerform") is True:
        return "doNotPerform"
    if kind.name == "MedicationRequest" and _word(resource.get("intent")) not in INTENTS:
        return "intent"
    if state is None:
        return None if kind.unstated else "no status"
    if state in kind.used:
        return None
    return state if state in STATUS_WORDS else "another status"


def _word(value: object) -> str | None:
    """A word of FHIR's; "" where something else stands in its place."""
    return value if value is None or isinstance(value, str) else ""


def first_text(resource: Resource, paths: tuple[tuple[str, ...], ...]) -> object:
    return next((text for path in paths if (text := part(resource, *path)) is not None), None)


def coded_parts(kind: ResourceKind, resource: Resource) -> Iterator[tuple[list[Coding], Measured]]:
    """The codes of a resource with what was measured, and those of each of its components (a blood pressure has two)."""
    if kind.name == "Encounter":
        types = [pair for concept in listed(resource.get("type")) for pair in codings(concept)]
        own = coding_of(resource.get("class"))
        yield [*types, *([own] if own else [])], Measured()
        return
    yield codings(resource.get(kind.code)), measured(resource) if kind.name == "Observation" else Measured()
    if kind.name == "Observation":
        for component in listed(resource.get("component")):
            if isinstance(component, dict):
                yield codings(component.get("code")), measured(component)
