"""`report.html` of an analysis: its tables and charts on one self-contained page, as the report of a training is."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from wardround.analysis.result import Result
from wardround.evidence.analysis.cells import shown
from wardround.evidence.run_facts import page_text
from wardround.evidence.text import NOT_CLEARED, SYNTHETIC


def render_page(result: Result, facts: Sequence[tuple[str, str]], study_toml: str, *, synthetic: bool) -> str:
    """The page as text. facts: of the run, name and value."""
    from wardround.evidence.analysis.plots import svg  # matplotlib takes most of a second to import

    page: str = _template().render(
        result=result,
        css=Markup(page_text("report.css")),
        charts=[(chart, Markup(svg(chart))) for chart in result.charts],
        shown=shown,
        facts=facts,
        study_toml=study_toml,
        synthetic_words=SYNTHETIC if synthetic else "",
        not_cleared=NOT_CLEARED,
    )
    return page


def facts_of(values: Mapping[str, Any], result: Result) -> tuple[tuple[str, str], ...]:
    """What a page says of the run. values: as in results.json."""
    return (
        ("Run", str(values["run"])),
        ("Study", f"{result.title} (SHA-256 {values['study']})"),
        ("Hospitals", ", ".join(values["hospitals"])),
        ("Sums", f"{values['exchanges']}, each over all of them, {values['summation']}"),
        ("Error of the sums", f"at most {result.error:.1g} in a figure of the tables" if result.error else "none: whole numbers"),
        ("Started", str(values["created"])),
        ("Version", f"Wardround {values['version']}"),
    )


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(page_text("analysis/page.html.j2"))
