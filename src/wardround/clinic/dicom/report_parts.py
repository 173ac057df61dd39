"""What the groups of a structured report hold, as data: names, numbers with units, and coded answers.

classes, grades   one group: the class or grade, those that it may be, a probability for each
findings          a group for each finding: its probability, present | absent | indeterminate
number, count     one group: the number and the ends of its range, in UCUM where the study's unit has a code
time              one group: survival at each horizon, with its ends
"""

from dataclasses import dataclass

from wardround.clinic.answering.answer import AnswerInParts, Part
from wardround.clinic.answering.parts_in_words import horizon_words, name_of
from wardround.clinic.answering.question import PRIVATE_SCHEME, Question
from wardround.clinic.answering.units import ucum_code

Coded = tuple[str, str, str]
"""Code, meaning, scheme."""
PRESENCE: dict[str, Coded] = {
    "positive": ("52101004", "Present", "SCT"),
    "negative": ("2667000", "Absent", "SCT"),
    "cannot-tell": ("82334004", "Indeterminate", "SCT"),
}


@dataclass(frozen=True)
class Number:
    """code: of this clinic's scheme, at most 16 signs. unit: UCUM's; "" of a number without one."""

    code: str
    meaning: str
    value: float
    unit: str = ""


@dataclass(frozen=True)
class Group:
    """key: what its UID is derived from. name, code: of the finding. answer: None where there is none to be coded."""

    key: str
    name: str
    code: tuple[str, str]
    numbers: tuple[Number, ...]
    answer: Coded | None
    may_be: tuple[Coded, ...] = ()


def groups_of(answer: AnswerInParts, question: Question) -> tuple[Group, ...]:
    """Never empty."""
    code = question.code, question.scheme
    untold = PRESENCE["cannot-tell"] if answer.verdict == "cannot-tell" else None
    if answer.kind == "findings":
        return tuple(_finding(answer, position, part) for position, part in enumerate(answer.parts))
    if answer.kind in ("classes", "grades"):
        held = tuple(_class(answer, position) for position, part in enumerate(answer.parts) if part.state == "held")
        told = _class(answer, [part.name for part in answer.parts].index(answer.answer))
        numbers = tuple(one for position, part in enumerate(answer.parts) for one in _chances(answer, position, part))
        return (Group("finding", question.finding, code, numbers, untold or told, held),)
    if answer.kind == "time":
        numbers = tuple(one for position in range(len(answer.parts)) for one in _survival(answer, position, question))
        return (Group("finding", question.finding, code, numbers, untold),)
    return (Group("finding", question.finding, code, _amounts(answer.parts[0], question), untold),)


def _finding(answer: AnswerInParts, position: int, part: Part) -> Group:
    name = name_of(answer, position)
    numbers = (
        Number("probability", f"Calibrated probability of {name}"[:64], part.value),
        Number("raw-probability", "Probability before calibration", part.raw),
    )
    code = f"finding-{position + 1}", PRIVATE_SCHEME
    return Group(f"finding {position + 1}", name, code, numbers, PRESENCE[part.state])


def _class(answer: AnswerInParts, position: int) -> Coded:
    return f"answer-{position + 1}", name_of(answer, position), PRIVATE_SCHEME


def _chances(answer: AnswerInParts, position: int, part: Part) -> tuple[Number, Number]:
    name, number = name_of(answer, position), position + 1
    return (
        Number(f"chance-{number}", f"Calibrated probability of {name}"[:64], part.value),
        Number(f"raw-chance-{number}", f"Probability before calibration, {name}"[:64], part.raw),
    )


def _survival(answer: AnswerInParts, position: int, question: Question) -> list[Number]:
    part, number = answer.parts[position], position + 1
    when = horizon_words(answer, position, question)
    rows = (
        (f"survival-{number}", f"Chance of not having it by {when}", part.value),
        (f"raw-survival-{number}", f"The same before calibration, {when}", part.raw),
        (f"low-{number}", f"Lowest chance of not having it by {when}", part.low),
        (f"high-{number}", f"Highest chance of not having it by {when}", part.high),
    )
    return [Number(code, meaning[:64], value) for code, meaning, value in rows if value is not None]


def _amounts(part: Part, question: Question) -> tuple[Number, ...]:
    unit = ucum_code(question.unit)
    shown = f", {question.plain_unit}" if question.plain_unit and not unit else ""
    rows = (
        ("value", "Answer of the model", part.value),
        ("raw-value", "Answer before calibration", part.raw),
        ("low", "Low end of what may be true", part.low),
        ("high", "High end of what may be true", part.high),
    )
    return tuple(Number(code, f"{meaning}{shown}"[:64], value, unit) for code, meaning, value in rows if value is not None)
