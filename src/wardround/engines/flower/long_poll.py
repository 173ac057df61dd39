"""Asking for messages, answered as soon as there is one: Flower answers at once, with nothing, and would be asked all the time.

    pull-messages --empty?--> waits for the bell, at most HOLD_S --> asked once more        push-messages --> rings the bell

Plain ASGI between server and Flower: Flower below and its client above stay as they are.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from wardround.engines.flower.gate import App, Receive, Scope, Send
from wardround.engines.flower.holding import HOLD_HEADER

HOLD_S = 20.0
"""Proxies cut a connection that is silent for 30 s or more."""
_FOR_SITES, _FOR_HUB = "for sites", "for the hub"
_PULL = {"/v1/fleet/pull-messages": _FOR_SITES, "/v1/runtime/pull-messages": _FOR_HUB}
_PUSH = {"/v1/runtime/push-messages": _FOR_SITES, "/v1/fleet/push-messages": _FOR_HUB}
Event = MutableMapping[str, Any]


class LongPoll:
    """An ASGI application around Flower's. All of its requests run in one event loop.

    There is a bell for each direction: what one of a hundred sites says wakes the hub, and not the ninety-nine others."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._bells: dict[str, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path"))
        if path in _PULL:
            await self._pulled(_PULL[path], scope, receive, send)
            return
        await self._app(scope, receive, send)
        if path in _PUSH:
            self._ring(_PUSH[path])

    def _ring(self, direction: str) -> None:
        """Everybody who waits for messages in this direction asks again."""
        bell = self._bells.pop(direction, None)
        if bell is not None:
            bell.set()

    async def _pulled(self, direction: str, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + _hold(scope)
        gone = asyncio.ensure_future(receive())
        try:
            while True:
                bell = self._bells.setdefault(direction, asyncio.Event())
                events = await self._asked(scope, body)
                left = until - loop.time()
                if not _is_empty(events) or left <= 0:
                    for event in events:
                        await send(event)
                    return
                ring = asyncio.ensure_future(bell.wait())
                await asyncio.wait({ring, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                ring.cancel()
                if gone.done():  # whoever asked hung up, and nothing was taken from the queue
                    return
        finally:
            gone.cancel()

    async def _asked(self, scope: Scope, body: bytes) -> list[Event]:
        """Flower's answer to the request, as events that were not sent yet."""
        events: list[Event] = []
        handed_over = False

        async def receive() -> Event:
            nonlocal handed_over
            if not handed_over:
                handed_over = True
                return {"type": "http.request", "body": body, "more_body": False}
            await asyncio.Event().wait()
            raise AssertionError("nobody waits that long")

        async def send(event: Event) -> None:
            events.append(event)

        await self._app({**scope, "state": dict(scope.get("state") or {})}, receive, send)
        return events


def _hold(scope: Scope) -> float:
    """Seconds that whoever asks will wait, at most HOLD_S."""
    value = dict(scope["headers"]).get(HOLD_HEADER.encode(), b"")
    return min(HOLD_S, int(value) / 1000) if value.isdigit() and len(value) < 10 else HOLD_S


def _is_empty(events: list[Event]) -> bool:
    return bool(events) and events[0].get("status") == 200 and not any(event.get("body") for event in events[1:])


async def _body(receive: Receive) -> bytes | None:
    """None where whoever asked has gone."""
    parts = []
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        parts.append(event.get("body", b""))
        if not event.get("more_body", False):
            return b"".join(parts)
