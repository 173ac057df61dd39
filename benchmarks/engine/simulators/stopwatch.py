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
    """`seconds` of wall time; the rest is over all processes of the command, sampled four times a second (0 without /proc).

    cpu_s: processor time, low by up to a quarter of a second for each process. peak_mib: largest sum of memory, shared
    pages counted once.
    """

    seconds: float
    cpu_s: float
    peak_mib: float


def timed(command: Sequence[str], folder: Path, variables: Mapping[str, str], limit_s: float = 1800) -> Timed:
    """Run to the end in `folder`, output in stdout.txt and stderr.txt there; RuntimeError with their tail if it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = uuid.uuid4().hex
    # A registry of its own: a benchmark must leave no models among the user's.
    environment = {**os.environ, "WARDROUND_HOME": str(folder / "home"), **variables, _MARKER: marker}
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
    return Timed(seconds, watch.cpu_s, watch.peak_bytes / 2**20)


class _Watch:
    """Samples the memory and the processor time of the marked processes in a thread."""

    def __init__(self, marker: str) -> None:
        self.peak_bytes = 0
        self._cpu_s: dict[int, float] = {}
        self._marker = marker
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def cpu_s(self) -> float:
        return sum(self._cpu_s.values())

    def _sample(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            processes = _processes(self._marker)
            self.peak_bytes = max(self.peak_bytes, sum(map(_proportional_bytes, processes)))
            for process in processes:
                self._cpu_s[process] = max(_processor_s(process), self._cpu_s.get(process, 0.0))


def _processes(marker: str) -> list[int]:
    variable = f"{_MARKER}={marker}".encode()
    process_ids = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(*_GONE):
            if variable in (entry / "environ").read_bytes().split(b"\0"):
                process_ids.append(int(entry.name))
    return process_ids


def _proportional_bytes(process: int) -> int:
    """Pss: private pages, and each shared page divided by those who share it."""
    with suppress(*_GONE):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _processor_s(process: int) -> float:
    """User and system time so far: the 14th and 15th field of stat, whose second may hold spaces."""
    with suppress(*_GONE):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _tail(folder: Path) -> str:
    parts = [(folder / name).read_text(errors="replace")[-2000:] for name in ("stdout.txt", "stderr.txt")]
    return "\n".join(parts)
