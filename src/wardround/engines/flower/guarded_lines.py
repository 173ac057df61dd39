"""What a stranger may do on a line before a request of his has a head: little, not for long, and not on many lines at once.

    connection --every byte--> GuardedLine --> uvicorn's protocol --a whole head--> Gate --a proved request--> GuardedLine.proved

uvicorn's quick parser gathers lines of a head without a limit, and waits for the first request for ever. So bytes are counted,
and a clock runs, from the first byte of a head (or the connection) to its last. Of one address only so many lines are open on
which nothing was proved yet: whoever opens more would take the places of all others.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from wardround.values.network_address import network_of

LONGEST_HEAD = 1 << 16
HEAD_S = 30.0
MOST_PLACES = 1 << 16
MOST_UNPROVED = 256
"""Lines of one address on which nothing was proved yet. A hundred hospitals behind one address begin with two or three each."""
_LINE = "wardround.line"


def guarded(inner: Callable[..., Any]) -> Callable[..., asyncio.Protocol]:
    """The same protocol of uvicorn, each line of it guarded. Lines of one call are counted together."""
    unproved: Counter[str] = Counter()
    return lambda *arguments, **settings: GuardedLine(inner(*arguments, **settings), unproved)


def prove_line(scope: Mapping[str, Any]) -> None:
    """A request on this line came from a site of the roster: the line is no stranger's any more."""
    line = scope.get("state", {}).get(_LINE)
    if isinstance(line, GuardedLine):
        line.prove()


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

    def __init__(self, inner: Any, unproved: Counter[str]) -> None:
        self._inner, self._unproved = inner, unproved
        self._network = ""
        self._transport: Any = None
        self._bytes = 0
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        network = network_of(transport.get_extra_info("peername"))
        if self._unproved[network] >= MOST_UNPROVED:
            self._inner = None
            self._hang_up()
            return
        self._network = network
        self._unproved[network] += 1
        self._inner.app_state = {**self._inner.app_state, _LINE: self}
        self._start()
        self._inner.connection_made(transport)

    def prove(self) -> None:
        """Counts this line no more as one of a stranger."""
        if self._network:
            self._unproved[self._network] -= 1
            if not self._unproved[self._network]:
                del self._unproved[self._network]
            self._network = ""

    def data_received(self, data: bytes) -> None:
        if self._inner is None:
            return
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
        return None if self._inner is None else self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self.prove()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
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
