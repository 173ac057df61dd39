"""A line between a site and the hub that breaks after so many bytes, and works when it is tried again."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_PIECE = 1 << 16


@dataclass
class BreakingLine:
    """Forwards TCP. budgets: bytes, both ways together, that each next connection carries; afterwards without end."""

    target: tuple[str, int]
    budgets: list[int] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self.target)
                self.connections += 1
                left = [self.budgets.pop(0) if self.budgets else 1 << 60]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(one, other, left), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket, left: list[int]) -> None:
        with suppress(OSError):
            while (data := one.recv(_PIECE)) and left[0] > 0:
                left[0] -= len(data)
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def breaking(target: tuple[str, int], *budgets: int) -> Iterator[BreakingLine]:
    line = BreakingLine(target, list(budgets))
    try:
        yield line
    finally:
        line.close()
