"""An acceptance record as one self-contained page: it links to nothing, loads nothing and runs no script."""

from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from wardround.clinic.acceptance.card import blanks
from wardround.clinic.acceptance.judging import Judgement
from wardround.clinic.acceptance.question_words import (
    figures_of_record,
    headline_of,
    measured_of,
    of_groups,
    promise_words,
    second_of,
    tuned_words,
)
from wardround.clinic.place.acceptance_record import AcceptanceRecord, CandidateRecord, CardItem
from wardround.evidence import text as wording
from wardround.evidence.run_facts import page_text
from wardround.tasks.evaluation import sums_of
from wardround.tasks.protocol import Chart
from wardround.tasks.registry import task_of_label


def acceptance_page(record: AcceptanceRecord, judged: tuple[Judgement, ...], missing: tuple[CardItem, ...] | None = None) -> str:
    """HTML. The same record and minimums give the same page; every text of the record is escaped.

    missing: required items of the card that are blank; as the record had them where they are not named.
    """
    page: str = _template().render(
        record=record,
        css=page_text("report.css"),
        figures=figures_of_record(record),
        headline=headline_of(record),
        second=second_of(record),
        of_groups=of_groups(record),
        measured=measured_of(record),
        tuned_words="" if record.tuned is None else tuned_words(record.tuned),
        promise_words="" if record.tuned is None else promise_words(record.tuned),
        finding=record.statement.data.label.name,
        judged=judged,
        blanks=blanks(record.card) if missing is None else missing,
        drawings=drawings(record),
        synthetic_words=wording.SYNTHETIC,
        not_cleared=wording.NOT_CLEARED,
    )
    return page


def drawings(record: AcceptanceRecord) -> tuple[tuple[Markup, Chart], ...]:
    """The curves of all candidates, and the calibration of the asked one before and after; of sums that were kept."""
    from wardround.evidence import charts  # matplotlib takes most of a second to import

    task = task_of_label(record.statement.data.label)
    kept = {f"{number} {_name(one)}": sums_of(task, one.raw) for number, one in enumerate(record.candidates, 1)}
    shown = [
        replace(chart, label="ROC curves of the models", caption="ROC curves of the models on these cases.")
        if record.tuned is None
        else replace(chart, caption=_of_these_cases(chart.caption))
        for chart in task.charts({name: sums for name, sums in kept.items() if sums is not None})
        if chart.dots is None
    ]
    for words, evaluation in (("as it came", record.asked.raw), ("after local calibration", record.asked.local)):
        sums = sums_of(task, evaluation)
        for chart in () if sums is None else task.charts({words: sums}):
            if chart.dots is not None:
                shown.append(replace(chart, label=f"Calibration {words}", caption=f"{words.capitalize()}. {chart.caption}"))
    drawn = [charts.drawing(chart, key=f"{chart.key}-{number}") for number, chart in enumerate(shown)]
    # Markup that matplotlib wrote, with every label escaped.
    return tuple((Markup(svg), chart) for svg, chart in zip(drawn, shown, strict=True))  # nosec B704


def _of_these_cases(caption: str) -> str:
    """A task's captions are about a study's test patients."""
    return caption.replace("all hospitals' held-out test patients", "these cases").replace("held-out test records", "these cases")


def _name(candidate: CandidateRecord) -> str:
    return candidate.role if candidate.role != "against" else candidate.name.rstrip("/").rpartition("/")[2][:40]


def _signed(value: float | None) -> str:
    return wording.NONE if value is None else f"{value:+.3f}"


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": wording.figure, "whole": wording.whole, "signed": _signed}
    text = files("wardround.clinic.acceptance").joinpath("acceptance.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)
