"""`report.html`: one run on one self-contained page. It links to nothing, loads nothing and runs no script.

Every text of the record is escaped; the charts' own labels are escaped by the SVG writer. A content security policy in the page
stands behind both.
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from wardround.evidence import text as wording
from wardround.evidence.benefit import benefits
from wardround.evidence.convergence import convergence
from wardround.evidence.curves import by_model_and_site, charts_of, decision_table, whose_model
from wardround.evidence.run_facts import facts, page_text, tested, threshold_at_home
from wardround.study.record.left_out_record import NO_TURNS, Turns
from wardround.study.record.run_record import RunRecord
from wardround.tasks.protocol import Chart, Task
from wardround.tasks.registry import task_of_record
from wardround.values.durable import write_atomic

_BENEFITS = {
    "better": "federated better",
    "worse": "own better",
    "unsettled": "not settled",
    "few": "too few to say",
    "not compared": "not compared",
}


def render_report(record: RunRecord, left_out: Turns = NO_TURNS) -> str:
    """The page as text. The same record gives the same text. left_out: what was learnt without each hospital."""
    shared = record.pooled.federated if record.pooled else None
    cross = by_model_and_site(record) if record.evaluated is None else {}
    task = task_of_record(record.study_toml)
    words = task.words
    page: str = _template().render(
        record=record,
        whose=whose_model(record),
        css=Markup(page_text("report.css")),
        headline=wording.headline(record, left_out),
        left_out=left_out,
        convergence=convergence(record, task),
        synthetic_words=wording.SYNTHETIC,
        not_cleared=wording.NOT_CLEARED,
        privacy_words=wording.privacy_words(record),
        words=words,
        headline_figure=task.headline,
        metrics=words.names,
        tiles=tuple((key, words.names[key]) for key in words.tiles),
        shared=shared,
        tested=tested(record),
        decided=decision_table(task, shared) if shared else None,
        cross=cross,
        columns=tuple(dict.fromkeys(site for places in cross.values() for site in places)),
        best=wording.best_by_site(record, task),
        charts=_charts(record, task),
        benefits=benefits(record, task),
        paired_words=wording.paired_words,
        outcomes=_BENEFITS,
        reasons=wording.reasons_at_home(record, task),
        chosen=any(entry.personal is not None for entry in record.sites.values()),
        at_home=threshold_at_home(record),
        not_private=wording.NOT_PRIVATE if record.privacy is not None and record.sites else "",
        drawings=_drawings(record, task),
        facts=facts(record),
        settings=wording.settings(record),
    )
    return page


def write_report(record: RunRecord, path: Path, left_out: Turns = NO_TURNS) -> Path:
    """Write the page to `path`, whole or not at all. Raises RunError where the disk refuses."""
    write_atomic(path, render_report(record, left_out).encode())
    return path


def _charts(record: RunRecord, task: Task) -> dict[str, Markup | None]:
    from wardround.evidence import charts  # matplotlib takes most of a second to import

    drawn = {
        "benefit": charts.benefit_chart(record, task) if record.evaluated is None else None,
        "learning": charts.learning_chart(record, task),
        "loss": charts.loss_chart(record),
    }
    # The charts are markup that matplotlib wrote, with every label escaped.
    return {name: None if svg is None else Markup(svg) for name, svg in drawn.items()}


def _drawings(record: RunRecord, task: Task) -> tuple[tuple[Markup, Chart], ...]:
    """The task's own charts of the models on all hospitals' test patients."""
    from wardround.evidence import charts

    models = {whose_model(record): record.pooled.federated} | record.pooled.own if record.pooled else {}
    return tuple((Markup(charts.drawing(chart, tuple(record.sites))), chart) for chart in charts_of(task, models))


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    for name in ("figure", "whole", "size", "duration"):
        environment.filters[name] = getattr(wording, name)
    return environment.from_string(page_text("report.html.j2"))
