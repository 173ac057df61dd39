"""CDS Hooks 2.0 for a table model: a record system opens a patient, and gets a card with the answer.

    GET /cds-services              which services there are, and what each needs of the record (prefetch)
    POST /cds-services/NAME        prefetch --mapping--> row --model in service--> card

The record system sends what the service asks for; the service fetches nothing. A call without it gets 412, as the standard has
it.
"""

from collections.abc import Mapping
from typing import Any

from wardround.clinic.answering.answer import AnswerInParts, AnyAnswer
from wardround.clinic.answering.parts_in_words import headline
from wardround.clinic.answering.question import PATIENTS, RESEARCH, Question
from wardround.clinic.fhir.resources import sentence
from wardround.clinic.place.fhir_settings import FhirSection, HooksSection
from wardround.study.code_systems import code_of

_SUMMARY = 140
"""Signs that a card's summary may have."""
_CODES_EACH = 50


def service_id(hook: str) -> str:
    return f"wardround-{hook}"


def services(section: HooksSection, mapping: FhirSection, question: Question) -> dict[str, Any]:
    """The answer to the discovery."""
    research = f" {RESEARCH.capitalize()}." if question.research else ""
    return {
        "services": [
            {
                "hook": hook,
                "id": service_id(hook),
                "title": f"Wardround: {question.finding}",
                "description": f"How likely {question.finding} is, by a model that this hospital has tested.{research}",
                "prefetch": prefetch(mapping),
            }
            for hook in section.hooks
        ]
    }


def prefetch(mapping: FhirSection) -> dict[str, str]:
    """What the record system is asked to send, by name."""
    asked = {"patient": "Patient/{{context.patientId}}"}
    texts = sorted({text for column in mapping.columns for text in column.codes})
    tokens = [f"{code.fhir_systems[0]}|{code.code}" for text in texts for code in [code_of(text)] if code.fhir_systems]
    for number, start in enumerate(range(0, len(tokens), _CODES_EACH), 1):
        joined = ",".join(tokens[start : start + _CODES_EACH])
        asked[f"observations{number}"] = f"Observation?patient={{{{context.patientId}}}}&code={joined}&_sort=-date&_count=200"
    return asked


def missing_prefetch(mapping: FhirSection, sent: object) -> list[str]:
    """Names of what was asked for and not sent. null is an answer: the record system has none."""
    held = sent if isinstance(sent, Mapping) else {}
    return [name for name in prefetch(mapping) if name not in held]


def answer_card(answer: AnyAnswer, question: Question, case_id: str, url: str) -> dict[str, Any]:
    """A card with the answer. url: of the case's page."""
    detail = [sentence(answer, question, counted=PATIENTS), "", *_moved(answer)]
    detail += [f"Model {answer.model[:12]}, acceptance {answer.acceptance}, case {case_id}."]
    return _card(_summary(answer, question), "\n".join(detail), question, url)


def _summary(answer: AnyAnswer, question: Question) -> str:
    if isinstance(answer, AnswerInParts):
        told = headline(answer, question)
        room = _SUMMARY - len(f"{RESEARCH}: ")
        return told if len(told) <= room else f"{question.finding}: the answer stands below"
    words = {"positive": "likely", "negative": "unlikely", "cannot-tell": "the model cannot tell"}[answer.verdict]
    return f"{question.finding}: {words}, probability {answer.probability:.2f}"


def no_answer_card(why: str, question: Question, url: str) -> dict[str, Any]:
    """A card that says why there is no answer. why: without a value of the patient."""
    return _card(f"{question.finding}: no answer", why, question, url)


def _moved(answer: AnyAnswer) -> list[str]:
    """The three columns that moved the score most."""
    up, down = ("towards it", "away from it") if isinstance(answer, AnswerInParts) else ("towards yes", "towards no")
    most = sorted(answer.moved, key=lambda moved: -abs(moved.share))[:3]
    lines = [f"- {_plain(moved.column)}: {up if moved.share > 0 else down}" for moved in most if moved.share]
    return ["What moved it most:", *lines, ""] if lines else []


def _plain(text: str) -> str:
    """A column's name as it is, in Markdown."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>()#+-.!|~" else sign for sign in text if sign.isprintable())


def _card(summary: str, detail: str, question: Question, url: str) -> dict[str, Any]:
    lead = f"{RESEARCH}: " if question.research else ""
    card: dict[str, Any] = {
        "summary": f"{lead}{summary}"[:_SUMMARY],
        "indicator": "info",
        "detail": detail,
        "source": {"label": f"Wardround clinic{', research use only' if question.research else ''}"},
    }
    if url:
        card["source"]["url"] = url
    return card
