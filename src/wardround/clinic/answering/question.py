"""What an answer is about, in codes and in words that every character set of DICOM can write.

A study's label is a column's name and may be in any language. An archive shows what stands in the report, so the hospital says in
clinic.toml how its finding is called and coded; where it says nothing, the label's name is used if it is plain ASCII.
"""

from dataclasses import dataclass

from wardround.clinic.answering.answer import Answer
from wardround.clinic.place.finding import FindingSection
from wardround.study.contract import DataContract
from wardround.study.sections.task import TaskSection

RESEARCH = "RESEARCH USE ONLY"
PRIVATE_SCHEME = "99WARDROUND"
FILMS, PATIENTS, COMPOUNDS = "films", "patients", "compounds"
"""What sentences count, by what a model reads: `counted_by`."""

VERDICTS = {"positive": "yes", "negative": "no", "cannot-tell": "cannot tell"}
REASONS = {
    "both-fit": "its score is usual for films with the finding and for films without",
    "neither-fits": "its score is usual neither for films with the finding nor for films without",
    "unusual": "it does not look like the films that this model knows",
}


@dataclass(frozen=True)
class Question:
    """finding: in words, ASCII. code, scheme: of it. research: whether the hospital has not signed that it is for use. unit: of a
    number, a count or a time, as the study writes it. horizons: of a time, in that unit."""

    finding: str
    code: str
    scheme: str
    research: bool = True
    unit: str = ""
    horizons: tuple[float, ...] = ()

    @property
    def plain_unit(self) -> str:
        """The unit where every character set can write it; else nothing."""
        return self.unit if is_plain(self.unit) else ""

    def verdict(self, answer: Answer) -> str:
        """ "pneumonia: yes"."""
        return f"{self.finding}: {VERDICTS[answer.verdict]}"


def question_of(
    label: str, finding: FindingSection | None, *, research: bool = True, asked: TaskSection | None = None
) -> Question:
    """The question of a model whose label is `label`. asked: its [task].

    >>> question_of("pneumonia", None).finding, question_of("肺炎", None).finding
    ('pneumonia', 'finding')
    """
    unit, horizons = ("", ()) if asked is None else (asked.unit, asked.horizons)
    if finding is not None:
        return Question(finding.meaning, finding.code, finding.scheme, research, unit, horizons)
    plain = label.replace("_", " ").strip()
    return Question(plain if is_plain(plain) else "finding", "finding", PRIVATE_SCHEME, research, unit, horizons)


def counted_by(contract: DataContract) -> str:
    """Films, patients or compounds."""
    return {"image": FILMS, "molecule": COMPOUNDS}.get(contract.kind, PATIENTS)


def is_plain(text: str) -> bool:
    """Whether every character set of DICOM can write it, and it is short enough for a code's meaning.

    >>> is_plain("mild oedema"), is_plain("Ödem"), is_plain("")
    (True, False, False)
    """
    return text.isascii() and text.isprintable() and "\\" not in text and 0 < len(text) <= 64


def natural_frequency(probability: float) -> str:
    """The probability as a count of films, which people read more rightly than a fraction.

    >>> natural_frequency(0.834), natural_frequency(0.0004), natural_frequency(0.9999)
    ('83 of 100', 'fewer than 1 of 100', 'more than 99 of 100')
    """
    count = round(100 * probability)
    if count < 1:
        return "fewer than 1 of 100"
    return "more than 99 of 100" if count > 99 else f"{count} of 100"


def lines_of(question: Question, answer: Answer, version: str) -> list[str]:
    """The answer in short lines of ASCII, as they are printed on a picture."""
    lines = [RESEARCH] if question.research else []
    lines.append(f"{question.finding}: {VERDICTS[answer.verdict].upper()}")
    often = natural_frequency(answer.probability)
    lines.append(f"probability {answer.probability:.2f}: {often} films with an answer like this one show it")
    lines += [f"cannot tell: {REASONS[reason]}" for reason in answer.reasons]
    lines.append(f"model {answer.model[:12]}  acceptance {answer.acceptance}  Wardround {version}")
    return lines
