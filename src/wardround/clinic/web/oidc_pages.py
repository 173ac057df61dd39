"""Logging in by the hospital's own login: out to it, and back. Where clinic.toml has no [oidc] there are no such pages.

Both are asked for by a link: a form of ours that was led to another place would be stopped by our own policy for browsers.
"""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from wardround.clinic.web.access import HOMES, cookie_name, with_session
from wardround.clinic.web.case_pages import NotThere
from wardround.clinic.web.oidc import UNDER_WAY_S, Identity, LoginRefused, Provider
from wardround.clinic.web.rendering import page, state_of, words_of
from wardround.values.network_address import network_of

router = APIRouter(include_in_schema=False)
_PATH = "/oidc"


@router.get("/oidc/start")
async def start(request: Request) -> Response:
    """To the login. What belongs to this try lies with the browser, sealed; a page of elsewhere cannot send it along."""
    provider, settings = _provider(request, ("none", "same-origin")), state_of(request).settings
    if not state_of(request).logins.allows(network_of(request.client)):
        return _refused(request, 429, "login.too_fast")
    try:
        address, kept = await run_in_threadpool(provider.begun)
    except LoginRefused as refusal:
        return await _noted(request, refusal)
    response = RedirectResponse(address, 303)
    # lax: the browser comes back from another site, and a strict cookie would stay behind.
    response.set_cookie(
        _kept_name(request), kept, max_age=int(UNDER_WAY_S), path=_PATH, httponly=True, samesite="lax", secure=settings.behind_tls
    )
    return response


@router.get("/oidc/done")
async def done(request: Request) -> Response:
    """Back from the login, with a code for who she is."""
    provider, state = _provider(request, ("none", "same-origin", "same-site", "cross-site")), state_of(request)
    try:
        identity = await run_in_threadpool(provider.identity, request.query_params, request.cookies.get(_kept_name(request), ""))
    except LoginRefused as refusal:
        return await _noted(request, refusal)
    state.logins.was_right(network_of(request.client))
    return await run_in_threadpool(_entered, request, identity, provider)


def _entered(request: Request, identity: Identity, provider: Provider) -> Response:
    people = state_of(request).people
    if identity.role is None:
        people.shut_out(identity.subject)
        state_of(request).store.note("nobody", "login-refused", "the hospital's login names no group that has a role here")
        return _refused(request, 403, "login.no_role")
    whole = provider.section.second_factor == "provider"
    session = people.enter_by(identity.subject, identity.name, identity.role, whole=whole)
    if session is None:
        return _refused(request, 403, "login.switched_off")
    # A page, no redirect: browsers hold the strict cookie back as long as they follow those of another site.
    response = page(request, "entered.html", person=None, on=HOMES[identity.role] if whole else "/second")
    response.delete_cookie(_kept_name(request), path=_PATH, httponly=True, samesite="lax")
    return with_session(request, response, session)


async def _noted(request: Request, refusal: LoginRefused) -> Response:
    await run_in_threadpool(state_of(request).store.note, "nobody", "login-refused", f"the hospital's login: {refusal}")
    return _refused(request, 502 if refusal.told == "login.provider_away" else 403, refusal.told)


def _refused(request: Request, status: int, name: str) -> Response:
    response = page(request, "login.html", status=status, person=None, error=words_of(request)(name))
    response.delete_cookie(_kept_name(request), path=_PATH, httponly=True, samesite="lax")
    return response


def _provider(request: Request, sites: tuple[str, ...]) -> Provider:
    """The login, for whoever goes there: a picture or a frame in a page of elsewhere would use up the tries of a whole hospital.
    sites: from where one may come, as browsers say it."""
    provider = state_of(request).provider
    headers = request.headers
    goes = headers.get("sec-fetch-mode", "navigate") == "navigate" and headers.get("sec-fetch-dest", "document") == "document"
    if provider is None or not goes or headers.get("sec-fetch-site", "none") not in sites:
        raise NotThere
    return provider


def _kept_name(request: Request) -> str:
    return f"{cookie_name(request)}_login"
