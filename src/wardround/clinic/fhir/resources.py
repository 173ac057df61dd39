"""An answer as FHIR R4 resources: what was found (Observation), how likely it is (RiskAssessment), the report (DiagnosticReport),
who said so (Device) and from what (Provenance).

    StoredAnswer --bundle--> collection of five, or --report--> one DiagnosticReport that contains the others but the Provenance

Everything is preliminary and labelled for research until the hospital signs otherwise. The patient is a pseudonym of this clinic,
or whom the asking system named itself. Each resource is read by `fhir.resources` before it leaves: R4B, whose resources used here
have the same elements as in R4 (4.0.1).
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from wardround.clinic.answering.answer import Answer, AnswerInParts, AnyAnswer
from wardround.clinic.answering.parts_in_words import sentence_in_parts
from wardround.clinic.answering.question import FILMS, REASONS, RESEARCH, Question, natural_frequency
from wardround.clinic.fhir.parts import (
    SYSTEM,
    component,
    finding_of,
    has_chances,
    interpreted,
    names_of_observations,
    observed,
    plain_number,
    predictions,
    unusual_components,
)
from wardround.values.errors import MissingExtraError
from wardround.values.version import __version__

Resource = dict[str, Any]
_SCHEMES = {"SCT": "http://snomed.info/sct", "LN": "http://loinc.org", "I10": "http://hl7.org/fhir/sid/icd-10"}
_WORDS = {"positive": "yes", "negative": "no", "cannot-tell": "cannot tell"}


@dataclass(frozen=True)
class Reported:
    """An answer that was stored. given: seconds since 1970. patient: a pseudonym; "" of nobody. reference: "Patient/ID", where
    the asking system named its own. order: "ServiceRequest/ID" that it answers. counted: what sentences count: films,
    patients or compounds."""

    case_id: str
    given: float
    answer: AnyAnswer
    patient: str = ""
    reference: str = ""
    order: str = ""
    counted: str = FILMS


def bundle(reported: Reported, question: Question, *, kind: str = "collection") -> Resource:
    """A Bundle of the report, its Observations, the RiskAssessment where there are chances, Device and Provenance."""
    urls = {name: f"urn:uuid:{_uuid(reported.case_id, name)}" for name in _names(reported.answer)}
    entries: list[dict[str, Any]] = [
        {"fullUrl": urls[name], "resource": resource} for name, resource in _resources(reported, question, urls).items()
    ]
    content: Resource = {"resourceType": "Bundle", "type": kind, "timestamp": _instant(reported.given)}
    if kind == "searchset":
        content["total"] = 1
        for entry in entries:
            entry["search"] = {"mode": "match" if entry["resource"]["resourceType"] == "DiagnosticReport" else "include"}
    return checked({**content, "entry": entries})


def report(reported: Reported, question: Question) -> Resource:
    """The DiagnosticReport alone, with what it refers to inside it."""
    urls = {name: f"#{name}" for name in _names(reported.answer)}
    resources = _resources(reported, question, urls)
    inside = ("device", *(name for name in urls if name.startswith("observation")), *(("risk",) if "risk" in urls else ()))
    contained: list[Resource] = [{**resources[name], "id": name} for name in inside]
    for resource in contained:
        resource.pop("meta", None)  # a contained resource has none (dom-4)
    return checked({**resources["report"], "contained": contained})


def checked(resource: Resource) -> Resource:
    """The resource, after `fhir.resources` has read it. Its JSON is ours: no element is added or lost."""
    _readers()[resource["resourceType"]].model_validate(resource)
    return resource


@cache
def _readers() -> Mapping[str, Any]:
    try:
        from fhir.resources.R4B.bundle import Bundle
        from fhir.resources.R4B.capabilitystatement import CapabilityStatement
        from fhir.resources.R4B.diagnosticreport import DiagnosticReport
        from fhir.resources.R4B.operationoutcome import OperationOutcome
    except ImportError:
        raise MissingExtraError("FHIR needs fhir.resources", hint="pip install 'wardround[clinic]'") from None
    kinds = (Bundle, CapabilityStatement, DiagnosticReport, OperationOutcome)
    return {kind.__name__: kind for kind in kinds}


def sentence(answer: AnyAnswer, question: Question, *, counted: str) -> str:
    """The answer in words, research use first."""
    if isinstance(answer, AnswerInParts):
        return sentence_in_parts(answer, question, counted=counted)
    often = f"{natural_frequency(answer.probability)} {counted} with an answer like this one have it"
    likely = f"probability {answer.probability:.2f}, {often}"
    text = f"{question.finding}: {_WORDS[answer.verdict]} ({likely})."
    for reason in answer.reasons:
        text += f" The model cannot tell: {REASONS[reason].replace(FILMS, counted)}."
    return f"{RESEARCH}. {text}" if question.research else text


def _names(answer: AnyAnswer) -> tuple[str, ...]:
    """Of the resources, in the order of a Bundle."""
    if not isinstance(answer, AnswerInParts):
        return ("report", "observation", "risk", "device", "provenance")
    return ("report", *names_of_observations(answer), *(("risk",) if has_chances(answer) else ()), "device", "provenance")


def _resources(reported: Reported, question: Question, urls: Mapping[str, str]) -> dict[str, Resource]:
    made: dict[str, Resource] = {}
    for name in urls:
        if name.startswith("observation"):
            made[name] = _observation(reported, question, urls, int(name.partition("-")[2] or 1) - 1)
        else:
            made[name] = _MAKERS[name](reported, question, urls)
    return made


def _device(reported: Reported, question: Question, urls: Mapping[str, str]) -> Resource:  # noqa: ARG001
    return _labelled(
        {
            "resourceType": "Device",
            "id": _uuid(reported.answer.model, reported.answer.acceptance),
            "identifier": [
                {"system": f"{SYSTEM}:model", "value": reported.answer.model},
                {"system": f"{SYSTEM}:acceptance", "value": reported.answer.acceptance},
            ],
            "status": "active",
            "manufacturer": "Wardround",
            "deviceName": [{"name": "Wardround clinic", "type": "model-name"}],
            "version": [{"value": __version__}],
        },
        question,
    )


def _observation(reported: Reported, question: Question, urls: Mapping[str, str], position: int) -> Resource:
    """position: of several findings, which it is about."""
    answer = reported.answer
    several = isinstance(answer, AnswerInParts) and answer.kind == "findings"
    code = finding_of(answer, position) if isinstance(answer, AnswerInParts) and several else _finding(question)
    said = observed(answer, question, position) if isinstance(answer, AnswerInParts) else _yes_or_no(answer)
    return _labelled(
        {
            "resourceType": "Observation",
            "id": f"{reported.case_id}-{position + 1}" if several else reported.case_id,
            "status": "preliminary",
            "code": code,
            **_based_on(reported),
            **_subject(reported),
            "effectiveDateTime": _instant(reported.given),
            "issued": _instant(reported.given),
            **{name: element for name, element in said.items() if name != "component"},
            "note": [{"text": sentence(answer, question, counted=reported.counted)}],
            "device": {"reference": urls["device"]},
            **({"component": said["component"]} if said["component"] else {}),
        },
        question,
    )


def _yes_or_no(answer: Answer) -> Resource:
    """Value, interpretation and components."""
    parts = [
        component("raw-probability", "Probability before calibration", plain_number(answer.raw_probability)),
        component("threshold", "Threshold of the probability", plain_number(answer.threshold)),
    ]
    return {
        "valueQuantity": plain_number(answer.probability),
        "interpretation": [interpreted(answer.verdict)],
        "component": [*parts, *unusual_components(answer)],
    }


def _risk(reported: Reported, question: Question, urls: Mapping[str, str]) -> Resource:
    answer = reported.answer
    bases = [url for name, url in urls.items() if name.startswith("observation")]
    subject = _subject(reported) or {"subject": {"display": "not named to this clinic"}}  # the one resource that must have one
    return _labelled(
        {
            "resourceType": "RiskAssessment",
            "id": reported.case_id,
            "status": "preliminary",
            "method": {"text": f"Wardround model {reported.answer.model}, acceptance {reported.answer.acceptance}"},
            **subject,
            "occurrenceDateTime": _instant(reported.given),
            "performer": {"reference": urls["device"]},
            "basis": [{"reference": url} for url in bases],
            "prediction": predictions(answer, question, _finding(question))
            if isinstance(answer, AnswerInParts)
            else [{"outcome": _finding(question), "probabilityDecimal": answer.probability}],
            "note": [{"text": sentence(reported.answer, question, counted=reported.counted)}],
        },
        question,
    )


def _report(reported: Reported, question: Question, urls: Mapping[str, str]) -> Resource:
    risk = {"url": f"{SYSTEM}:risk-assessment", "valueReference": {"reference": urls.get("risk")}}
    results = [url for name, url in urls.items() if name.startswith("observation")]
    return _labelled(
        {
            "resourceType": "DiagnosticReport",
            "id": reported.case_id,
            "identifier": [{"system": f"{SYSTEM}:case", "value": reported.case_id}],
            "status": "preliminary",
            "code": _finding(question),
            **_based_on(reported),
            **_subject(reported),
            "effectiveDateTime": _instant(reported.given),
            "issued": _instant(reported.given),
            "result": [{"reference": url} for url in results],
            **({"extension": [risk]} if "risk" in urls else {}),
            "conclusion": sentence(reported.answer, question, counted=reported.counted),
        },
        question,
    )


def _provenance(reported: Reported, question: Question, urls: Mapping[str, str]) -> Resource:
    answer = reported.answer
    used = [("model", answer.model), ("acceptance", answer.acceptance), ("case", reported.case_id)]
    return _labelled(
        {
            "resourceType": "Provenance",
            "id": _uuid(reported.case_id, "provenance"),
            "target": [{"reference": url} for name, url in urls.items() if name not in ("device", "provenance")],
            "recorded": _instant(reported.given),
            "activity": {"text": "answered by a model"},
            "agent": [{"who": {"reference": urls["device"]}}],
            "entity": [
                {"role": "source", "what": {"identifier": {"system": f"{SYSTEM}:{name}", "value": value}}} for name, value in used
            ],
        },
        question,
    )


_MAKERS = {"report": _report, "risk": _risk, "device": _device, "provenance": _provenance}


def _labelled(resource: Resource, question: Question) -> Resource:
    if question.research:
        act = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH", "display": "healthcare research"}
        resource["meta"] = {"security": [act], "tag": [{"system": SYSTEM, "code": "research-use-only", "display": RESEARCH}]}
    return resource


def _subject(reported: Reported) -> Resource:
    if reported.reference:
        return {"subject": {"reference": reported.reference}}
    if reported.patient:
        return {"subject": {"type": "Patient", "identifier": {"system": f"{SYSTEM}:pseudonym", "value": reported.patient}}}
    return {}


def _based_on(reported: Reported) -> Resource:
    return {"basedOn": [{"reference": reported.order}]} if reported.order else {}


def _finding(question: Question) -> Resource:
    system = _SCHEMES.get(question.scheme, f"{SYSTEM}:finding")
    return {"coding": [{"system": system, "code": question.code, "display": question.finding}], "text": question.finding}


def _instant(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _uuid(*parts: str) -> str:
    digest = hashlib.sha256("\0".join(("wardround fhir", *parts)).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))
