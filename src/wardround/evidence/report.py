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
from wardround.evidence.curves import FEDERATED, by_model_and_site, confusion
from wardround.evidence.run_facts import facts, page_text, tested
from wardround.study.record.run_record import RunRecord
from wardround.values.durable import write_atomic

_TILES = (("auc", "AUC"), ("accuracy", "Accuracy"), ("sensitivity", "Sensitivity"), ("specificity", "Specificity"))


def render_report(record: RunRecord) -> str:
    """The page as text. The same record gives the same text."""
    shared = record.pooled.federated if record.pooled else None
    cross = by_model_and_site(record)
    page: str = _template().render(
        record=record,
        css=Markup(page_text("report.css")),
        headline=wording.headline(record),
        synthetic_words=wording.SYNTHETIC,
        not_cleared=wording.NOT_CLEARED,
        privacy_words=wording.privacy_words(record),
        metrics=wording.NAMES,
        tiles=_TILES,
        shared=shared,
        tested=tested(record),
        confusion=confusion(shared) if shared else None,
        cross=cross,
        columns=tuple(dict.fromkeys(site for places in cross.values() for site in places)),
        best=wording.best_by_site(record),
        charts=_charts(record),
        facts=facts(record),
        settings=wording.settings(record),
    )
    return page


def write_report(record: RunRecord, path: Path) -> Path:
    """Write the page to `path`, whole or not at all. Raises RunError where the disk refuses."""
    write_atomic(path, render_report(record).encode())
    return path


def _charts(record: RunRecord) -> dict[str, Markup | None]:
    from wardround.evidence import charts  # matplotlib takes most of a second to import

    pooled = record.pooled
    roc = charts.roc_chart({FEDERATED: pooled.federated} | pooled.own) if pooled else None
    drawn = {
        "benefit": charts.benefit_chart(record),
        "roc": roc,
        "calibration": charts.calibration_chart(pooled.federated) if pooled else None,
        "learning": charts.learning_chart(record),
        "loss": charts.loss_chart(record),
    }
    # The charts are markup that matplotlib wrote, with every label escaped.
    return {name: None if svg is None else Markup(svg) for name, svg in drawn.items()}


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    for name in ("figure", "whole", "size", "duration"):
        environment.filters[name] = getattr(wording, name)
    return environment.from_string(page_text("report.html.j2"))
