"""An answer in words, the same on the page, the patient's sheet and in print.

probability --natural frequency--> "about 7 of 10 films like this show pneumonia"
verdict     --the label's own words--> pneumonia | normal | cannot tell
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.web.words import Words
from wardround.study.record.evaluation_record import Evaluation

FIGURES = ("sensitivity", "specificity", "auc", "ppv", "npv", "ece")
COVERAGES = ("coverage_positive", "coverage_negative", "cannot_tell")


@dataclass(frozen=True)
class Said:
    """Sentences of one answer. unusual: "" where the film is like those that the model knows."""

    verdict: str
    percent: str
    probability: str
    frequency: str
    threshold: str
    why: tuple[str, ...]
    unusual: str


def frequency(probability: float) -> tuple[int, int]:
    """(n, out of): a share that people can see before them. Shares below 1 of 100 are (0, 100), above 99 of 100 (100, 100).

    >>> frequency(0.71), frequency(0.04), frequency(0.001), frequency(0.9999)
    ((7, 10), (4, 100), (0, 100), (100, 100))
    """
    if 0.095 <= probability <= 0.905:
        return round(probability * 10), 10
    share = round(probability * 100)
    if probability < 0.01:
        share = 0
    elif probability > 0.99:
        share = 100
    return share, 100


def percent(probability: float) -> str:
    """Whole percents; the ends are never called certain.

    >>> percent(0.714), percent(0.0001), percent(0.9999)
    ('71 %', '< 1 %', '> 99 %')
    """
    if probability < 0.01:
        return "< 1 %"
    return "> 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def finding(record: AcceptanceRecord) -> str:
    """What the model looks for, as the study calls it."""
    return record.statement.data.label.name


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
    name = words.sentence(finding(record))
    kind = "film" if record.statement.data.kind == "image" else "row"
    count, total = frequency(answer["probability"])
    ends = {(0, 100): "fewest", (100, 100): "most"}
    sentence = words(f"said.{ends.get((count, total), 'frequency')}_{kind}", count=count, total=total, finding=name)
    unusual = answer["unusual"]
    beyond = unusual is not None and not unusual["score"] <= unusual["limit"]
    return Said(
        verdict=verdict_words(record, answer["verdict"], words),
        percent=percent(answer["probability"]),
        probability=words("said.probability", finding=name),
        frequency=sentence,
        threshold=words("said.threshold", percent=percent(answer["threshold"]), finding=name),
        why=tuple(words(f"reason.{reason}") for reason in answer["reasons"] if reason != "unusual"),
        unusual=words(f"said.unusual_{kind}") if beyond else "",
    )


def figure_lines(record: AcceptanceRecord, words: Words) -> list[str]:
    """What the hospital measured of the model on its own cases, each with its interval."""
    lines = [words("figures.cases", cases=record.cases.cases, patients=record.cases.patients, hospital=record.hospital)]
    lines += [words(f"figures.{name}", figure=text) for name in FIGURES if (text := figure_text(record.asked.local, name))]
    lines += [
        words(f"figures.{name}", figure=text) for name in COVERAGES if (text := figure_text(record.conformal.measured, name))
    ]
    return lines


def figure_text(evaluation: Evaluation | None, name: str) -> str:
    """ "0.91 (0.87 to 0.94)"; "" where it was not measured."""
    value = None if evaluation is None else evaluation.value(name)
    if evaluation is None or value is None:
        return ""
    ends = evaluation.interval(name)
    return f"{value:.2f}" + (f" ({ends[0]:.2f}–{ends[1]:.2f})" if ends is not None else "")
