"""An answer in words, the same on the page, the patient's sheet and in print.

probability --natural frequency--> "about 7 of 10 films like this show pneumonia"
verdict     --the label's own words--> pneumonia | normal | cannot tell
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wardround.clinic.acceptance.question_words import figures_of_record, measured_of, of_groups
from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.web.frequencies import frequency, percent
from wardround.clinic.web.saying_parts import Row, counted_as, said_of_parts
from wardround.clinic.web.words import Words
from wardround.study.record.evaluation_record import Evaluation

__all__ = ["Said", "figure_lines", "figure_text", "finding", "frequency", "percent", "said_of", "verdict_of"]
FIGURES = ("sensitivity", "specificity", "auc", "ppv", "npv", "ece")
COVERAGES = ("coverage_positive", "coverage_negative", "cannot_tell")


@dataclass(frozen=True)
class Said:
    """Sentences of one answer. unusual: "" where the film is like those that the model knows.

    percent, probability, threshold: of a yes or no, else "". short: behind the verdict in one line. rows, drawing: of another
    question its parts and a picture of them; empty of a yes or no.
    """

    verdict: str
    short: str
    frequency: str
    why: tuple[str, ...]
    unusual: str
    percent: str = ""
    probability: str = ""
    threshold: str = ""
    rows: tuple[Row, ...] = ()
    drawing: str = ""


def finding(record: AcceptanceRecord) -> str:
    """What the model looks for, as the study calls it."""
    return record.statement.data.label.name


def verdict_of(answer: Mapping[str, Any], record: AcceptanceRecord, words: Words) -> tuple[str, str]:
    """The verdict, and what stands behind it in one line."""
    if record.tuned is not None:
        said = said_of_parts(record, answer, words)
        return said.verdict, said.short
    return verdict_words(record, answer["verdict"], words), percent(answer["probability"])


def verdict_words(record: AcceptanceRecord, verdict: str, words: Words) -> str:
    """The verdict in the label's own words: its name; the values that mean its absence where they are words; cannot tell."""
    label = record.statement.data.label
    if verdict == "positive":
        return words.sentence(label.name)
    if verdict != "negative":
        return words("verdict.cannot_tell")
    values = () if isinstance(label.negative, str) else label.negative
    texts = [value for value in values if isinstance(value, str) and value.isalpha()]
    return words.sentence(texts[0].lower()) if len(texts) == 1 else words("verdict.no", finding=words.sentence(label.name))


def said_of(answer: Mapping[str, Any], record: AcceptanceRecord, words: Words) -> Said:
    """answer: as `as_json` gives it."""
    verdict, short = verdict_of(answer, record, words)
    kind, unusual = counted_as(record), answer["unusual"]
    beyond = unusual is not None and not unusual["score"] <= unusual["limit"]
    why = tuple(words(f"reason.{reason}") for reason in answer["reasons"] if reason != "unusual")
    told_unusual = words(f"said.unusual_{kind}") if beyond else ""
    if record.tuned is not None:
        parts = said_of_parts(record, answer, words)
        return Said(verdict, short, " ".join(parts.lines), why, told_unusual, rows=parts.rows, drawing=parts.drawing)
    name = words.sentence(finding(record))
    count, total = frequency(answer["probability"])
    ends = {(0, 100): "fewest", (100, 100): "most"}
    return Said(
        verdict=verdict,
        short=short,
        frequency=words(f"said.{ends.get((count, total), 'frequency')}_{kind}", count=count, total=total, finding=name),
        why=why,
        unusual=told_unusual,
        percent=percent(answer["probability"]),
        probability=words("said.probability", finding=name),
        threshold=words("said.threshold", percent=percent(answer["threshold"]), finding=name),
    )


def figure_lines(record: AcceptanceRecord, words: Words) -> list[str]:
    """What the hospital measured of the model on its own cases, each with its interval."""
    lines = [words("figures.cases", cases=record.cases.cases, patients=record.cases.patients, hospital=record.hospital)]
    if record.tuned is not None:
        named = figures_of_record(record).items()
        lines += [
            words("figures.line", text=words.sentence(name), figure=text)
            for key, name in named
            if (text := figure_text(record.asked.local, key))
        ]
        names = {key: words.sentence(name) for key, name in measured_of(record).items()}
        return lines + [
            words("figures.line", text=name, figure=text)
            for key, name in names.items()
            if (text := figure_text(record.measured, key))
        ]
    lines += [words(f"figures.{name}", figure=text) for name in FIGURES if (text := figure_text(record.asked.local, name))]
    return lines + [words(f"figures.{name}", figure=text) for name in COVERAGES if (text := figure_text(record.measured, name))]


def group_figures(record: AcceptanceRecord, words: Words) -> dict[str, str]:
    """Of another question than yes or no: key -> name of the figures that are shown of groups."""
    return {key: words.sentence(name) for key, name in of_groups(record).items()}


def figure_text(evaluation: Evaluation | None, name: str) -> str:
    """ "0.91 (0.87 to 0.94)"; "" where it was not measured."""
    value = None if evaluation is None else evaluation.value(name)
    if evaluation is None or value is None:
        return ""
    ends = evaluation.interval(name)
    return f"{value:.2f}" + (f" ({ends[0]:.2f}–{ends[1]:.2f})" if ends is not None else "")
