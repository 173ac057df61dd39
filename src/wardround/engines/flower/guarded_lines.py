"""What a stranger may do on a line before a request of his has a head: little, and not for long.

    connection --every byte--> GuardedLine --> uvicorn's protocol --a whole head--> Gate

uvicorn's quick parser gathers lines of a head without a limit, and waits for the first request for ever. So bytes are counted,
and a clock runs, from the first byte of a head (or the connection) to its last.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

LONGEST_HEAD = 1 << 16
HEAD_S = 30.0
MOST_PLACES = 1 << 16


def guarded(inner: Callable[..., Any]) -> Callable[..., asyncio.Protocol]:
    """The same protocol of uvicorn, each line of it guarded."""
    return lambda *arguments, **settings: GuardedLine(inner(*arguments, **settings))


def with_all_places() -> None:
    """Takes as many open lines as this user may have, up to 65,536: systems begin with a thousand, which a stranger has taken in
    a minute."""
    if sys.platform != "win32":
        import resource

        now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wish = MOST_PLACES if most == resource.RLIM_INFINITY else min(most, MOST_PLACES)
        if now != resource.RLIM_INFINITY and now < wish:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wish, most))


class GuardedLine(asyncio.Protocol):
    """Hands everything to uvicorn's protocol for one line, and hangs up where a head is too long or too slow."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._transport: Any = None
        self._bytes = 0
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._start()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        before, in_body = self._inner.cycle, self._in_body()
        self._inner.data_received(data)
        if self._inner.cycle is not before:
            self._stop()
        elif not in_body:
            self._start()
            self._bytes += len(data)
            if self._bytes > LONGEST_HEAD:
                self._hang_up()

    def eof_received(self) -> Any:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _in_body(self) -> bool:
        """Whether what comes now belongs to a request whose head was read."""
        cycle = self._inner.cycle
        return cycle is not None and not cycle.response_complete and bool(cycle.more_body)

    def _start(self) -> None:
        if self._clock is None:
            self._clock = asyncio.get_running_loop().call_later(HEAD_S, self._hang_up)

    def _stop(self) -> None:
        self._bytes = 0
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _hang_up(self) -> None:
        self._transport.abort()
