"""What a model says of one record: a value, the same on the page, over REST, in DICOM and in FHIR."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wardround.tasks.binary.conformal import Verdict

__all__ = ["Answer", "Moved", "Reason", "Unusual", "Verdict", "answer_of"]

Reason = Literal["both-fit", "neither-fits", "unusual"]
"""Why there is no yes or no. both-fit: the score is usual for records with and without the finding. neither-fits: for neither.
unusual: the record does not look like those that the model was accepted on."""


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


def answer_of(stored: Mapping[str, Any]) -> Answer:
    """The answer that JSON holds, as the clinic stored it."""
    unusual = stored["unusual"]
    return Answer(
        **{
            **stored,
            "reasons": tuple(stored["reasons"]),
            "unusual": None if unusual is None else Unusual(unusual["score"], unusual["limit"]),
            "moved": tuple(Moved(**moved) for moved in stored["moved"]),
        }
    )
