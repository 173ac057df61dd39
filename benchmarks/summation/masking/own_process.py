"""What one piece of work costs the process that does it. Runs in every contender's environment: needs nothing but Python."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path


def report(work: Callable[[], int], repeats: int) -> None:
    """Prints one line of JSON: the CPU and the wall seconds of each of `repeats` times `work`, after one that is not timed; the
    bytes that it says would leave; how far the first raised the peak of memory above what was held before (MiB). That must not
    have had a higher peak of its own."""
    before = _memory_mib("VmRSS")
    leaving = work()
    peak = _memory_mib("VmHWM")  # not ru_maxrss: that of a child starts at its parent's
    times = [_timed(work) for _ in range(repeats)]
    cpu_s, wall_s = ([pair[which] for pair in times] for which in (0, 1))
    print(json.dumps({"cpu_s": cpu_s, "wall_s": wall_s, "bytes": leaving, "extra_mib": peak - before}))


def _timed(work: Callable[[], int]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _memory_mib(entry: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{entry}:")) / 1024
