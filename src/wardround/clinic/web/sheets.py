"""What a patient gets to read: her own sheet, and the leaflet of the study. Short words, short sentences, no jargon.

The sentence on privacy is computed, by the bound that the study itself is shown with (`study.protection.right_guesses`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.place.origin_record import OriginRecord
from wardround.clinic.web.saying import finding, frequency, verdict_of
from wardround.clinic.web.words import Words
from wardround.study.protection import right_guesses


@dataclass(frozen=True)
class Sheet:
    """title, and headings with their paragraphs."""

    title: str
    sections: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def text(self) -> str:
        return "\n".join(line for heading, paragraphs in self.sections for line in (heading, *paragraphs))


@dataclass(frozen=True)
class Privacy:
    """What a study promised: epsilon None where no noise was added, or none that bounds anything. unit: whom it hides. masked:
    whether the sums were locked while they went out."""

    epsilon: float | None
    delta: float = 0.0
    unit: Literal["patient", "site"] = "patient"
    masked: bool = True


def promised_privacy(origin: OriginRecord | None) -> Privacy | None:
    """As a model's acceptance noted it."""
    if origin is None:
        return None
    return Privacy(origin.epsilon, origin.delta or 0.0, origin.unit or "patient", origin.summation_mode == "masked")


def most_right(privacy: Privacy) -> int | None:
    """In how many of 100 tries a guesser can be right at most, rounded up; None without a promise that says anything.

    >>> most_right(Privacy(1.0, 1e-5)), most_right(Privacy(None)), most_right(Privacy(9.0))
    (74, None, None)
    """
    if privacy.epsilon is None:
        return None
    most = math.ceil(100 * right_guesses(privacy.epsilon, privacy.delta))
    return most if most < 100 else None


def patient_sheet(answer: Mapping[str, Any], record: AcceptanceRecord, words: Words, contact: str) -> Sheet:
    """One patient's result. It says no more than the doctor's page, and less where the model cannot tell."""
    name = words.sentence(finding(record))
    kind = "film" if record.statement.data.kind == "image" else "row"
    beyond = "unusual" in answer["reasons"]
    result = _result(answer, record, words)
    if beyond:
        result.append(words("patient.unusual" if kind == "film" else "patient.unusual_row"))
    looked = f"patient.what_{kind}" if record.tuned is None else f"patient.asked_{kind}"
    sections = (
        (words("patient.what_it_is"), (words(looked, finding=name), words("patient.computer"))),
        (words("patient.result"), tuple(result)),
        (words("patient.means"), (words("patient.not_a_doctor"), words("patient.can_be_wrong"), words("patient.next"))),
        (words("patient.ask"), (contact or words("patient.ask_doctor"), words("patient.no_panic"))),
    )
    return Sheet(words("patient.title"), sections)


def _result(answer: Mapping[str, Any], record: AcceptanceRecord, words: Words) -> list[str]:
    """Sentences of what the computer said; no chance and no number where it cannot tell."""
    name, verdict = words.sentence(finding(record)), answer["verdict"]
    if verdict == "cannot-tell":
        return [words("patient.cannot_tell", finding=name)]
    if record.tuned is not None:
        told, short = verdict_of(answer, record, words)
        return [words("patient.told", finding=name, answer=f"{told} {short}".strip()), words("patient.about")]
    count, total = frequency(answer["probability"])
    shown = (max(count, 1), total) if count < total else (total - 1, total)
    return [words(f"patient.{verdict}", finding=name), words("patient.frequency", count=shown[0], total=shown[1], finding=name)]


def leaflet(record: AcceptanceRecord, words: Words, contact: str, privacy: Privacy | None) -> Sheet:
    """How a hospital's patients took part in the study, for everybody who asks."""
    name = words.sentence(finding(record))
    goal = "leaflet.goal" if record.tuned is None else "leaflet.goal_answer"
    return Sheet(
        words("leaflet.title"),
        (
            (words("leaflet.why"), (words(goal, finding=name), words("leaflet.together"))),
            (words("leaflet.what"), (words("leaflet.stays"), words("leaflet.sums"), privacy_words(privacy, words))),
            (words("leaflet.rights"), (words("leaflet.no"), words("leaflet.care"), contact or words("patient.ask_doctor"))),
        ),
    )


def privacy_words(privacy: Privacy | None, words: Words) -> str:
    """The promise of the study as one can picture it."""
    if privacy is None:
        return words("leaflet.privacy_unknown")
    most = most_right(privacy)
    if most is None:
        return words("leaflet.privacy_none" if privacy.masked else "leaflet.privacy_plain")
    return words("leaflet.privacy_site") if privacy.unit == "site" else words("leaflet.privacy", most=most)
