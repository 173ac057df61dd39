"""A site's way to bodies at the hub: both ways in pieces, and a transfer that breaks goes on where it stopped.

    open(HASH, size).read(n)    a body as it comes, with nothing of it on this machine's disk
    put(SealedBody)             made anew from any byte on, so that it is held nowhere beside the answer itself

The address has the hub's host and port; only certificates of the hub's own authority are believed.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

import httpx

from wardround.engines.remote import tickets
from wardround.engines.remote.body_app import PREFIX, RECEIVED
from wardround.engines.remote.short_answers import at_most
from wardround.engines.remote.tickets import Method, Ticket
from wardround.values.errors import EngineError, WardroundError, WireError
from wardround.wire.sealed import Party, SealedBody

PATIENCE_S = 120.0
"""How long a transfer is tried that makes no progress."""
_LONGEST_PAUSE_S = 10.0
_LONGEST_ANSWER = 1 << 12
_HUBS_FAULT = "tell the hub's people; run the same release of Wardround on both sides"
Value = TypeVar("Value")


class BodyClient:
    """Bodies of one hub. address: host:port. ca_pem: certificates of the authorities that are believed. proxy: overrides
    HTTPS_PROXY."""

    def __init__(self, address: str, ca_pem: bytes, party: Party, *, proxy: str | None = None) -> None:
        context = tls_context(ca_pem)
        timeout = httpx.Timeout(30.0, connect=15.0)
        self._client = httpx.Client(base_url=f"https://{address}", verify=context, timeout=timeout, proxy=proxy)
        self._client.event_hooks = {"response": [_short_but_bodies]}
        self._party = party
        self._patience_s = PATIENCE_S

    def open(self, sha256: str, size: int) -> "BodyReader":
        """A body of the hub, read as a file is. WireError where the hub has none such, EngineError without a line."""
        return BodyReader(lambda start: self._get(sha256, size, start), size, self._patience_s)

    def put(self, body: SealedBody) -> None:
        """Returns when the hub has the whole body. EngineError where it does not take it, cannot be reached, or takes nothing
        more of it for a while."""
        most, until = 0, time.monotonic() + self._patience_s
        try:
            start = self._send(body, 0)
        except httpx.TransportError:
            start = 0
        while start is not None:
            if start > most:
                most, until = start, time.monotonic() + self._patience_s
            elif time.monotonic() > until:
                raise EngineError("The hub takes nothing more of a body", found=f"{most} of {body.size} bytes", hint=_HUBS_FAULT)
            start = _insist(lambda: self._go_on(body), self._patience_s)

    def close(self) -> None:
        self._client.close()

    def _get(self, sha256: str, size: int, start: int) -> httpx.Response:
        headers = {**self._ticket("GET", sha256, size), "accept-encoding": "identity"}
        if start:
            headers["range"] = f"bytes={start}-"
        request = self._client.build_request("GET", PREFIX + sha256, headers=headers)
        response = self._client.send(request, stream=True)
        if response.status_code != (206 if start else 200):
            response.close()
            raise _refusal(response.status_code)
        return response

    def _go_on(self, body: SealedBody) -> int | None:
        """Asks how much has come, and sends the rest."""
        headers = {**self._ticket("PUT", body.sha256, body.size), "content-range": f"bytes */{body.size}"}
        response = self._client.put(PREFIX + body.sha256, headers=headers, content=b"")
        start = _next_byte(response, body.size)
        return None if start is None else self._send(body, start)

    def _send(self, body: SealedBody, start: int) -> int | None:
        headers = {
            **self._ticket("PUT", body.sha256, body.size),
            "content-length": str(body.size - start),
            "content-range": f"bytes {start}-{body.size - 1}/{body.size}",
        }
        response = self._client.put(PREFIX + body.sha256, headers=headers, content=body.pieces(start))
        return _next_byte(response, body.size)

    def _ticket(self, method: Method, sha256: str, size: int) -> dict[str, str]:
        expires = time.time_ns() // 1_000_000 + tickets.LIFETIME_MS
        ticket = Ticket(self._party.name, method, sha256, size, expires)
        return {tickets.HEADER: tickets.written(ticket, self._party.identity)}


class BodyReader:
    """A body that comes over a line which may break. Closed after use."""

    def __init__(self, connect: Callable[[int], httpx.Response], size: int, patience_s: float) -> None:
        self._connect, self._size, self._patience_s = connect, size, patience_s
        self._position = 0
        self._rest = bytearray()
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer at the end only."""
        size = min(size, self._size - self._position)
        while len(self._rest) < size:
            self._rest += _insist(self._more, self._patience_s)
        data = bytes(self._rest[:size])
        del self._rest[:size]
        self._position += size
        return data

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def __enter__(self) -> "BodyReader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _more(self) -> bytes:
        try:
            if self._response is None:
                self._response = self._connect(self._position + len(self._rest))
                self._pieces = self._response.iter_raw()
            return next(self._pieces)
        except StopIteration as error:  # fewer bytes than were promised: a line that ended early
            self.close()
            raise httpx.ReadError("the body ended early") from error
        except httpx.HTTPError:
            self.close()
            raise


def _short_but_bodies(answer: httpx.Response) -> None:
    """What comes to a GET is read as a file is, and no further than its size."""
    if answer.request.method != "GET":
        at_most(_LONGEST_ANSWER)(answer)


def tls_context(ca_pem: bytes) -> ssl.SSLContext:
    """Believes these authorities and nobody else; TLS 1.2 or later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    return context


def _insist(attempt: Callable[[], Value], patience_s: float) -> Value:
    """The value of the first attempt that the line does not break. EngineError after `patience_s` seconds."""
    until, pause = time.monotonic() + patience_s, 0.05
    while True:
        try:
            return attempt()
        except httpx.TransportError as error:
            if time.monotonic() + pause > until:
                raise EngineError(
                    "A body could not be carried between this hospital and the hub",
                    found=f"{type(error).__name__}: {error}",
                    hint="look at the line with `wardround site status`; the hub asks again",
                ) from error
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def _next_byte(response: httpx.Response, size: int) -> int | None:
    """Where to go on; None where the hub has the whole body of so many bytes."""
    if response.status_code == 201:
        return None
    if response.status_code in (202, 409):
        text = response.headers.get(RECEIVED.decode(), "")
        if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= size):
            raise EngineError(
                "The hub does not say how much of a body has come", expected=f"0 to {size}", found=text[:40], hint=_HUBS_FAULT
            )
        return int(text)
    if response.status_code in (422, 503):  # damaged on the way, or an earlier request has not ended: begin again
        raise httpx.ReadError(f"the hub answered {response.status_code}")
    raise _refusal(response.status_code)


def _refusal(status: int) -> WardroundError:
    if status == 404:
        return WireError("The hub has the body of its message no more", hint="nothing: the hub asks again if it has to")
    words = {
        403: ("the hub does not take this hospital's signature", "compare the eight words with the hub's people again"),
        429: ("the hub has not taken what was sent before, or awaits nothing so long", "nothing: the hub asks again"),
        507: ("the hub's disk is full", "tell the hub's people"),
    }
    reason, mend = words.get(status, (f"the hub answered {status}", "run the same release of Wardround on both sides"))
    return EngineError("A body was not carried", found=reason, hint=mend)
