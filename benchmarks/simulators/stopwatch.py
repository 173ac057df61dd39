"""Times a whole command from outside, its start and end included, with the peak memory of all its processes.

A command may start daemons that outlive it (a Ray cluster, Flower's SuperLink). All its processes are recognised by
a marker in their environment, and what is left of them is ended when the command is done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MARKER = "WARDROUND_BENCHMARK_RUN"
_INTERVAL_S = 0.25
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


@dataclass(frozen=True)
class Timed:
    """`seconds` of wall time; `peak_mib`: largest sum over all processes, shared pages counted once (0 without /proc)."""

    seconds: float
    peak_mib: float


def timed(command: Sequence[str], folder: Path, variables: Mapping[str, str], limit_s: float = 1800) -> Timed:
    """Run to the end in `folder`, output in stdout.txt and stderr.txt there; RuntimeError with their tail if it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = uuid.uuid4().hex
    environment = {**os.environ, **variables, _MARKER: marker}
    with (folder / "stdout.txt").open("w") as out, (folder / "stderr.txt").open("w") as err, _Watch(marker) as watch:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        try:
            code = process.wait(limit_s)
            seconds = time.perf_counter() - started
        finally:
            for left in _processes(marker):
                with suppress(*_GONE):
                    os.kill(left, signal.SIGKILL)
    if code != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {code}:\n{_tail(folder)}")
    return Timed(seconds, watch.peak_bytes / 2**20)


class _Watch:
    """Samples the memory of the marked processes in a thread."""

    def __init__(self, marker: str) -> None:
        self.peak_bytes = 0
        self._marker = marker
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self.peak_bytes = max(self.peak_bytes, sum(map(_proportional_bytes, _processes(self._marker))))


def _processes(marker: str) -> list[int]:
    wanted = f"{_MARKER}={marker}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(*_GONE):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _proportional_bytes(process: int) -> int:
    """Pss: private pages, and each shared page divided by those who share it."""
    with suppress(*_GONE):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _tail(folder: Path) -> str:
    parts = [(folder / name).read_text(errors="replace")[-2000:] for name in ("stdout.txt", "stderr.txt")]
    return "\n".join(parts)
