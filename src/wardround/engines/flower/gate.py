"""The one public door of the hub: an ASGI application that lets six paths of Flower through, and those of our own.

    path allowed? login key of a confirmed site? length stated and short? --> long poll --> Flower
    /enrol, /bodies/...                                                   --> our own application
    anything else                                                         --> 404 without a body

Flower's fleet paths have no login before the body was read and parsed, and its control and runtime paths none at all; two more
fleet paths (`push-object`, `pull-object`) would let a site fill the hub's memory, and we do not use them.
"""

import asyncio
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from wardround.engines.flower.guarded_lines import prove_line
from wardround.engines.flower.mailroom import Mailroom
from wardround.engines.flower.nodes import NodeTable
from wardround.engines.flower.wrong_clocks import KEY_HEADER, WrongClocks, decoded
from wardround.values.ids import SiteId

FLEET = "/v1/fleet/"
PULL, PUSH = FLEET + "pull-messages", FLEET + "push-messages"
COME, LEAVE = FLEET + "activate-node", FLEET + "deactivate-node"
ALLOWED = frozenset({PULL, PUSH, COME, LEAVE, FLEET + "send-node-heartbeat", FLEET + "confirm-message-received"})
OURS = ("/enrol", "/bodies/")
LIMIT = 2 << 20
"""Bytes of a fleet request."""
LONGEST_BODY_S = 180.0
"""For a request to come: the longest, at a tenth of a megabit a second."""
WAIT_HEADER = b"wardround-wait"
LONGEST_WAIT_S = 20.0
Scope = MutableMapping[str, Any]
Receive = Callable[[], Any]
Send = Callable[[Any], Any]
App = Callable[[Scope, Receive, Send], Any]


class Gate:
    """An ASGI application. flower: the SuperLink's. ours: for `/enrol` and `/bodies/`, or None. clocks: hears of each site whose
    clock is why Flower turned it away."""

    def __init__(
        self, flower: App, nodes: NodeTable, mailroom: Mailroom, ours: App | None, clocks: WrongClocks | None = None
    ) -> None:
        self._flower, self._nodes, self._mailroom, self._ours = flower, nodes, mailroom, ours
        self._clocks = WrongClocks() if clocks is None else clocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return None
        path = scope["path"]
        if self._ours is not None and path.startswith(OURS) and (path == OURS[0] or path.startswith(OURS[1])):
            await self._ours(scope, receive, _proving(scope, send) if path.startswith(OURS[1]) else send)
            return None
        if scope["method"] != "POST" or path not in ALLOWED:
            return await refuse(send, 404)
        headers = dict(scope["headers"])
        site = await asyncio.to_thread(self._nodes.site_of, _key(headers))
        if site is None:
            return await refuse(send, 401)
        length = headers.get(b"content-length", b"")
        if not (length.isdigit() and len(length) < 10 and int(length) <= LIMIT):
            return await refuse(send, 413)
        return await self._let_in(site, int(length), scope, receive, send)

    async def _let_in(self, site: SiteId, length: int, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _whole(receive, length)
        if body is None:
            await refuse(send, 413)
            return
        if scope["path"] == PULL:
            reply = await self._next_message(site, scope, body, receive)
        else:
            reply = await ask(self._flower, scope, body)
        if reply is None:
            return
        if reply[0]["status"] == 200:
            prove_line(scope)
            self._mailroom.saw(site)
            self._clocks.let_in(site)
            if scope["path"] == PUSH:
                self._mailroom.replied(site)
            elif scope["path"] == LEAVE:
                self._mailroom.leaves(site)
            elif scope["path"] == COME:
                self._mailroom.comes(site)
            elif scope["path"] != PULL:
                self._mailroom.tell()  # it is there again
        elif reply[0]["status"] == 401:
            await asyncio.to_thread(self._clocks.turned_away, site, dict(scope["headers"]))
        for event in reply:
            await send(event)

    async def _next_message(self, site: SiteId, scope: Scope, body: bytes, receive: Receive) -> list[Any] | None:
        """Flower's answer when it holds a message, at the latest when the site's patience ends. None where the site hung up."""
        loop, headers = asyncio.get_running_loop(), dict(scope["headers"])
        came, until = time.monotonic(), loop.time() + _patience(headers)
        hung_up = asyncio.ensure_future(receive())
        bell = self._mailroom.bell(site)
        try:
            while True:
                bell.clear()
                asked = time.monotonic()
                reply = await ask(self._flower, scope, body)
                if reply[0]["status"] != 200 or any(event.get("body") for event in reply[1:]):
                    return reply
                prove_line(scope)
                self._mailroom.saw(site)
                self._mailroom.is_idle(site, asked)
                ring = asyncio.ensure_future(bell.wait())
                await asyncio.wait({ring, hung_up}, timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED)
                ring.cancel()
                if hung_up.done():
                    return None
                if await asyncio.to_thread(self._nodes.site_of, _key(headers)) != site:  # it was revoked, or has new keys
                    return _status(401)
                if loop.time() >= until or self._mailroom.left_at(site) > came:
                    return reply
        finally:
            hung_up.cancel()
            self._mailroom.unhang(site, bell)


async def ask(app: App, scope: Scope, body: bytes) -> list[Any]:
    """What an ASGI application answers to a request whose body is all there."""
    events: list[Any] = []
    asked = False

    async def receive() -> Any:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: Any) -> None:
        events.append(event)

    await app({**scope, "state": {}}, receive, send)
    return events


async def refuse(send: Send, status: int) -> None:
    for event in _status(status):
        await send(event)


def _status(status: int) -> list[Any]:
    """A status without a body; the line is closed, so that nothing more of the request is read."""
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    return [{"type": "http.response.start", "status": status, "headers": headers}, {"type": "http.response.body", "body": b""}]


async def _whole(receive: Receive, length: int) -> bytes | None:
    """The body of a request whose length was stated; None where another came, or none in time. A server may let chunks pass
    that have no length, beside a length that is not theirs."""
    body = bytearray()
    try:
        async with asyncio.timeout(LONGEST_BODY_S):
            while True:
                event = await receive()
                if event["type"] != "http.request":
                    return None
                body += event.get("body", b"")
                if len(body) > length:
                    return None
                if not event.get("more_body", False):
                    return bytes(body) if len(body) == length else None
    except TimeoutError:
        return None


def _proving(scope: Scope, send: Send) -> Send:
    """Of bodies: what is not refused had the ticket of a site of the roster."""

    async def sent(event: Any) -> None:
        if event.get("status", 400) < 400:
            prove_line(scope)
        await send(event)

    return sent


def _key(headers: dict[bytes, bytes]) -> bytes:
    return decoded(headers.get(KEY_HEADER, b""))


def _patience(headers: dict[bytes, bytes]) -> float:
    """How long the site would wait for a message, in seconds."""
    text = headers.get(WAIT_HEADER, b"")
    return min(LONGEST_WAIT_S, float(text)) if text.isdigit() and len(text) < 4 else LONGEST_WAIT_S
