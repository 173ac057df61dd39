"""Sites in processes of their own: length-prefixed messages over the child's stdin and stdout.

    coordinator --8-byte length, bytes--> child: Site.handle --8-byte length, bytes--> coordinator

A child that dies is a lost site; it is started again for the next order, and goes on from its folder. A child whose parent dies
ends at once, so that a killed run leaves nothing behind that still writes.
"""

import json
import os
import queue
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from wardround.engines.seat import Seat
from wardround.engines.turns import turns
from wardround.values.cores import usable_cores
from wardround.values.ids import SiteId, site_id

_LENGTH = struct.Struct(">Q")
_STOP_WAIT_S = 10.0


def write_frame(stream: IO[bytes], data: bytes) -> None:
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next message, or None where the other end is gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    data = stream.read(size)
    return data if len(data) == size else None


class Worker:
    """One site's process, and a thread that waits for its answers."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, message: bytes, answer: Callable[[bytes | None], None]) -> None:
        """Send `message` and, from another thread, call `answer` with the reply, or None where the process died."""
        threading.Thread(target=lambda: answer(self._ask(message)), daemon=True).start()

    def _ask(self, message: bytes) -> bytes | None:
        process = self._started()
        try:
            write_frame(_pipe(process.stdin), message)
            return read_frame(_pipe(process.stdout))
        except OSError:  # the child died with our bytes unread: the same as no answer
            return None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.stop()  # it died: its pipes must be closed too
        if self._process is None:
            command = [sys.executable, "-m", "wardround.engines.worker"]
            # The child's own torch threads are set by the site; without this, OpenMP's idle threads spin on a busy machine.
            environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
            write_frame(_pipe(self._process.stdin), json.dumps(self._seat.to_json()).encode())
        return self._process

    def warm_up(self) -> None:
        """Start the process now, so that it loads while the coordinator prepares."""
        self._started()

    def stop(self, *, kill: bool = False) -> None:
        if self._process is None:
            return
        if kill:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not (kill and stream.closed):
                _close_quietly(stream)
        try:
            self._process.wait(_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class WorkerPool:
    """One worker a site; at most `at_once` answer at a time."""

    def __init__(self, seats: Sequence[Seat], at_once: int) -> None:
        self._workers = {site_id(seat.name): Worker(seat) for seat in seats}
        self._at_once = at_once
        self._seconds: dict[SiteId, float] = {}
        for worker in self._workers.values():
            worker.warm_up()

    @property
    def sites(self) -> tuple[SiteId, ...]:
        return tuple(sorted(self._workers))

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None
    ) -> dict[SiteId, bytes]:
        waiting, at_once = turns(tuple(outbox), self._seconds, usable_cores(), self._at_once)
        running: dict[SiteId, float] = {}
        done: queue.SimpleQueue[tuple[SiteId, bytes | None]] = queue.SimpleQueue()
        answers: dict[SiteId, bytes] = {}
        while waiting or running:
            while waiting and len(running) < at_once:
                site = waiting.pop(0)
                running[site] = time.monotonic() + deadline_s
                self._workers[site].ask(outbox[site], lambda data, site=site: done.put((site, data)))  # type: ignore[misc]
            try:
                site, data = done.get(timeout=max(0.0, min(running.values()) - time.monotonic()))
            except queue.Empty:
                self._drop_the_late(running)
                continue
            until = running.pop(site, None)
            if until is not None and data is not None:
                self._seconds[site] = time.monotonic() - (until - deadline_s)
                answers[site] = data
                if arrived:
                    arrived(site)
        return answers

    def _drop_the_late(self, running: dict[SiteId, float]) -> None:
        now = time.monotonic()
        for site in [site for site, until in running.items() if until <= now]:
            running.pop(site)
            self._workers[site].stop(kill=True)

    def close(self) -> None:
        for worker in self._workers.values():
            worker.stop()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise OSError("the child process has no pipe")
    return stream


def _close_quietly(stream: IO[Any]) -> None:
    try:
        stream.close()
    except OSError:
        return  # the child is gone; there was nothing left to flush
