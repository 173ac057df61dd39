"""What a model says of one record: a value, the same on the page, over REST, in DICOM and in FHIR.

yes or no          Answer           probability, verdict, threshold
any other question AnswerInParts    classes, grades, findings, a number or survival at horizons, each a Part
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wardround.clinic.kinds.protocol import Part, Reason
from wardround.tasks.binary.conformal import Verdict

__all__ = ["Answer", "AnswerInParts", "AnyAnswer", "Moved", "Part", "Reason", "Unusual", "Verdict", "answer_of"]


@dataclass(frozen=True)
class Unusual:
    """How far a record is from those that the hospital accepted the model on. beyond: above the limit."""

    score: float
    limit: float

    @property
    def beyond(self) -> bool:
        return not self.score <= self.limit


@dataclass(frozen=True)
class Moved:
    """By how much one column of a table moved the score before calibration, against a patient with the hospital's mean values.

    The shares of all columns add up to the difference. error: standard error where the share was sampled, else 0.
    """

    column: str
    share: float
    error: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What one model says of one record.

    Attributes
    ----------
    probability
        Of the finding, calibrated at this hospital, 0 to 1.
    raw_probability
        As the model's file gives it.
    verdict
        "positive", "negative" or "cannot-tell".
    reasons
        Why it cannot tell; empty where it can.
    unusual
        None where the acceptance has no reference.
    threshold
        The hospital's: the figures of the acceptance call a record positive at and above it.
    model
        SHA-256 of the model's file.
    acceptance
        Name of the acceptance record.
    moved
        For a table that was asked about alone: each column's share of the score. Empty for images and in batches.
    """

    probability: float
    raw_probability: float
    verdict: Verdict
    reasons: tuple[Reason, ...]
    unusual: Unusual | None
    threshold: float
    model: str
    acceptance: str
    moved: tuple[Moved, ...] = ()


@dataclass(frozen=True)
class AnswerInParts:
    """What one model says of one record, where the question is another than yes or no.

    Attributes
    ----------
    kind
        The kind of question: classes, grades, findings, number, count or time.
    answer
        In the study's own words: "bacterial"; "3.4 days (2.1 to 6.0)". It is what the model says also where nothing is told.
    parts
        The classes, grades or findings in the study's order; of a number the number; of a time survival at each horizon.
    verdict
        "told" or "cannot-tell".
    reasons
        Why it cannot tell; empty where it can.
    unusual
        None where the acceptance has no reference.
    score_bin
        Public bin of the answer, by which the clinic sees answers move.
    model
        SHA-256 of the model's file.
    acceptance
        Name of the acceptance record.
    moved
        For a table that was asked about alone: each column's share of what speaks for the answer.
    """

    kind: str
    answer: str
    parts: tuple[Part, ...]
    verdict: Literal["told", "cannot-tell"]
    reasons: tuple[Reason, ...]
    unusual: Unusual | None
    score_bin: int
    model: str
    acceptance: str
    moved: tuple[Moved, ...] = ()


AnyAnswer = Answer | AnswerInParts


def answer_of(stored: Mapping[str, Any]) -> AnyAnswer:
    """The answer that JSON holds, as the clinic stored it."""
    unusual = stored["unusual"]
    read = {
        **stored,
        "reasons": tuple(stored["reasons"]),
        "unusual": None if unusual is None else Unusual(unusual["score"], unusual["limit"]),
        "moved": tuple(Moved(**moved) for moved in stored["moved"]),
    }
    if "kind" not in stored:
        return Answer(**read)
    return AnswerInParts(**{**read, "parts": tuple(Part(**part) for part in stored["parts"])})
