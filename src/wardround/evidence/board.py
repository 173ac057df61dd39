"""One page for one hospital's board: does it gain by taking part, and what are the model's answers worth to its patients?

    record, hospital, what was learnt without it --> own | federated | chosen on its test patients --> one self-contained page

The page is of that hospital alone: no figure and no name of another stands on it. Like the report it loads nothing, runs no
script, and is a pure function of the record.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from wardround.evidence import text as wording
from wardround.evidence.benefit import benefits
from wardround.evidence.run_facts import page_text
from wardround.study.record.left_out_record import LeftOutRecord
from wardround.study.record.personal_record import LOG_LOSS
from wardround.study.record.run_record import Evaluation, PairedRecord, RunRecord, SiteRecord
from wardround.tasks.evaluation import sums_of
from wardround.tasks.protocol import Chart, Estimate, FigureTable, Task
from wardround.tasks.registry import task_of_record
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError


@dataclass(frozen=True)
class Comparison:
    """Two models of the hospital on the same test patients. differences: by the figure's name."""

    name: str
    differences: dict[str, PairedRecord]


def require_hospital(record: RunRecord, site: str) -> SiteRecord:
    """What the record holds of a hospital. RunError where it holds no figures of it."""
    if site in record.sites:
        return record.sites[site]
    if record.sites:
        raise RunError(
            f"The run has no hospital {site}",
            expected=f"one of {', '.join(record.sites)}",
            hint=f"--site {next(iter(record.sites))}",
        )
    raise RunError(
        "The run's record holds no figures of single hospitals",
        hint="a run between hospitals leaves them at each; make such pages from a simulation, or where a policy released them",
    )


def render_board(record: RunRecord, site: str, turn: LeftOutRecord | None = None) -> str:
    """The page as text. turn: what the others learnt without the hospital, tested at it; None where nobody tried.

    Raises RunError where the record holds no figures of the hospital.
    """
    if record.evaluated is not None:
        raise RunError(
            "The run evaluated a finished model and made none, so no hospital gained one by it",
            hint="its figures are in the run's report: wardround report RUN",
        )
    entry, task = require_hospital(record, site), task_of_record(record.study_toml)
    models = models_at(entry)
    page: str = _template().render(
        record=record,
        site=site,
        entry=entry,
        css=Markup(page_text("report.css")),
        words=task.words,
        headline_figure=task.headline,
        bigger_is_better=task.bigger_is_better,
        synthetic_words=wording.SYNTHETIC,
        not_cleared=wording.NOT_CLEARED,
        not_private=wording.NOT_PRIVATE_PAGE if record.privacy_mode != "none" else "",
        reason=_reason(record, site, task),
        few=_few(record, site, entry, task),
        models=models,
        keys=_keys(task),
        comparisons=tuple(_comparisons(entry, task)),
        personal=entry.personal,
        turn=turn,
        paired_words=wording.paired_words,
        tables=tables_of(task, models),
        charts=tuple(_charts(task, models)),
    )
    return page


def write_board(record: RunRecord, site: str, path: Path, turn: LeftOutRecord | None = None) -> Path:
    """Write the page to `path`, whole or not at all. Raises RunError as `render_board`, and where the disk refuses."""
    write_atomic(path, render_board(record, site, turn).encode())
    return path


def models_at(entry: SiteRecord) -> dict[str, Evaluation]:
    """The hospital's models on its test patients, by what the page calls them; the one that it chose is called so."""
    own, federated, personal = entry.own, entry.federated, entry.personal
    chosen = "" if personal is None else personal.chosen
    models = {
        f"{name} (chosen)" if name == chosen else name: evaluation
        for name, evaluation in (("own", own), ("federated", federated))
        if evaluation is not None
    }
    if personal is not None and personal.test is not None and chosen not in ("own", "federated"):
        models[f"chosen: {chosen.replace('_', ' ')}"] = personal.test
    return models


def tables_of(task: Task, models: dict[str, Evaluation]) -> tuple[FigureTable, ...]:
    """What the answers are worth, of the models whose sums were kept."""
    kept = {
        name: (sums, task.words.decision_in(evaluation.values))
        for name, evaluation in models.items()
        if (sums := sums_of(task, evaluation)) is not None
    }
    return task.worth(kept) if kept else ()


def _keys(task: Task) -> tuple[str, ...]:
    """The headline first, then what the report shows of each hospital, and the Brier score or its like."""
    words = task.words
    return tuple(key for key in dict.fromkeys((*words.compared, *words.tiles, *words.judged, "brier")) if key in words.names)


def _reason(record: RunRecord, site: str, task: Task) -> str:
    return wording.reasons_at_home(record, task).get(site, "The hospital's own model and the federated one were not compared")


def _few(record: RunRecord, site: str, entry: SiteRecord, task: Task) -> bool:
    gain = benefits(record, task).get(site)
    sums = None if entry.federated is None else sums_of(task, entry.federated)
    return (gain is not None and gain.outcome == "few") or (sums is not None and task.few(sums))


def _comparisons(entry: SiteRecord, task: Task) -> Iterator[Comparison]:
    names = {**task.words.names, LOG_LOSS: "Log-loss"}
    pairs = [("federated less own", entry.paired)]
    if entry.personal is not None:
        pairs += [("chosen less own", entry.personal.over_own), ("chosen less federated", entry.personal.over_federated)]
    for name, differences in pairs:
        shown = {names[key]: one for key, one in differences.items() if key in names}
        if shown:
            yield Comparison(name, shown)


def _charts(task: Task, models: dict[str, Evaluation]) -> Iterator[tuple[str, Markup, Chart]]:
    """The drawings of one model that have points: of each model, its name with it."""
    from wardround.evidence import charts  # matplotlib takes most of a second to import

    for name, evaluation in models.items():
        sums = sums_of(task, evaluation)
        for chart in () if sums is None else task.charts({name: sums}):
            if chart.dots is not None:
                yield name, Markup(charts.drawing(chart, key=f"{chart.key}-{name}")), chart


def in_form(estimate: Estimate, form: str) -> tuple[str, str]:
    """A figure and its interval as text; the second is empty where there is none.

    >>> in_form((0.831, (0.701, 0.912)), "percent"), in_form((12.0, (float("nan"), float("nan"))), "count")
    (('83 %', '70 to 91'), ('12', ''))
    """
    value, ends = estimate
    if math.isnan(value):
        return wording.NONE, ""
    sure = not any(map(math.isnan, ends))
    if form == "percent":
        return f"{_percent(value)} %", f"{_percent(ends[0])} to {_percent(ends[1])}" if sure else ""
    if form == "count":
        return wording.whole(value), ""
    return wording.figure(value, 2), f"{wording.figure(ends[0], 2)} to {wording.figure(ends[1], 2)}" if sure else ""


def _percent(share: float) -> str:
    """Whole per cent; near 0 and 1 a digit more, so that no certainty is claimed by rounding.

    >>> _percent(0.5), _percent(0.9974), _percent(1.0), _percent(0.004)
    ('50', '99.7', '100', '0.4')
    """
    near = 0 < share < 0.0195 or 0.9805 < share < 1
    return f"{min(share * 100, 99.9) if near and share > 0.5 else share * 100:.{1 if near else 0}f}"


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    for name in ("figure", "whole"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["in_form"] = in_form
    return environment.from_string(page_text("board.html.j2"))
