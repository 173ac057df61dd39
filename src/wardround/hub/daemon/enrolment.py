"""`POST /enrol` at the hub: what a stranger may say, and the one form of every refusal (docs/spec/network.md, 3.3 and 9.2).

    length stated and small -> few refusals of this address -> body -> Admission -> signed answer, or 403

An ASGI application that the gate calls. Nothing that a stranger sends raises, is kept, or makes the hub answer otherwise than
with one of these few texts.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from wardround.crypto.identity import Identity
from wardround.hub.daemon.admission import Admission
from wardround.hub.daemon.roster import Roster
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import ChainedLog
from wardround.values.errors import RefusedError, WardroundError, WireError
from wardround.values.network_address import TryCount, network_of
from wardround.wire.enrolment import PATH, REFUSED, REQUEST_LIMIT, EnrolmentAnswer, SignedEnrolment
from wardround.wire.sealed import HUB, KeyCard

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

REFUSALS_A_MINUTE = 5
LOGGED_A_MINUTE = 30
_BODY_S = 15.0
_MINUTE_S = 60.0


class RefusalLog:
    """Writes causes of refusals into the hub's log: at most 30 a minute, and then how many were not written."""

    def __init__(self, log: ChainedLog, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._times: deque[float] = deque(maxlen=LOGGED_A_MINUTE)
        self._unwritten = 0

    def add(self, cause: str, address: str, size: int) -> None:
        now = self._clock()
        if len(self._times) == LOGGED_A_MINUTE and self._times[0] > now - _MINUTE_S:
            self._unwritten += 1
            return
        self._times.append(now)
        self._log.append("enrolment-refused", cause, address=address, bytes=size, unwritten=self._unwritten)
        self._unwritten = 0


class EnrolmentDesk:
    """The application of `/enrol`.

    Parameters
    ----------
    roster : Roster
    identity : Identity
        The hub's, which signs the answers.
    sealing : str
        The hub's public sealing key.
    clock : callable, optional
        Seconds of a clock that only goes forward, for the limits.
    """

    def __init__(self, roster: Roster, identity: Identity, sealing: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._roster, self._identity = roster, identity
        self._admission = Admission(roster, KeyCard(HUB, identity.public, sealing))
        self._count, self._refusals = TryCount(REFUSALS_A_MINUTE, _MINUTE_S, clock), RefusalLog(roster.log, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != PATH:
            await _answer(send, 404, b"")
            return
        address = network_of(scope.get("client"))
        if self._count.is_full(address):
            await _answer(send, 429, b"", [(b"retry-after", b"60")])
            return
        size = _stated_length(scope["headers"])
        if size is None or size > REQUEST_LIMIT:
            self._count.add(address)
            await _answer(send, 411 if size is None else 413, b"")
            return
        data = await _body(receive, size)
        await _answer(send, *await asyncio.to_thread(self._said, data, address))

    def _said(self, data: bytes | None, address: str) -> tuple[int, bytes]:
        """Status code and body of the answer. Faults of the hub's own, such as a full disk, are 503: nothing was done then."""
        try:
            if data is None:
                return self._refused("The body of a request is not as long as it was stated, or comes too slowly", address, 0)
            return 200, self._entered(data)
        except (WireError, RefusedError) as error:
            return self._refused(str(error), address, len(data or b""))
        except (WardroundError, OSError):
            return 503, b""

    def _entered(self, data: bytes) -> bytes:
        entry = self._admission.entry(data)
        answer = EnrolmentAnswer(name=entry.name, request=sha256_hex(data), state=entry.state, time=self._roster.clock())
        return SignedEnrolment.by(self._identity, answer).to_bytes()

    def _refused(self, cause: str, address: str, size: int) -> tuple[int, bytes]:
        self._count.add(address)
        try:
            self._refusals.add(cause, address, size)
        except (WardroundError, OSError):
            return 503, b""
        return 403, REFUSED


async def _body(receive: Receive, size: int) -> bytes | None:
    """At most `size` bytes; None where the sender went away, took too long, or sent more or less than it stated."""
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            while True:
                event = await receive()
                if event["type"] != "http.request":
                    return None
                data += event.get("body", b"")
                if len(data) > size:
                    return None
                if not event.get("more_body", False):
                    return bytes(data) if len(data) == size else None
    except TimeoutError:
        return None


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    kind = [(b"content-type", b"application/json")] if body else []
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*kind, length, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})


def _stated_length(headers: list[tuple[bytes, bytes]]) -> int | None:
    """The one Content-Length, where there is exactly one and it is a number of few digits."""
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 12:
        return None
    return int(lengths[0])
