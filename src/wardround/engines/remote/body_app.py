"""The hub's web application for bodies: `GET` and `PUT /bodies/HASH` (docs/spec/network.md, section 7).

    ticket right? --> GET: 200 or 206, from the byte that was asked for
                      PUT: 201 whole and right, 202 more is awaited, 409 go on at the byte in `wardround-received`, 422 wrong hash
    403 no ticket of a site of the roster    404 no such body    413 too long or no length    429 too many    507 disk full

A body is read and written in pieces; the disk is waited for beside the event loop.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, BinaryIO

from wardround.engines.remote import tickets
from wardround.engines.remote.body_store import HASH, BodyStore, Upload
from wardround.values.errors import RefusedError, WireError
from wardround.wire.sealed import KeyCard

PREFIX = "/bodies/"
RECEIVED = b"wardround-received"
_PIECE = 1 << 18
_RANGE = re.compile(r"bytes=(\d{1,19})-")
_CONTENT_RANGE = re.compile(r"bytes (?:\*|(\d{1,19})-(\d{1,19}))/(\d{1,19})")
Scope = Mapping[str, Any]
Receive = Callable[[], Any]
Send = Callable[[Any], Any]


class BodyApp:
    """An ASGI application. senders: key cards of the confirmed sites at this moment. disk_full: hears of a disk that refused."""

    def __init__(
        self, store: BodyStore, senders: Callable[[], Mapping[str, KeyCard]], disk_full: Callable[[str], None] = lambda _: None
    ) -> None:
        self._store, self._senders, self._disk_full = store, senders, disk_full
        self._refused_by_disk_times = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        sha256 = scope["path"].removeprefix(PREFIX)
        if scope["method"] not in ("GET", "PUT") or not HASH.fullmatch(sha256):
            return await answer(send, 404)
        try:
            ticket = tickets.read(headers.get(tickets.HEADER.encode(), ""), self._senders(), now_ms=time.time_ns() // 1_000_000)
        except WireError:
            return await answer(send, 403)
        if (ticket.method, ticket.sha256) != (scope["method"], sha256):
            return await answer(send, 403)
        if ticket.method == "GET":
            return await self._get(ticket, headers, send)
        return await self._put(ticket, headers, receive, send)

    async def _get(self, ticket: tickets.Ticket, headers: Mapping[bytes, str], send: Send) -> None:
        file = self._store.sent(ticket.sha256)
        if file is None:
            return await answer(send, 404)
        with closing(file):
            size = file.seek(0, 2)
            match = _RANGE.fullmatch(headers.get(b"range", ""))
            start = int(match[1]) if match else 0
            if start > size:
                return await answer(send, 416)
            head = [(b"content-length", str(size - start).encode())]
            if match:
                head.append((b"content-range", f"bytes {start}-{size - 1}/{size}".encode()))
            await send({"type": "http.response.start", "status": 206 if match else 200, "headers": head})
            return await _send_file(file, start, size, send)

    async def _put(self, ticket: tickets.Ticket, headers: Mapping[bytes, str], receive: Receive, send: Send) -> None:
        length = _number(headers.get(b"content-length", ""))
        match = _CONTENT_RANGE.fullmatch(headers.get(b"content-range", f"bytes 0-{ticket.size - 1}/{ticket.size}"))
        if length is None or match is None or length > ticket.size or int(match[3]) != ticket.size:
            return await answer(send, 413)
        try:
            upload = await asyncio.to_thread(self._store.upload, ticket.name, ticket.sha256, ticket.size)
        except RefusedError as error:
            return await answer(send, 503 if error.code == "busy" else 429)
        except OSError as error:
            return await self._refused_by_disk(send, error)
        with closing(upload):
            if match[1] is None or upload.whole:  # a question
                return await answer(send, 201 if upload.whole else 409, _received(upload))
            if int(match[1]) != upload.received or int(match[2]) - int(match[1]) + 1 != length:
                return await answer(send, 409, _received(upload))
            return await self._take_in(upload, length, receive, send)

    async def _take_in(self, upload: Upload, length: int, receive: Receive, send: Send) -> None:
        try:
            if not await _written(upload, length, receive):
                return None  # the line broke: what came is there, and the site goes on from it
            await asyncio.to_thread(upload.finish)
        except WireError:
            return await answer(send, 422)
        except OSError as error:
            upload.discard()
            return await self._refused_by_disk(send, error)
        return await answer(send, 201 if upload.whole else 202, _received(upload))

    async def _refused_by_disk(self, send: Send, error: OSError) -> None:
        """The first, second, fourth, eighth ... is said: a site that insists would fill the rest of the disk with sentences."""
        self._refused_by_disk_times += 1
        if self._refused_by_disk_times & (self._refused_by_disk_times - 1) == 0:
            await asyncio.to_thread(self._disk_full, error.strerror or type(error).__name__)
        await answer(send, 507)


async def answer(send: Send, status: int, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """A status and nothing else. What was not read of a refused request is not waited for: the line is closed."""
    closes = ((b"connection", b"close"),) if status >= 400 and status != 409 else ()
    head = [(b"content-length", b"0"), *closes, *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b""})


async def _send_file(file: BinaryIO, start: int, size: int, send: Send) -> None:
    file.seek(start)
    left = size - start
    while left:
        piece = await asyncio.to_thread(file.read, min(_PIECE, left))
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
    if size == start:
        await send({"type": "http.response.body", "body": b""})


async def _written(upload: Upload, length: int, receive: Receive) -> bool:
    """Whether all of the request came. What came is in the upload in any case."""
    waiting: list[bytes] = []
    bytes_waiting = 0
    more = True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            await asyncio.to_thread(upload.write, b"".join(waiting))
            return False
        waiting.append(event.get("body", b""))
        bytes_waiting += len(waiting[-1])
        more = event.get("more_body", False)
        if bytes_waiting >= _PIECE or not more:
            data, waiting, bytes_waiting = b"".join(waiting), [], 0
            length -= len(data)
            await asyncio.to_thread(upload.write, data)
    return length == 0


def _received(upload: Upload) -> tuple[tuple[bytes, bytes], ...]:
    return ((RECEIVED, str(upload.received).encode()),)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,19}", text) else None
