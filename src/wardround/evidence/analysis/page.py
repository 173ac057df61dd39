"""`report.html` of an analysis: its tables and charts on one self-contained page, as the report of a training is."""

from collections.abc import Iterator, Mapping, Sequence
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
        ("Error of the sums", _error_words(values, result)),
        *_privacy_of(values),
        ("Started", str(values["created"])),
        ("Version", f"Wardround {values['version']}"),
    )


def _error_words(values: Mapping[str, Any], result: Result) -> str:
    if "privacy" in values:
        return "noise, on purpose: intervals hold it"
    return f"at most {result.error:.1g} in a figure of the tables" if result.error else "none: whole numbers"


def _privacy_of(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a private analysis promises; nothing of another."""
    if "privacy" not in values:
        return
    privacy = values["privacy"]
    bound = "no bound on epsilon" if privacy["epsilon"] is None else f"epsilon {privacy['epsilon']:.4g}"
    helped = f"the coordinator and {privacy['collusion']} hospitals that help it" if privacy["collusion"] else "the coordinator"
    yield (
        "Privacy",
        f"{bound} at delta {privacy['delta']:g} for one {privacy['unit']}, over all sums, against {helped}; noise multiplier "
        f"{privacy['noise_multiplier']:.4g}, {privacy['events']} charged steps",
    )
    if spent := privacy.get("spent"):
        said = (f"{site}: {'no bound' if epsilon is None else f'{epsilon:.4g}'}" for site, epsilon in spent.items())
        yield ("Ledgers after it", ", ".join(said))


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(page_text("analysis/page.html.j2"))
