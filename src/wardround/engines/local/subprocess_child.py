"""A child that is an interpreter of its own, over its stdin and stdout. It loads torch for itself, and works on any system."""

import subprocess
import sys
from contextlib import suppress
from typing import IO

from wardround.engines.local.child import END_WAIT_S, environment


class SubprocessChild:
    def __init__(self) -> None:
        command = [sys.executable, "-m", "wardround.engines.local.worker"]
        screen = subprocess.DEVNULL if sys.stderr is None else None  # where it is closed, its number may be any file's by now
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=screen, env=environment())

    @property
    def orders(self) -> IO[bytes]:
        return _pipe(self._process.stdin)

    @property
    def answers(self) -> IO[bytes]:
        return _pipe(self._process.stdout)

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def end(self, *, kill: bool = False) -> None:
        if kill:
            self._process.kill()
        for stream in (self.orders, self.answers):
            with suppress(OSError):  # it is gone; there was nothing left to flush
                stream.close()
        try:
            self._process.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise OSError("the child process has no pipe")
    return stream
