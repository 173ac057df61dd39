"""Who asks, and what a role may see. A page without a rule here does not exist: the test of roles asks every route of every role.

doctor          cases, films, answers, patient sheets, facts
data-manager    register, withdrawals, leaflet, facts
auditor         register, audit, facts
administrator   register, people, keys, facts
"""

import hmac
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import Response

from wardround.clinic.store.people import People, Person

EVERYBODY = ("doctor", "data-manager", "auditor", "administrator")
HOMES = {"doctor": "/", "data-manager": "/register", "auditor": "/audit", "administrator": "/people"}


class NotLoggedIn(Exception):
    """There is no session, or its second factor is still to come."""


class NotAllowed(Exception):
    """The session's role may not do this."""


class WrongToken(Exception):
    """A form without the session's own token: another page may have sent it."""


def cookie_name(request: Request) -> str:
    """Browsers send cookies of one name to every port of a machine; so the port is part of it."""
    return f"wardround_clinic_{(request.url.port or 443)}"


def session_of(request: Request) -> str:
    return request.cookies.get(cookie_name(request), "")


def with_session(request: Request, response: Response, session: str) -> Response:
    """Gives the browser the session's id: no script reads it, no other site sends it."""
    tls = request.app.state.clinic.settings.behind_tls
    response.set_cookie(cookie_name(request), session, path="/", httponly=True, samesite="strict", secure=tls)
    return response


def person_or_none(request: Request) -> Person | None:
    """Whose session this is, in whatever stage."""
    people: People = request.app.state.people
    person: Person | None = getattr(request.state, "person", None)
    if person is None:
        person = people.person(session_of(request))
        request.state.person = person
    return person


def allowed(*roles: str) -> Callable[[Request], Person]:
    """What a route depends on: the person, logged in whole, of one of the roles."""

    def dependency(request: Request) -> Person:
        person = person_or_none(request)
        if person is None or person.stage != "whole":
            raise NotLoggedIn
        if person.role not in roles:
            request.app.state.store.note(person.name, "not-allowed", f"{request.method} {request.url.path}"[:200])
            raise NotAllowed
        return person

    dependency.__dict__["roles"] = roles
    return dependency


Doctor = Annotated[Person, Depends(allowed("doctor"))]
DataManager = Annotated[Person, Depends(allowed("data-manager"))]
Registrar = Annotated[Person, Depends(allowed("data-manager", "auditor", "administrator"))]
Auditor = Annotated[Person, Depends(allowed("auditor"))]
Administrator = Annotated[Person, Depends(allowed("administrator"))]
Anybody = Annotated[Person, Depends(allowed(*EVERYBODY))]


def without_nul(text: str) -> str:
    """As it was typed, but for a sign that PostgreSQL keeps in no text."""
    return text.replace("\0", "\ufffd")


async def checked_form(request: Request) -> dict[str, str]:
    """The fields of a form of ours, all text. WrongToken where it does not hold the session's token."""
    form = await request.form(max_files=0, max_fields=200)
    fields = {name: without_nul(value) for name, value in form.items() if isinstance(value, str)}
    require_token(request, fields.get("token", ""))
    return fields


def require_token(request: Request, token: str) -> None:
    person = person_or_none(request)
    if person is None or not hmac.compare_digest(person.token.encode(), token.encode("utf-8", "replace")):
        raise WrongToken


CheckedForm = Annotated[dict[str, str], Depends(checked_form)]


class KeyNames:
    """Whose key it is, remembered for KEPT_S: a request that asks the model should not ask the database first. A key that was
    revoked opens nothing after that time."""

    KEPT_S = 1.0
    MOST = 1000

    def __init__(self, people: People, clock: Callable[[], float] = time.monotonic) -> None:
        self._people, self._clock = people, clock
        self._names: dict[str, tuple[float, str]] = {}

    def name(self, secret: str) -> str | None:
        """None where it opens nothing. What opens nothing is not remembered."""
        now, kept = self._clock(), self._names.get(secret)
        if kept is not None and now < kept[0]:
            return kept[1]
        self._names.pop(secret, None)
        name = self._people.machine(secret)
        if name is not None:
            if len(self._names) >= self.MOST:
                self._names.clear()
            self._names[secret] = (now + self.KEPT_S, name)
        return name
