"""The only door from outside: which requests reach Flower, and which our own pages (docs/spec/network.md, section 9).

    request --path? key of a confirmed site? length stated?--> Flower's eight fleet paths | our own application | refused, unread

Flower's port would also let a stranger list nodes, register a key and start a run; nothing but these paths passes here.
"""

import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from wardround.values.ids import SiteId

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FLEET = frozenset(
    f"/v1/fleet/{name}"
    for name in (
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "push-object",
        "pull-object",
        "confirm-message-received",
    )
)
BODY_LIMIT = 2 << 20
_OWN = ("/enrol", "/bodies/")
_KEY = b"flwr-public-key"
_LONGEST_KEY = 1024
Logins = Callable[[], Mapping[SiteId, bytes]]


class Gate:
    """An ASGI application in front of Flower's. logins: login keys (PEM) of the confirmed sites, as they are now. own: answers
    /enrol and /bodies; None refuses them."""

    def __init__(self, flower: App, logins: Logins, own: App | None) -> None:
        self._flower, self._logins, self._own = flower, logins, own
        self.seen: dict[SiteId, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # neither web sockets nor lifespan
        if self._own is not None and scope["path"].startswith(_OWN):
            await self._own(scope, receive, send)
            return
        status = self._refusal(scope)
        if status:
            await refuse(send, status)
        else:
            await self._flower(scope, receive, send)

    def _refusal(self, scope: Scope) -> int:
        """The status code that refuses a request before its body; 0 where it may pass."""
        if scope["method"] != "POST" or scope["path"] not in FLEET:
            return 404
        headers = dict(scope["headers"])
        site = self._site_of(headers)
        if site is None:
            return 401
        length = headers.get(b"content-length", b"")
        if b"transfer-encoding" in headers or not length.isdigit() or int(length) > BODY_LIMIT:
            return 413
        self.seen[site] = time.time()
        return 0

    def _site_of(self, headers: Mapping[bytes, bytes]) -> SiteId | None:
        """Whose login key a request names. That it also holds the key, Flower checks by its signature."""
        value = headers.get(_KEY, b"")
        if not value or len(value) > _LONGEST_KEY:
            return None
        try:
            key = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
        return next((site for site, login in self._logins().items() if login.strip() == key.strip()), None)


async def refuse(send: Send, status: int) -> None:
    """No word of why: whoever has no business here learns nothing."""
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
