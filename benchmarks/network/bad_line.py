"""A line that turns bad when it is told to: every hospital's connection to the hub goes through it.

    site --> BadLine: 127.0.0.2:PORT --good | cut | slow | silent--> hub: 127.0.0.1:PORT

cut: what is open breaks in the middle of whatever it carries, and what is new is refused. slow: every piece waits, and little
comes a second. silent: connections stay open and nothing passes, as behind a router that forgot them. What was under way is lost,
late or sent twice then; TCP itself loses nothing that either end sees, so packets are not dropped here.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Literal

State = Literal["good", "cut", "slow", "silent"]
_PIECE = 1 << 14
_SLOW_DELAY_S, _SLOW_BYTES_A_SECOND = 0.15, 100_000


class BadLine:
    """Listens from its construction until `close`."""

    def __init__(self, host: str, upstream: str, port: int) -> None:
        self._upstream, self._port = upstream, port
        self._state: State = "good"
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self._carry, host, port), self._loop).result()

    def turn(self, state: State) -> None:
        """From now on the line is so."""
        self._loop.call_soon_threadsafe(self._turned, state)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _turned(self, state: State) -> None:
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()
        if state == "cut":
            for writer in self._open.copy():
                writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._state == "cut":
            writer.transport.abort()
            return
        try:
            hub_reader, hub_writer = await asyncio.open_connection(self._upstream, self._port)
        except OSError:  # the hub was killed
            writer.transport.abort()
            return
        both = {writer, hub_writer}
        self._open |= both
        try:
            await asyncio.gather(self._pump(reader, hub_writer), self._pump(hub_reader, writer))
        finally:
            self._open -= both
            for one in both:
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction. Where it ends both do: HTTP closes a line as a whole."""
        with suppress(OSError):
            while data := await reader.read(_PIECE):
                if self._state == "slow":
                    await asyncio.sleep(_SLOW_DELAY_S + len(data) / _SLOW_BYTES_A_SECOND)
                while self._state == "silent":
                    await self._changed.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
