"""Pages from templates: escaped, in the reader's language, with what every page shows."""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import Request
from jinja2 import Environment, FunctionLoader, StrictUndefined
from starlette.responses import HTMLResponse, JSONResponse, Response

from wardround.clinic.store.people import Person
from wardround.clinic.watch.alerts import open_alerts
from wardround.clinic.web.access import person_or_none
from wardround.clinic.web.state import ClinicState
from wardround.clinic.web.words import LANGUAGES, Words

FHIR_JSON = "application/fhir+json"
_ISSUES = {401: "login", 403: "forbidden", 404: "not-found", 413: "too-costly", 422: "invalid", 503: "transient"}
LANGUAGE_COOKIE = "wardround_language"
_MENU: dict[str, tuple[tuple[str, str], ...]] = {
    "doctor": (("/", "menu.worklist"), ("/facts", "menu.facts"), ("/leaflet", "menu.leaflet"), ("/watch", "menu.watch")),
    "data-manager": (
        ("/register", "menu.register"),
        ("/facts", "menu.facts"),
        ("/leaflet", "menu.leaflet"),
        ("/watch", "menu.watch"),
    ),
    "auditor": (("/audit", "menu.audit"), ("/register", "menu.register"), ("/facts", "menu.facts"), ("/watch", "menu.watch")),
    "administrator": (
        ("/people", "menu.people"),
        ("/register", "menu.register"),
        ("/facts", "menu.facts"),
        ("/watch", "menu.watch"),
    ),
}


def state_of(request: Request) -> ClinicState:
    state: ClinicState = request.app.state.clinic
    return state


def language_of(request: Request) -> str:
    """The account's, else what was chosen on this device, else what the browser asks for first that we have."""
    person = person_or_none(request)
    if person is not None and person.stage == "whole":
        return person.language
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    asked = [part.split(";")[0].strip()[:2].lower() for part in request.headers.get("accept-language", "").split(",")]
    return next((code for code in asked if code in LANGUAGES), "en")


def words_of(request: Request) -> Words:
    return Words(language_of(request))


def page(request: Request, name: str, *, status: int = 200, **values: Any) -> Response:
    """A template with its values. error, notice: shown above it."""
    state, person, words = state_of(request), person_or_none(request), words_of(request)
    shared = {
        "t": words,
        "language": words.language,
        "languages": LANGUAGES,
        "person": person,
        "token": person.token if person else "",
        "menu": _menu(person, state),
        "here": request.url.path,
        "hospital": state.settings.hospital,
        "research_only": not state.settings.clinical_use,
        "hospital_login": state.provider is not None,
        "alerts": len(open_alerts(state.store)) if person and person.stage == "whole" else 0,
        "error": "",
        "notice": "",
    }
    text = _templates().get_template(name).render(**{**shared, **values})
    return HTMLResponse(text, status_code=status, headers={"vary": "accept-language, cookie"})


def problem(request: Request, status: int, sentence: str) -> Response:
    """What went wrong, as a page or, for a script or a machine, as JSON."""
    if request.url.path.startswith("/fhir/"):
        issue = {"severity": "error", "code": _ISSUES.get(status, "processing"), "diagnostics": sentence}
        return JSONResponse({"resourceType": "OperationOutcome", "issue": [issue]}, status_code=status, media_type=FHIR_JSON)
    if request.url.path.startswith(("/v1/", "/cds-services")) or "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"error": sentence}, status_code=status)
    return page(request, "problem.html", status=status, error=sentence)


def time_text(seconds: float) -> str:
    """A moment in UTC, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _menu(person: Person | None, state: ClinicState) -> tuple[tuple[str, str], ...]:
    if person is None or person.stage != "whole":
        return ()
    menu = _MENU[person.role]
    if person.role == "doctor" and state.dicom is not None and state.dicom.settings.archive is not None:
        menu = (menu[0], ("/archive", "menu.archive"), *menu[1:])
    model = state.desk.model_or_none if person.role == "doctor" else None
    asks = {"table": "menu.ask", "molecule": "menu.ask_molecule"}.get(model.contract.kind) if model else None
    return (menu[0], ("/ask", asks), *menu[1:]) if asks else menu


@cache
def _templates() -> Environment:
    folder = files("wardround.clinic.web").joinpath("pages")
    loader = FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8"))
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
