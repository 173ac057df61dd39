"""The HTTP parser, with the limits for a request's head that it lacks: how large it may be, and by when it must have ended."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 32_768
"""A head that has not ended by then is no browser's: the connection is closed."""
HEAD_S = 10.0
"""A connection that says less than a head for so long is closed, or a few hundred of them would keep everybody else out."""


class LimitedHead(HttpToolsProtocol):
    """Counts what comes before the end of a head, and how long that takes; also before the first byte of one."""

    in_head, head_bytes = False, 0
    deadline: "asyncio.TimerHandle | None" = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waits_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self.in_head, self.head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.in_head = False
        self._has_head()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        went_on = self.in_head  # the piece in which a head begins may hold the body before it
        super().data_received(data)
        if went_on and self.in_head:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES:
                self._close()
        # Also where the last request has its answer: a line of blanks, or what is left of its body, is no head.
        if self.in_head or self.cycle is None or self.cycle.response_complete:
            self._waits_for_head()

    def _waits_for_head(self) -> None:
        if self.deadline is None and not self.transport.is_closing():
            self.deadline = self.loop.call_later(HEAD_S, self._close)

    def _has_head(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _close(self) -> None:
        transport: Any = self.transport
        transport.close()
