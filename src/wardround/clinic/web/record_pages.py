"""What can be looked up: facts of the model, the leaflet of its study, the audit."""

import math
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from wardround.clinic.acceptance.card import read_card
from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.place.origin_record import OriginRecord
from wardround.clinic.store.cases import audit_lines
from wardround.clinic.store.database import first_broken_line
from wardround.clinic.web.access import Anybody, Auditor
from wardround.clinic.web.fact_words import card_rows, group_name, told
from wardround.clinic.web.printing import pdf_of
from wardround.clinic.web.rendering import page, state_of, time_text, words_of
from wardround.clinic.web.saying import FIGURES, figure_lines, figure_text, finding, group_figures, percent
from wardround.clinic.web.sheets import leaflet
from wardround.clinic.web.state import ClinicState
from wardround.clinic.web.words import Words

router = APIRouter(include_in_schema=False)


@router.get("/facts")
def facts(request: Request, person: Anybody) -> Response:  # noqa: ARG001
    """Everything that is known of the model in service."""
    state, words = state_of(request), words_of(request)
    model = state.model
    if model is None:
        return page(request, "facts.html", record=None)
    record = model.acceptance
    of_groups = {name: words(f"figure.{name}") for name in FIGURES[:3]} if record.tuned is None else group_figures(record, words)
    groups = [
        {
            "name": group_name(group, words),
            "cases": group.cases,
            "texts": [words("facts.few") if group.few else figure_text(group.local, name) for name in of_groups],
        }
        for group in record.subgroups
    ]
    about = about_lines(state, record, words)
    shown: dict[str, Any] = {
        "about": about,
        "figures": figure_lines(record, words),
        "subgroups": groups,
        "subgroup_names": list(of_groups.values()),
    }
    card = read_card(state.place, record.model, record.card)  # as people have filled it in since
    return page(request, "facts.html", record=record, card=list(card_rows(card, record.card, words)), **shown)


def about_lines(state: ClinicState, record: AcceptanceRecord, words: Words) -> list[tuple[str, str]]:
    """Name of a fact, and the fact."""
    statement, use = record.statement, state.settings.clinical_use
    return [
        ("facts.study", statement.study_title),
        ("facts.finding", words.sentence(finding(record))),
        ("facts.output", told(statement.output, words)),
        ("facts.synthetic", words("facts.made_up" if statement.synthetic else "facts.real_data")),
        *origin_lines(record.origin, words),
        ("facts.use", words("facts.released", text=use) if use else words("facts.research")),
        *tuned_lines(record, words),
        ("facts.acceptance", record.id),
        ("facts.accepted", str(record.created)[:16].replace("T", " ")),
        ("facts.sha256", record.model),
    ]


def tuned_lines(record: AcceptanceRecord, words: Words) -> list[tuple[str, str]]:
    """How its answers became this hospital's."""
    if record.tuned is not None:
        return [("facts.calibration", words(f"calibration.{record.tuned.correction.name}"))]
    tuned = record.yes_or_no
    return [
        ("facts.threshold", percent(tuned.threshold)),
        ("facts.calibration", words(f"calibration.{tuned.calibration.chosen.name}")),
    ]


def origin_lines(origin: OriginRecord | None, words: Words) -> list[tuple[str, str]]:
    """Who taught the model, on how many, under which promise; of each, that it is not known where it is not."""
    if origin is None:
        return [(f"facts.{name}", words("facts.not_noted")) for name in ("hospitals", "sample", "privacy")]
    names = ", ".join(origin.hospitals)
    sums = words("facts.masked" if origin.summation_mode == "masked" else "facts.plain")
    return [
        ("facts.hospitals", f"{len(origin.hospitals)}: {names}" if names else words("facts.not_noted")),
        ("facts.sample", _sample(origin, words)),
        (
            "facts.privacy",
            f"{_noise(origin, words)} {sums}",
        ),
    ]


def _sample(origin: OriginRecord, words: Words) -> str:
    if origin.patients is not None and origin.records is not None:
        return words("facts.counts", patients=f"{origin.patients:,}", records=f"{origin.records:,}")
    if origin.public_patients is not None:
        return words("facts.public", patients=f"{origin.public_patients:,}")
    return words("facts.withheld")


def _noise(origin: OriginRecord, words: Words) -> str:
    """epsilon in three digits, never below what it is."""
    if origin.epsilon is None or origin.unit is None or origin.delta is None:
        return words("facts.no_noise")
    digits = 2 - math.floor(math.log10(origin.epsilon)) if origin.epsilon > 0 else 0
    epsilon = math.ceil(origin.epsilon * 10.0**digits - 1e-9) / 10.0**digits
    return words(f"facts.noise_{origin.unit}", epsilon=f"{epsilon:g}", delta=f"{origin.delta:g}")


def _leaflet(request: Request) -> Any:
    state, words = state_of(request), words_of(request)
    return leaflet(state.desk.model.acceptance, words, state.settings.contact, state.privacy_of_model)


@router.get("/leaflet")
def leaflet_page(request: Request, person: Anybody) -> Response:  # noqa: ARG001
    """How patients' data took part in the study."""
    return page(request, "sheet.html", sheet=_leaflet(request), pdf="/leaflet.pdf")


@router.get("/leaflet.pdf")
def leaflet_pdf(request: Request, person: Anybody) -> Response:  # noqa: ARG001
    """The same as PDF."""
    content = pdf_of(_leaflet(request), state_of(request).settings.hospital, words_of(request).language)
    return Response(content, media_type="application/pdf")


@router.get("/audit")
def audit_page(request: Request, person: Auditor, words: str = "") -> Response:
    """The latest lines, and whether the chain is whole."""
    store = state_of(request).store
    store.note(person.name, "audit-seen", "")
    lines = [{**line, "time": time_text(line["at"])} for line in audit_lines(store, 200, words=words[:80])]
    return page(request, "audit.html", lines=lines, broken=first_broken_line(store), words=words[:80])
