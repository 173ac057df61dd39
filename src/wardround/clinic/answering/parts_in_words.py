"""An answer to another question than yes or no, in short lines of ASCII: for pictures, reports and cards.

Names and units of a study may be in any language. Where one is not plain ASCII its place stands for it ("class 2"), as the
finding's own code does in `question`.
"""

from wardround.clinic.answering.answer import AnswerInParts, Part
from wardround.clinic.answering.question import FILMS, RESEARCH, Question, is_plain

REASONS = {
    "both-fit": "scores are usual for {records} with a finding and for {records} without",
    "neither-fits": "scores are usual neither for {records} with a finding nor for {records} without",
    "several-fit": "the answer may be one of several",
    "none-fits": "the score is usual for no answer that the model knows",
    "wide": "what may be true reaches too far to tell anything",
    "unusual": "it does not look like the {records} that this model knows",
}
_SORT = {"classes": "class", "grades": "grade", "findings": "finding", "time": "horizon"}
_STATES = {"positive": "yes", "negative": "no", "cannot-tell": "cannot tell"}


def name_of(answer: AnswerInParts, position: int) -> str:
    """How a part is called; its place, where the study's name is not plain."""
    name = answer.parts[position].name
    return name if is_plain(name) else f"{_SORT.get(answer.kind, 'value')} {position + 1}"


def number_text(value: float) -> str:
    """Three digits that matter, or all of a whole number.

    >>> number_text(3.4219), number_text(1200.0), number_text(0.0)
    ('3.42', '1200', '0')
    """
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def with_unit(value: float, question: Question) -> str:
    """ "3.4 days"."""
    return f"{number_text(value)} {question.plain_unit}".rstrip()


def held(answer: AnswerInParts) -> list[str]:
    """Classes or grades that it may be."""
    return [name_of(answer, position) for position, part in enumerate(answer.parts) if part.state == "held"]


def answer_words(answer: AnswerInParts, question: Question) -> str:
    """What the model says, also where it is not told."""
    if answer.kind in ("classes", "grades"):
        return name_of(answer, [part.name for part in answer.parts].index(answer.answer))
    if answer.kind == "findings":
        return _by_state(answer)
    if answer.kind == "time":
        return "; ".join(_survival(answer, k, part, question) for k, part in enumerate(answer.parts))
    return f"{with_unit(answer.parts[0].value, question)}{_range(answer.parts[0])}"


def _by_state(answer: AnswerInParts) -> str:
    """What was found first, then what is open; the others are counted."""
    named = {
        state: ", ".join(name_of(answer, k) for k, part in enumerate(answer.parts) if part.state == state) for state in _STATES
    }
    clear = sum(part.state == "negative" for part in answer.parts)
    told = [f"{_STATES[state]}: {named[state]}" for state in ("positive", "cannot-tell") if named[state]]
    return "; ".join([*told, *([f"no: {clear} of {len(answer.parts)} findings"] if clear else [])])


def headline(answer: AnswerInParts, question: Question) -> str:
    """ "kind of pneumonia: bacterial"; "cannot tell" in its place where nothing is told."""
    return f"{question.finding}: {'cannot tell' if answer.verdict == 'cannot-tell' else answer_words(answer, question)}"


def reasons(answer: AnswerInParts, counted: str) -> list[str]:
    """Why nothing is told, each a sentence without its end."""
    return [REASONS[reason].format(records=counted) for reason in answer.reasons]


def sentence_in_parts(answer: AnswerInParts, question: Question, *, counted: str) -> str:
    """The answer in words, research use first."""
    text = f"{headline(answer, question)}."
    if detail := _detail(answer, question):
        text += f" {detail}."
    for reason in reasons(answer, counted):
        text += f" The model cannot tell: {reason}."
    return f"{RESEARCH}. {text}" if question.research else text


def lines_in_parts(question: Question, answer: AnswerInParts, version: str) -> list[str]:
    """The answer in short lines, as they are printed on a picture."""
    lines = [RESEARCH] if question.research else []
    if answer.kind == "findings":
        lines.append(f"{question.finding}:")
        lines += [
            f"{name_of(answer, k)}: {_STATES[part.state].upper()}, probability {part.value:.2f}"
            for k, part in enumerate(answer.parts)
        ]
    else:
        told = "CANNOT TELL" if answer.verdict == "cannot-tell" else answer_words(answer, question).upper()
        lines.append(f"{question.finding}: {told}")
        lines += [detail] if (detail := _detail(answer, question)) else []
    lines += [f"cannot tell: {reason}" for reason in reasons(answer, FILMS)]
    lines.append(f"model {answer.model[:12]}  acceptance {answer.acceptance}  Wardround {version}")
    return lines


def _detail(answer: AnswerInParts, question: Question) -> str:
    """What stands behind the headline: probabilities, what it may be, and the model's word where nothing is told."""
    chances = ", ".join(f"{name_of(answer, k)} {part.value:.2f}" for k, part in enumerate(answer.parts))
    if answer.kind in ("classes", "grades"):
        return f"probabilities: {chances}; may be: {', '.join(held(answer)) or 'none of them'}"
    if answer.kind == "findings":
        return f"probabilities: {chances}"
    return f"the model's own: {answer_words(answer, question)}" if answer.verdict == "cannot-tell" else ""


def _survival(answer: AnswerInParts, position: int, part: Part, question: Question) -> str:
    ends = "" if part.low is None or part.high is None else f" ({100 * part.low:.0f} to {100 * part.high:.0f} %)"
    return f"{100 * part.value:.0f} %{ends} without it at {horizon_words(answer, position, question)}"


def horizon_words(answer: AnswerInParts, position: int, question: Question) -> str:
    """ "365 days"."""
    if position < len(question.horizons):
        return with_unit(question.horizons[position], question)
    return name_of(answer, position)


def _range(part: Part) -> str:
    return "" if part.low is None or part.high is None else f" ({number_text(part.low)} to {number_text(part.high)})"
