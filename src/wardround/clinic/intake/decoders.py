"""The pool of decoders: each file goes to one of a few processes; one that takes too long, dies or grows is replaced.

A file that ends a decoder is refused in words, and the next file finds a fresh process.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np

from wardround.clinic.intake.decoder import LENGTH, received
from wardround.clinic.intake.film import Film, Shown, Warned
from wardround.clinic.intake.limits import Limits
from wardround.study.contract import DataContract
from wardround.values.cores import usable_cores
from wardround.values.errors import DataError, RunError

_FILMS_EACH = 2000
"""Then a decoder is replaced: whatever a library leaks goes with it."""
_MOST_WAITING = 256
_LOOK_S = 0.1
_IDLE_S = 60.0


class Decoders:
    """Decodes files in processes of their own: one waits always, more are started while files wait and end when they are idle.

    key: of this clinic's pseudonyms. processes: at most so many.
    """

    def __init__(self, key: bytes, limits: Limits | None = None, *, processes: int | None = None) -> None:
        self.limits = limits or Limits()
        self._key = key.hex()
        count = processes or min(4, usable_cores())
        self._free: queue.LifoQueue[_Decoder] = queue.LifoQueue()
        self._all: list[_Decoder] = []
        self._free.put(self._started())
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="clinic-intake")
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)
        self._ends = threading.Event()
        self._watch = threading.Thread(target=self._watched, name="clinic-intake-watch", daemon=True)
        self._watch.start()

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes. Files that wait get no answer."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._ends.set()
        self._watch.join()
        for decoder in self._all:
            decoder.end()

    def later(self, content: bytes, contract: DataContract, *, shown: bool) -> "Future[Film]":
        """The film in a file's bytes, when it is done. Its exception is DataError where the file is refused."""
        if not self._waiting.acquire(blocking=False):
            raise RunError("Too many files wait to be read", hint="send this one again in a few seconds")
        future = self._threads.submit(self._decoded, content, contract, shown)
        future.add_done_callback(lambda _: self._waiting.release())
        return future

    def film(self, content: bytes, contract: DataContract, *, shown: bool) -> Film:
        """As `later`, and waits."""
        return self.later(content, contract, shown=shown).result()

    def _decoded(self, content: bytes, contract: DataContract, shown: bool) -> Film:
        if len(content) > self.limits.content_bytes:
            raise DataError(
                "The file is too large", expected=f"at most {self.limits.content_bytes >> 20} MiB", hint="export it smaller"
            )
        request = {"contract": _text_of(contract), "shown": shown, "limits": asdict(self.limits), "key": self._key}
        try:
            decoder = self._free.get_nowait()
        except queue.Empty:  # there are as many threads as there may be decoders
            decoder = self._started()
        try:
            return decoder.film(json.dumps(request).encode(), content)
        finally:
            self._free.put(decoder)

    def _started(self) -> "_Decoder":
        decoder = _Decoder(self.limits)
        self._all.append(decoder)
        return decoder

    def _watched(self) -> None:
        """Ends a decoder whose time is up; and all but one of those that have been idle for long."""
        while not self._ends.wait(_LOOK_S):
            now = time.monotonic()
            for decoder in list(self._all):
                decoder.kill_if_late(now)
            self._end_idle(now)

    def _end_idle(self, now: float) -> None:
        if len(self._all) < 2:
            return
        try:
            decoder = self._free.get_nowait()
        except queue.Empty:
            return
        if len(self._all) > 1 and now - decoder.used > _IDLE_S:
            self._all.remove(decoder)
            decoder.end()
        else:
            self._free.put(decoder)


_texts: dict[int, tuple[DataContract, str]] = {}


def _text_of(contract: DataContract) -> str:
    """The contract as JSON, worked out once for the models in service."""
    kept = _texts.get(id(contract))
    if kept is None or kept[0] is not contract:
        if len(_texts) > 16:
            _texts.clear()
        kept = _texts[id(contract)] = (contract, contract.model_dump_json())
    return kept[1]


class _Decoder:
    """One process, used by one thread at a time. used: when it last had a file. deadline: of the file that it has; 0 of none."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._films = limits, 0
        self.used, self.deadline = time.monotonic(), 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def kill_if_late(self, now: float) -> None:
        """Called by another thread: the one that waits for the reply then finds the pipe closed."""
        process = self._process
        if 0.0 < self.deadline < now and process is not None:
            process.kill()

    def film(self, request: bytes, content: bytes) -> Film:
        if self._process is None or self._process.poll() is not None or self._films >= _FILMS_EACH:
            self.end()
            self._start()
        self._films += 1
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        self.used = time.monotonic()
        self.deadline = self.used + self._limits.decode_s
        try:
            self._await_ready(process.stdout)
            for part in (request, content):
                process.stdin.write(LENGTH.pack(len(part)))
                process.stdin.write(part)
            process.stdin.flush()
            parts: list[bytes | None] = [received(process.stdout) for _ in range(3)]
        except (BrokenPipeError, OSError, ValueError):
            parts = [None]
        finally:
            self.deadline = 0.0
        head, *arrays = parts
        if head is None or any(array is None for array in arrays):
            self.end()
            self._start()
            raise DataError(
                "The file could not be read within its limits of time and memory", hint="export it again, smaller or uncompressed"
            )
        return _film(json.loads(head), arrays)

    def _start(self) -> None:
        self._films, self._ready = 0, False
        command = [sys.executable, "-B", "-m", "wardround.clinic.intake.decoder", str(self._limits.memory_bytes)]
        kept = ("PATH", "PYTHONPATH", "LANG", "SYSTEMROOT", "VIRTUAL_ENV", "HOME", "TMPDIR")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )

    def _await_ready(self, source: Any) -> None:
        if not self._ready:
            self._ready = all(received(source) is not None for _ in range(3))
            if not self._ready:
                raise OSError("the decoder did not start")

    def end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue
        process.wait()


def _film(head: dict[str, Any], arrays: list[bytes | None]) -> Film:
    if "error" in head:
        raise DataError(head["error"]["what"], **{name: head["error"][name] for name in ("expected", "found", "hint")})
    told = head["film"]
    kind, shape = told["prepared"]
    prepared = np.frombuffer(arrays[0] or b"", np.dtype(kind)).reshape(shape)
    shown = None
    if told["shown"] is not None:
        size, window, inverted, reduced = told["shown"]
        pixels = np.frombuffer(arrays[1] or b"", np.uint16).reshape(size)
        shown = Shown(pixels, (window[0], window[1]), inverted, reduced)
    warnings = tuple(Warned(*warned) for warned in told["warnings"])
    return Film(prepared, shown, warnings, told["patient"], told["study"], told["identity"], told["facts"])
