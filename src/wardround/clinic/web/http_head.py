"""The HTTP parser: the quick one where it is installed, with the limit for a request's head that it lacks."""

import asyncio
from typing import Any, Literal

HEAD_BYTES = 32_768
"""A head that has not ended by then is no browser's: the connection is closed."""


def http_protocol() -> "type[asyncio.Protocol] | Literal['h11']":
    """httptools takes a third of the processor time of h11; h11 has a limit of its own."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "h11"

    class LimitedHead(HttpToolsProtocol):
        """Counts what comes before the end of a head."""

        in_head, head_bytes = False, 0

        def on_message_begin(self) -> None:
            self.in_head, self.head_bytes = True, 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self.in_head = False
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            went_on = self.in_head  # the piece in which a head begins may hold the body before it
            super().data_received(data)
            if went_on and self.in_head:
                self.head_bytes += len(data)
                if self.head_bytes > HEAD_BYTES:
                    transport: Any = self.transport
                    transport.close()

    return LimitedHead
