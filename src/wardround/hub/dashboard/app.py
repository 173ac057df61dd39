"""The dashboard as a web application: three files of ours, one stream of what there is to show, and one place for wishes.

GET / page.js page.css    for everybody who may speak to this port: they hold nothing
POST /login               {code} -> {session}
GET /feed                 with a session: the whole view as server-sent events, each time that something changed
POST /wish                with a session: {"wish": "stop", "study": HASH} and the like
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wardround.hub.dashboard.access import Sessions
from wardround.hub.dashboard.feed import Feed
from wardround.values.errors import WardroundError

BODY_LIMIT = 4096
MOST_FEEDS = 32
SHORTEST_S, LONGEST_S = 0.4, 5.0
"""Between two events of a feed: while much changes, and while nothing does (times go on)."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_FILES = {"/": ("page.html", "text/html"), "/page.css": ("page.css", "text/css"), "/page.js": ("page.js", "text/javascript")}
Wishes = Mapping[str, Callable[[Mapping[str, str]], None]]
"""Name of a wish -> what does it. It gets the request's other fields, all text, and raises WardroundError where it cannot."""


@dataclass
class Dashboard:
    """What the pages are made of. view: everything to show, as JSON; called in a thread. hosts: what the Host header may say."""

    view: Callable[[], Mapping[str, Any]]
    wishes: Wishes
    sessions: Sessions
    feed: Feed
    hosts: frozenset[str]
    _feeds: int = 0

    def app(self) -> ASGIApp:
        routes = [Route(path, _file(name, kind), methods=["GET"]) for path, (name, kind) in _FILES.items()]
        routes += [
            Route("/login", self._login, methods=["POST"]),
            Route("/feed", self._stream, methods=["GET"]),
            Route("/wish", self._wish, methods=["POST"]),
        ]
        return _Guard(Starlette(routes=routes), self.hosts)

    async def _login(self, request: Request) -> Response:
        fields = await _fields(request)
        session = None if fields is None else await run_in_threadpool(self.sessions.login, fields.get("code", ""))
        if session is None:
            return _said(403, "This login code is not good any more: wardround hub dashboard gives another.")
        return JSONResponse({"session": session})

    async def _stream(self, request: Request) -> Response:
        session = _session(request)
        if not self.sessions.is_open(session):
            return _said(401, "Log in with the address that `wardround hub dashboard` prints.")
        if self._feeds >= MOST_FEEDS:
            return _said(503, "Too many windows show this page.")
        return StreamingResponse(self._events(session), media_type="text/event-stream")

    async def _events(self, session: str) -> AsyncIterator[bytes]:
        self._feeds += 1
        try:
            while not self.feed.closed and self.sessions.is_open(session):
                version = self.feed.version
                view = await run_in_threadpool(self.view)
                yield b"data: " + json.dumps(view, ensure_ascii=True, allow_nan=False).encode() + b"\n\n"
                await self._news_after(version)
        finally:
            self._feeds -= 1

    async def _news_after(self, version: int) -> None:
        began = time.monotonic()
        await asyncio.sleep(SHORTEST_S)
        while self.feed.version == version and time.monotonic() < began + LONGEST_S:
            await asyncio.sleep(0.1)

    async def _wish(self, request: Request) -> Response:
        if not self.sessions.is_open(_session(request)):
            return _said(401, "Log in with the address that `wardround hub dashboard` prints.")
        fields = await _fields(request)
        act = None if fields is None else self.wishes.get(fields.get("wish", ""))
        if fields is None or act is None:
            return _said(400, "The page asks for something that this release does not have: load it anew.")
        try:
            await run_in_threadpool(act, fields)
        except WardroundError as error:
            return _said(409, str(error))
        self.feed.changed()
        return JSONResponse({})


class _Guard:
    """Host, origin and method of every request, before anything else; and our headers on every answer."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = self._refusal({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}, scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        app: Callable[[Scope, Receive, Send], Awaitable[None]] = self._app if refusal is None else refusal
        try:
            await app(scope, receive, guarded)
        except ClientDisconnect:
            return

    def _refusal(self, headers: Mapping[str, str], scope: Scope) -> Response | None:
        if headers.get("host", "").lower() not in self._hosts:
            return _said(421, "This page has another name: use the address that `wardround hub dashboard` prints.")
        if scope["method"] not in ("GET", "POST"):
            return _said(405, "GET and POST only.")
        origin = headers.get("origin", "")
        ours = origin.partition("://")[2].lower() in self._hosts if origin else True
        if not ours or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _said(403, "Another page asks for this.")
        return None


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("wardround.hub.dashboard").joinpath(name).read_bytes()

    async def response(_: Request) -> Response:
        return Response(content, media_type=kind)

    return response


async def _fields(request: Request) -> dict[str, str] | None:
    """The JSON object of texts that a request holds; None for anything else. Another page's form cannot send this type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return None
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_LIMIT:
            return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not all(isinstance(one, str) and one.isprintable() for one in value.values()):
        return None  # half a sign of UTF-16 is no text, and cannot be compared as bytes
    return value


def _session(request: Request) -> str:
    kind, _, session = request.headers.get("authorization", "").partition(" ")
    return session if kind.lower() == "bearer" else ""


def _said(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)
