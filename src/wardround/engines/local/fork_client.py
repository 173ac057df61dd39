"""The coordinator's side of the fork server, and of the children it forks."""

import itertools
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO

from wardround.engines.local.child import END_WAIT_S, REQUEST_BYTES, environment


def can_fork() -> bool:
    """Linux only: on macOS a fork after loading torch is unsafe, Windows has none."""
    return sys.platform == "linux"


class ForkServer:
    """A running fork_server; one that died is started again for the next child. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._begin()

    def _begin(self) -> None:
        # Packets, not a stream: one request is one receive, and its descriptor cannot come apart from it.
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "wardround.engines.local.fork_server"]
        with theirs:
            # stdout=2: what a library prints while it loads must not mix with the one object that `--json` prints.
            # Where the user's program has closed it, its number may be that of any file by now.
            screen = subprocess.DEVNULL if sys.stderr is None else 2
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=screen, stderr=screen, env=environment())

    def start(self) -> "ForkedChild":
        """Does not wait: messages written before the child is there lie in its socket."""
        ours, theirs = socket.socketpair()
        with self._lock, theirs:
            number = next(self._numbers)
            request = [b"start %d" % number]
            try:
                if self._process.poll() is not None:
                    raise ChildProcessError("the fork server has died")
                socket.send_fds(self._requests, request, [theirs.fileno()])
            except OSError:  # a process that is just dying does not show it yet, but its socket does
                self.close()
                self._begin()
                socket.send_fds(self._requests, request, [theirs.fileno()])
        return ForkedChild(self, number, ours)

    def end(self, number: int, grace_s: float) -> None:
        """Returns when that child is gone; a child of an earlier fork_server ends by itself, since its orders have."""
        with self._lock:
            try:
                self._requests.send(b"end %d %f" % (number, grace_s))
                self._requests.recv(REQUEST_BYTES)
            except OSError:
                return

    def close(self) -> None:
        """Ends it and every child it still has. Closing again does nothing."""
        self._requests.close()
        try:
            self._process.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class ForkedChild:
    def __init__(self, fork_server: ForkServer, number: int, link: socket.socket) -> None:
        self._fork_server, self._number, self._link = fork_server, number, link
        self._orders: IO[bytes] = link.makefile("wb")
        self._answers: IO[bytes] = link.makefile("rb")

    @property
    def orders(self) -> IO[bytes]:
        return self._orders

    @property
    def answers(self) -> IO[bytes]:
        return self._answers

    def has_ended(self) -> bool:
        """Between orders nothing comes from a child but the end of its socket."""
        try:
            return not self._link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def end(self, *, kill: bool = False) -> None:
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)  # ends its orders, and wakes a thread of ours that waits for its answer
        self._fork_server.end(self._number, 0.0 if kill else END_WAIT_S)
        for stream in (self._orders, self._answers, self._link):
            with suppress(OSError):  # it is gone; there was nothing left to flush
                stream.close()
