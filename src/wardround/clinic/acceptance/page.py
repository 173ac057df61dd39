"""An acceptance record as one self-contained page: it links to nothing, loads nothing and runs no script."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from wardround.clinic.acceptance.card import blanks
from wardround.clinic.acceptance.judging import Judgement
from wardround.clinic.acceptance.summary import FIGURES
from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.evidence import text as wording
from wardround.evidence.run_facts import page_text


def acceptance_page(record: AcceptanceRecord, judged: tuple[Judgement, ...]) -> str:
    """HTML. The same record and minimums give the same page; every text of the record is escaped."""
    page: str = _template().render(
        record=record,
        css=page_text("report.css"),
        figures=FIGURES,
        finding=record.statement.data.label.name,
        judged=judged,
        blanks=blanks(record.card),
        synthetic_words=wording.SYNTHETIC,
        not_cleared=wording.NOT_CLEARED,
    )
    return page


def _signed(value: float | None) -> str:
    return wording.NONE if value is None else f"{value:+.3f}"


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": wording.figure, "whole": wording.whole, "signed": _signed}
    text = files("wardround.clinic.acceptance").joinpath("acceptance.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)
