"""The application: pages and REST over one running clinic, and what a browser or a machine is told when something goes wrong.

No answer quotes what the request held, and no log line holds a name, a number or a value of a patient.
"""

import logging
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from wardround.clinic.watch.metrics_page import metrics
from wardround.clinic.web import (
    archive_pages,
    ask_pages,
    case_pages,
    fhir_interface,
    hooks_interface,
    login_pages,
    oidc_pages,
    people_pages,
    record_pages,
    register_pages,
    rest,
    watch_pages,
)
from wardround.clinic.web.access import NotAllowed, NotLoggedIn, WrongToken
from wardround.clinic.web.guard import Guard, TooLong, TooSlow
from wardround.clinic.web.rendering import problem, words_of
from wardround.clinic.web.state import ClinicState
from wardround.values.errors import DataError, RunError, WardroundError
from wardround.values.version import __version__

ROUTERS = (
    rest.router,  # first: a request is compared with every route before its own, which took a millisecond
    login_pages.router,
    oidc_pages.router,
    case_pages.router,
    archive_pages.router,
    ask_pages.router,
    people_pages.router,
    record_pages.router,
    register_pages.router,
    watch_pages.router,
    fhir_interface.router,
    hooks_interface.router,
)
_STATIC = {
    "clinic.css": "text/css",
    "theme.js": "text/javascript",
    "upload.js": "text/javascript",
    "viewer.js": "text/javascript",
    "ask.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_LOG = logging.getLogger("wardround.clinic")
_WAITING = ("No model is in service", "Too many files wait", "The clinic is closing", "The model in service keeps")
Answered = Callable[[Request, Any], Awaitable[Response]]


def application(state: ClinicState, hosts: frozenset[str]) -> ASGIApp:
    """The whole, behind its guard. hosts: what the Host header may say."""
    app = bare_application(state)
    room = state.desk.decoders.limits.content_bytes + (1 << 16)  # of a form beside its file
    return Guard(app, hosts, room, tls=state.settings.behind_tls, a_minute=state.settings.requests_per_minute)


def bare_application(state: ClinicState) -> FastAPI:
    """Without the guard: for OpenAPI and its tests."""
    # A part of a form that is larger goes to a file in a shared folder; a patient's film stays in memory.
    MultiPartParser.spool_max_size = state.desk.decoders.limits.content_bytes + 1
    app = FastAPI(
        title="Wardround clinic", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.state.clinic, app.state.people, app.state.store = state, state.people, state.store
    for router in ROUTERS:
        app.include_router(router)
    app.add_api_route("/static/{name}", _static, methods=["GET"], include_in_schema=False)
    app.add_api_route("/metrics", metrics, methods=["GET"], include_in_schema=False)
    app.add_api_route("/health", _health, methods=["GET"], include_in_schema=False)
    app.add_api_route("/v1/openapi.json", _openapi, methods=["GET"], include_in_schema=False)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return app


async def _static(request: Request, name: str) -> Response:
    if name not in _STATIC:
        return problem(request, 404, words_of(request)("problem.not_there"))
    return Response(_file(name), media_type=_STATIC[name])


def _file(name: str) -> bytes:
    return files("wardround.clinic.web").joinpath("static", name).read_bytes()


def _health(request: Request) -> dict[str, bool]:
    """Whether the clinic answers, and whether a model is in service; no more, since anybody may ask."""
    state: ClinicState = request.app.state.clinic
    return {"ready": True, "model": state.model is not None}


def _openapi(request: Request, name: rest.Machine) -> dict[str, Any]:  # noqa: ARG001
    described: dict[str, Any] = request.app.openapi()
    return described


async def _not_logged_in(request: Request, _: Any) -> Response:
    scripted = "application/json" in request.headers.get("accept", "") or request.method != "GET"
    return problem(request, 401, words_of(request)("login.ended")) if scripted else RedirectResponse("/login", 303)


def _said(status: int, name: str) -> Answered:
    async def handler(request: Request, _: Any) -> Response:
        return problem(request, status, words_of(request)(name))

    return handler


async def _too_long(request: Request, _: Any) -> Response:
    state: ClinicState = request.app.state.clinic
    return problem(request, 413, words_of(request)("problem.too_long", size=state.desk.decoders.limits.content_bytes >> 20))


async def _too_slow(request: Request, _: Any) -> Response:
    response = problem(request, 408, words_of(request)("problem.too_slow"))
    response.headers["connection"] = "close"  # the rest of the body may come yet
    return response


async def _no_key(request: Request, _: Any) -> Response:
    response = problem(request, 401, "A key is needed: Authorization: Bearer KEY")
    response.headers["www-authenticate"] = "Bearer"
    return response


async def _mistaken(request: Request, error: Any) -> Response:
    return problem(request, 400, str(error))


async def _wardround(request: Request, error: WardroundError) -> Response:
    status = 422 if isinstance(error, DataError) else 503 if isinstance(error, RunError) and _waits(error) else 409
    return problem(request, status, words_of(request).error(error))


def _waits(error: RunError) -> bool:
    return error.what.startswith(_WAITING)


async def _http(request: Request, error: HTTPException) -> Response:
    if isinstance(error.__cause__, TooLong):
        return await _too_long(request, error)
    if isinstance(error.__cause__, TooSlow):
        return await _too_slow(request, error)
    words = words_of(request)
    response = problem(
        request, error.status_code, words("problem.not_there" if error.status_code in (404, 405) else "problem.form")
    )
    if error.headers:
        response.headers.update(error.headers)
    return response


async def _fault(request: Request, error: Exception) -> Response:
    """The kind of the fault and where it stands in our code, never its text: that may quote a patient's record."""
    trace, where = error.__traceback__, ""
    while trace is not None:
        where, trace = f"{trace.tb_frame.f_globals.get('__name__', '')}:{trace.tb_lineno}", trace.tb_next
    _LOG.error("fault %s at %s", type(error).__name__, where)
    return problem(request, 500, words_of(request)("problem.fault"))


_HANDLERS: dict[Any, Any] = {
    NotLoggedIn: _not_logged_in,
    NotAllowed: _said(403, "problem.not_allowed"),
    WrongToken: _said(403, "problem.token"),
    case_pages.NotThere: _said(404, "problem.not_there"),
    RequestValidationError: _said(422, "problem.form"),
    TooLong: _too_long,
    TooSlow: _too_slow,
    rest.NoKey: _no_key,
    rest.Mistaken: _mistaken,
    WardroundError: _wardround,
    HTTPException: _http,
    Exception: _fault,
}
