"""Logging in: name and password, then the second factor, each with a session of its own; logging out; the language."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Form, Request
from pydantic import AfterValidator
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from wardround.clinic.web.access import (
    HOMES,
    CheckedForm,
    NotLoggedIn,
    cookie_name,
    person_or_none,
    require_token,
    with_session,
    without_nul,
)
from wardround.clinic.web.rendering import LANGUAGE_COOKIE, page, problem, state_of, words_of
from wardround.clinic.web.words import LANGUAGES
from wardround.values.network_address import network_of

router = APIRouter(include_in_schema=False)
DEMO_DOCTOR = "demo"
Text = Annotated[str, Form(max_length=400), AfterValidator(without_nul)]


@router.get("/login")
def login_page(request: Request) -> Response:
    """The first step."""
    person = person_or_none(request)
    if person is not None and person.stage == "whole":
        return RedirectResponse(HOMES[person.role], 303)
    return page(request, "login.html", person=None)


@router.post("/login")
def login(request: Request, name: Text = "", password: Text = "") -> Response:
    """A session of its first stage, under a new id."""
    state, words = state_of(request), words_of(request)
    if not state.logins.allows(network_of(request.client)):
        return page(request, "login.html", status=429, person=None, error=words("login.too_fast"))
    session = state.people.login(name, password)
    if session is None:
        return page(request, "login.html", status=403, person=None, error=words("login.wrong"))
    state.logins.was_right(network_of(request.client))
    return with_session(request, RedirectResponse("/second", 303), session)


@router.get("/enter/{code}")
def enter(request: Request, code: str) -> Response:
    """The demo's link: good once. At every other clinic there is no such page."""
    state = state_of(request)
    if not state.entry or not hmac.compare_digest(state.entry.encode(), code.encode("utf-8", "replace")):
        return problem(request, 404, words_of(request)("problem.not_there"))
    state.entry = ""
    return with_session(request, RedirectResponse("/", 303), state.people.enter(DEMO_DOCTOR))


@router.get("/second")
def second_page(request: Request) -> Response:
    """The second step; an account without a second factor sets it up here."""
    person = person_or_none(request)
    if person is None:
        raise NotLoggedIn
    if person.stage == "whole":
        return RedirectResponse(HOMES[person.role], 303)
    return _second(request)


@router.post("/second")
def second(request: Request, code: Text = "", token: Text = "") -> Response:
    """The whole session, under another id than the first stage had."""
    state, words = state_of(request), words_of(request)
    person = person_or_none(request)
    if person is None:
        raise NotLoggedIn
    require_token(request, token)
    if not state.logins.allows(network_of(request.client)):
        return _second(request, 429, words("login.too_fast"))
    session = state.people.second_step(person.session, code)
    if session is None:
        return _second(request, 403, words("second.wrong"))
    state.logins.was_right(network_of(request.client))
    return with_session(request, RedirectResponse(HOMES[person.role], 303), session)


@router.post("/logout")
async def logout(request: Request, form: CheckedForm) -> Response:  # noqa: ARG001
    """The session ends here and at the server."""
    person = person_or_none(request)
    if person is not None:
        await run_in_threadpool(state_of(request).people.logout, person.session)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(cookie_name(request), path="/", httponly=True, samesite="strict")
    return response


@router.post("/language")
async def language(request: Request) -> Response:
    """The language of the account, or of this device before the login."""
    form = await request.form(max_files=0, max_fields=10)
    chosen, back = str(form.get("language", "")), str(form.get("back", "/"))
    person = await run_in_threadpool(person_or_none, request)
    if person is not None:
        require_token(request, str(form.get("token", "")))
    here = back.startswith("/") and not back.startswith("//") and back.isprintable() and "\\" not in back
    response = RedirectResponse(back if here else "/", 303)
    if chosen in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, chosen, max_age=31_536_000, httponly=True, samesite="strict")
        if person is not None:
            await run_in_threadpool(state_of(request).people.set_language, person, chosen)
    return response


def _second(request: Request, status: int = 200, error: str = "") -> Response:
    person = person_or_none(request)
    shown = state_of(request).people.second_secret(person.session) if person else None
    secret, uri = shown if shown is not None else ("", "")
    return page(request, "second.html", status=status, error=error, secret=secret, uri=uri)
