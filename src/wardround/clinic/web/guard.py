"""What every request meets first: who is addressed, from which page it comes, how many come, how long one may be and may take;
and our headers.

The name in the Host header must be one of ours, else a stranger's page whose name leads to this machine could read along (DNS
rebinding). A request that changes something must come from our own page or from no page at all.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wardround.clinic.web.http_head import HEAD_BYTES
from wardround.values.network_address import network_of

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer, forms would come from the origin "null", as those of a stranger
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
SMALL_BODY = 64 << 10
BODY_S, BODY_RATE = 30.0, 64 << 10
"""A body may take so many seconds, and one more for each 64 KiB of it that came."""
_MOST_ADDRESSES = 10_000
_LARGE_BODIES = ("/cases", "/v1/predict", "/fhir/$answer", "/cds-services/")
_METHODS = ("GET", "HEAD", "POST")


class RequestRate:
    """At most a_minute requests of one network in a minute, on the average of the last one: what was not used is saved up.

    It forgets the network that was silent for longest of more than 10,000: what that one had saved up was its whole minute.
    """

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_minute, self._clock = a_minute, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, network: str) -> bool:
        """Whether one more may be answered now; it is counted. Without a limit (0) always."""
        if not self._a_minute:
            return True
        now = self._clock()
        left, at = self._left.get(network, (float(self._a_minute), now))
        left = min(left + (now - at) * self._a_minute / 60.0, self._a_minute)
        self._left[network] = (left - 1 if left >= 1 else left, now)
        self._left.move_to_end(network)
        if len(self._left) > _MOST_ADDRESSES:
            self._left.popitem(last=False)
        return left >= 1


class Guard:
    """Around the whole application. body_bytes: of a request that brings files; others have SMALL_BODY. a_minute: requests of one
    network, 0 for any number."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], body_bytes: int, *, tls: bool = False, a_minute: int = 0) -> None:
        self._app, self._hosts, self._body_bytes, self._tls = app, hosts, body_bytes, tls
        self._rate = RequestRate(a_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(self._guarded(send), *refusal)
            return
        limit = self._body_bytes if scope["path"].startswith(_LARGE_BODIES) else SMALL_BODY
        await self._app(scope, _counted(receive, limit), self._guarded(send))

    def _guarded(self, send: Send) -> Send:
        ours = [*_ENCODED, (b"strict-transport-security", b"max-age=31536000")] if self._tls else _ENCODED

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in ours}
                kept = [(name, value) for name, value in message["headers"] if name.lower() not in names]
                message["headers"] = [*kept, *ours]
            await send(message)

        return guarded

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        if not self._rate.allows(network_of(scope.get("client"))):
            return 429, "Too many requests come from this address: wait, or raise requests_per_minute in clinic.toml."
        if len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(n) + len(v) for n, v in scope["headers"]) > HEAD_BYTES:
            return 431, "The head of a request may have at most 32 KiB."
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            return 400, "An address holds no NUL."
        if headers.get("host", "").lower() not in self._hosts:
            return 421, "This clinic has another name: use the address that `wardround clinic up` prints."
        if scope["method"] not in _METHODS:
            return 405, "GET and POST only."
        if scope["method"] == "POST":
            origin = headers.get("origin", "")
            ours = origin.partition("://")[2].lower() in self._hosts if origin else True
            if not ours or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
                return 403, "Another page asks for this."
        limit = self._body_bytes if scope["path"].startswith(_LARGE_BODIES) else SMALL_BODY
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            return 413, f"A request may have at most {limit >> 10} KiB here."
        return None


class TooLong(Exception):
    """A body without a stated length went beyond the limit. The application's handler answers 413."""


class TooSlow(Exception):
    """A body came more slowly than any network carries it. The application's handler answers 408."""


def _counted(receive: Receive, limit: int) -> Receive:
    """A body that comes in pieces is counted as it comes: nothing beyond the limit is taken in, and none is waited for without
    end."""
    taken, whole = 0, False
    began = time.monotonic()

    async def counted() -> Message:
        nonlocal taken, whole
        if whole:  # what is waited for now is that the other side goes
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), began + BODY_S + taken / BODY_RATE - time.monotonic())
        except TimeoutError:
            raise TooSlow from None
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if taken > limit:
                raise TooLong
        return message

    return counted


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
