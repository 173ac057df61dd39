"""An answer in parts as FHIR: what its Observations say, and which chances a RiskAssessment holds.

classes, grades   one Observation with a coded value; a component for each probability, and whether the answer may be it
findings          an Observation for each, like that of a yes or no
number, count     valueQuantity, and the ends of its range as components
time              an Observation with survival at each horizon; RiskAssessment.prediction with `whenRange` for each

Where the model cannot tell there is no value, but a reason why it is absent: a system that reads the value alone shows nothing.
What the model says by itself stands in the components and the note.
"""

from collections.abc import Mapping
from typing import Any

from wardround.clinic.answering.answer import AnswerInParts, Part
from wardround.clinic.answering.question import Question
from wardround.clinic.answering.units import ucum_code

Element = dict[str, Any]
_Named = tuple[str, str, float | None]
"""Code, text and value of a component."""
SYSTEM = "urn:wardround"
_INTERPRETATIONS = {
    "positive": ("POS", "Positive"),
    "negative": ("NEG", "Negative"),
    "cannot-tell": ("IND", "Indeterminate"),
}
_ABSENT: Element = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown", "display": "Unknown"},
    ],
    "text": "the model cannot tell",
}


def names_of_observations(answer: AnswerInParts) -> tuple[str, ...]:
    """Of findings one each."""
    if answer.kind != "findings":
        return ("observation",)
    return tuple(f"observation-{position}" for position in range(1, len(answer.parts) + 1))


def has_chances(answer: AnswerInParts) -> bool:
    """Whether a RiskAssessment has anything to say: a number and a count are no chances."""
    return answer.kind not in ("number", "count")


def observed(answer: AnswerInParts, question: Question, position: int) -> Element:
    """What one Observation says: value, interpretation, components. position: of its finding; 0 of another question."""
    if answer.kind == "findings":
        part = answer.parts[position]
        said = {"valueQuantity": plain_number(part.value), "interpretation": [interpreted(part.state)]}
        components = [component("raw-probability", "Probability before calibration", plain_number(part.raw))]
    else:
        said = _untold() if answer.verdict == "cannot-tell" else _told(answer, question)
        components = [one for number, part in enumerate(answer.parts, 1) for one in _components(answer, question, number, part)]
    return {**said, "component": [*components, *unusual_components(answer)]}


def unusual_components(answer: Any) -> list[Element]:
    """How far the record is from those that the model knows; nothing where that is not known."""
    if answer.unusual is None:
        return []
    return [
        component("unusual", "Unusual score", plain_number(answer.unusual.score)),
        component("unusual-limit", "Unusual limit", plain_number(answer.unusual.limit)),
        {"code": concept("is-unusual", "Unlike the records that the model knows"), "valueBoolean": answer.unusual.beyond},
    ]


def finding_of(answer: AnswerInParts, position: int) -> Element:
    """What one of several findings is about."""
    return coded("finding", answer.parts[position].name)


def predictions(answer: AnswerInParts, question: Question, outcome: Mapping[str, Any]) -> list[Element]:
    """Of a RiskAssessment. outcome: the question's own finding."""
    if answer.kind == "time":
        return [
            {"outcome": outcome, "probabilityDecimal": 1.0 - part.value, **_until(question, position)}
            for position, part in enumerate(answer.parts)
        ]
    which = "finding" if answer.kind == "findings" else "answer"
    return [{"outcome": coded(which, part.name), "probabilityDecimal": part.value} for part in answer.parts]


def coded(which: str, name: str) -> Element:
    """A name of the study as a code of this clinic."""
    word = _on_one_line(name) or "unnamed"
    return {"coding": [{"system": f"{SYSTEM}:{which}", "code": word, "display": word}], "text": word}


def concept(code: str, text: str) -> Element:
    return {"coding": [{"system": SYSTEM, "code": code, "display": text}], "text": text}


def _told(answer: AnswerInParts, question: Question) -> Element:
    if answer.kind in ("classes", "grades"):
        return {"valueCodeableConcept": coded("answer", answer.answer)}
    return {} if answer.kind == "time" else {"valueQuantity": _amount(answer.parts[0].value, question)}


def _untold() -> Element:
    return {"dataAbsentReason": _ABSENT, "interpretation": [interpreted("cannot-tell")]}


def _components(answer: AnswerInParts, question: Question, number: int, part: Part) -> list[Element]:
    if answer.kind in ("classes", "grades"):
        name = _on_one_line(part.name)
        return [
            component(f"probability-{number}", f"Probability of {name}", plain_number(part.value)),
            component(f"raw-probability-{number}", f"Probability of {name} before calibration", plain_number(part.raw)),
            {"code": concept(f"may-be-{number}", f"May be {name}"), "valueBoolean": part.state == "held"},
        ]
    if answer.kind == "time":
        when = f"{question.horizons[number - 1]:g} {question.unit}".rstrip() if number <= len(question.horizons) else part.name
        rows: list[_Named] = [
            ("survival", "Chance of not having it by", part.value),
            ("raw-survival", "The same before calibration, by", part.raw),
        ]
        rows += [
            ("low", "Lowest chance of not having it by", part.low),
            ("high", "Highest chance of not having it by", part.high),
        ]
        return [
            component(f"{code}-{number}", f"{text} {when}", plain_number(value))
            for code, text, value in rows
            if value is not None
        ]
    ends: list[_Named] = [
        ("middle", "What the model says by itself", part.value),
        ("raw", "The same before calibration", part.raw),
    ]
    ends += [("low", "Low end of what may be true", part.low), ("high", "High end of what may be true", part.high)]
    return [component(code, text, _amount(value, question)) for code, text, value in ends if value is not None]


def _until(question: Question, position: int) -> Element:
    """From now to a horizon."""
    if position >= len(question.horizons):
        return {}
    return {"whenRange": {"low": _amount(0.0, question), "high": _amount(question.horizons[position], question)}}


def interpreted(state: str) -> Element:
    """Yes, no or cannot tell, in the code of observations' interpretations."""
    code, display = _INTERPRETATIONS[state]
    system = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
    return {"coding": [{"system": system, "code": code, "display": display}]}


def component(code: str, text: str, quantity: Element) -> Element:
    """One more thing that an Observation says."""
    return {"code": concept(code, text), "valueQuantity": quantity}


def plain_number(value: float) -> Element:
    """A probability, or another number without a unit."""
    return {"value": value, "unit": "1", "system": "http://unitsofmeasure.org", "code": "1"}


def _amount(value: float, question: Question) -> Element:
    """In the study's unit, with UCUM's code where it has one."""
    unit = _on_one_line(question.unit)
    if not unit:
        return {"value": value}
    code = ucum_code(unit)
    return {"value": value, "unit": unit, **({"system": "http://unitsofmeasure.org", "code": code} if code else {})}


def _on_one_line(text: str) -> str:
    """What a study calls something, without signs that turn or break a line."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
