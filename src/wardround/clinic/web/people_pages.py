"""The administrator's page: people, their roles and passwords, keys of machines."""

import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from wardround.clinic.store.people import ROLES, new_password
from wardround.clinic.web.access import Administrator, CheckedForm
from wardround.clinic.web.rendering import page, state_of, words_of
from wardround.values.errors import RunError

router = APIRouter(include_in_schema=False)


def _people(request: Request, **values: Any) -> Response:
    people, now = state_of(request).people, time.time()
    rows = [{**row, "locked": row["locked_until"] > now} for row in people.listed()]
    shown = {"secret": "", "people": rows, "keys": people.keys(), "roles": ROLES}
    return page(request, "people.html", **{**shown, **values})


@router.get("/people")
def people_page(request: Request, person: Administrator) -> Response:  # noqa: ARG001
    """Who may use the clinic."""
    return _people(request)


@router.post("/people")
async def add_person(request: Request, person: Administrator, form: CheckedForm) -> Response:
    """A new account with a drawn password, shown once."""
    secret = new_password()
    add = state_of(request).people.add
    await run_in_threadpool(add, form.get("name", ""), form.get("role", ""), secret, actor=person.name)
    return await run_in_threadpool(_people, request, secret=secret)


@router.post("/people/change")
async def change_person(request: Request, person: Administrator, form: CheckedForm) -> Response:
    """Switch an account off or on, draw a new password, reset the second factor. Each ends its sessions."""
    people, name, act = state_of(request).people, form.get("name", ""), form.get("act", "")
    words, secret = words_of(request), ""
    if act in ("off", "on"):
        await run_in_threadpool(people.change, name, actor=person.name, active=act == "on")
    elif act == "password":
        secret = new_password()
        await run_in_threadpool(people.set_password, name, secret, actor=person.name)
    elif act == "reset":
        await run_in_threadpool(people.reset_second_factor, name, actor=person.name)
    else:
        raise RunError("There is no such change", expected="off, on, password, reset", hint="use the buttons of the page")
    return await run_in_threadpool(_people, request, secret=secret, notice="" if secret else words("people.done"))


@router.post("/keys")
async def add_key(request: Request, person: Administrator, form: CheckedForm) -> Response:
    """A key for a machine, shown once."""
    secret = await run_in_threadpool(state_of(request).people.add_key, form.get("name", ""), actor=person.name)
    return await run_in_threadpool(_people, request, secret=secret)


@router.post("/keys/revoke")
async def revoke_key(request: Request, person: Administrator, form: CheckedForm) -> Response:
    """The key opens nothing any more."""
    await run_in_threadpool(state_of(request).people.revoke_key, form.get("name", ""), actor=person.name)
    return await run_in_threadpool(_people, request, notice=words_of(request)("people.done"))
