"""`model_card.md`: who may use the model for what, on what evidence. Blanks are shown as blanks; nothing is invented.

Every text of the record is escaped for Markdown and for HTML, since a model card is shown by programs that render both; the
front matter holds JSON values, which YAML reads.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from wardround.evidence import text as wording
from wardround.evidence.convergence import convergence
from wardround.evidence.fit_words import fit_caveats, fit_facts, fit_privacy, formula, goodness, specification
from wardround.evidence.input_facts import input_facts
from wardround.evidence.run_facts import facts, page_text, study_of, tested, threshold_at_home
from wardround.evidence.tripod import items
from wardround.study.record.fit_record import FitRecord
from wardround.study.record.left_out_record import NO_TURNS, Turns
from wardround.study.record.run_record import RunRecord
from wardround.tasks.protocol import Words
from wardround.tasks.registry import task_of_record
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError

_SPECIAL = re.compile(r"([\\`*_{}\[\]#!|~$^])")
_OUR_BLANK = re.compile(r"\\(\[to be filled in by [a-z ]+)\\\]")


def render_model_card(record: RunRecord, left_out: Turns = NO_TURNS) -> str:
    """The card as Markdown with YAML front matter. The same record gives the same text. left_out: what was learnt without each
    hospital."""
    if record.fit is not None:
        return _fitted(record, record.fit)
    study = study_of(record)
    task = task_of_record(record.study_toml)
    words = task.words
    text: str = _template("model_card.md.j2").render(
        record=record,
        tags=("federated-learning", "medical", record.algorithm, *(("synthetic-data",) if record.synthetic else ())),
        shared=record.pooled.federated if record.pooled else None,
        synthetic_words=wording.SYNTHETIC,
        not_cleared=wording.NOT_CLEARED,
        facts=facts(record),
        inputs=input_facts(record),
        question=study.question if study else None,
        metrics=words.names,
        words=words,
        measures=_measures(record, words),
        headline=wording.headline(record, left_out),
        tested=tested(record),
        privacy_words=wording.privacy_words(record),
        caveats=(*_caveats(record, left_out), convergence(record, task).sentence),
        items=items(record, study),
        chosen=any(entry.personal is not None for entry in record.sites.values()),
        blank=wording.blank,
    )
    return text


def _fitted(record: RunRecord, fit: FitRecord) -> str:
    """The card of a fitted regression, with its whole specification."""
    study = study_of(record)
    text: str = _template("fit_card.md.j2").render(
        record=record,
        fit=fit,
        tags=("federated-learning", "medical", fit.family, *(("synthetic-data",) if record.synthetic else ())),
        synthetic_words=wording.SYNTHETIC,
        not_cleared=wording.NOT_CLEARED,
        facts=fit_facts(record, fit),
        inputs=input_facts(record),
        specification=specification(fit),
        formula=formula(fit),
        goodness=goodness(fit),
        question=study.question if study else None,
        privacy_words=tuple(fit_privacy(record)) if record.privacy_mode == "none" else wording.privacy_words(record),
        caveats=tuple(fit_caveats(fit)),
        items=items(record, study),
        blank=wording.blank,
    )
    return text


def write_model_card(record: RunRecord, path: Path, left_out: Turns = NO_TURNS) -> Path:
    """Write the card to `path`, whole or not at all. Raises RunError where the disk refuses, and of a run that made no model: the
    one that it evaluated has the card of the run which made it."""
    if record.evaluated is not None:
        raise RunError(
            "The run evaluated a finished model and made none, so it has no model card",
            hint="the model's own card lies in the folder of the run that made it; this run has a report",
        )
    write_atomic(path, render_model_card(record, left_out).encode())
    return path


def markdown(value: object) -> Markup:
    """Text that no Markdown or HTML reader takes for anything but text, on one line.

    >>> print(markdown("a|b <script> _x_"))
    a\\|b &lt;script&gt; \\_x\\_
    """
    if isinstance(value, Markup):
        return value
    line = _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"^(\d*)([-+=]+|[.)])(?=\s|$)", r"\1\\\2", line)  # the mark of a list or of a heading
    return Markup(_OUR_BLANK.sub(r"\1]", line))


def _measures(record: RunRecord, words: Words) -> tuple[str, ...]:
    decision = None if record.model is None else record.model.threshold
    said = words.shown_decision(decision)
    shown = "" if decision is None else f" ({said})" if isinstance(decision, tuple) else f" {said}"
    at_home = threshold_at_home(record)
    return (words.measures[0].format(decision=shown), *((at_home,) if at_home else ()), *words.measures[1:])


def _caveats(record: RunRecord, left_out: Turns) -> tuple[str, ...]:
    caveats = ["One run with one seed: another seed gives another model, and somewhat other figures."]
    if not record.external and not left_out:
        caveats.append("No external test set was evaluated: how the model does at a hospital that did not train is not known.")
    small = [name for name, entry in record.sites.items() if 0 < entry.split_images.get("test", 0) < 100]
    if small:
        caveats.append(f"Fewer than 100 test records at: {', '.join(small)}. Figures of those hospitals are rough.")
    if record.lost_sites:
        caveats.append(f"Lost in some rounds: {', '.join(record.lost_sites)}.")
    return tuple(caveats)


def _json(value: object) -> Markup:
    """ASCII JSON without `<`, so that no reader of the front matter finds markup in it."""
    return Markup(json.dumps(value).replace("<", "\\u003c"))


@cache
def _template(name: str) -> Any:
    environment = Environment(
        autoescape=False,
        finalize=markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"figure": wording.figure, "whole": wording.whole, "interval": wording.with_interval, "json": _json}
    return environment.from_string(page_text(name))
