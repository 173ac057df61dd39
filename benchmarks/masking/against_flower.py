"""One site's work for 2, 8 and 31 neighbours: Wardround's masks against Flower's SecAgg+.

Each contender has a process of its own for each number of neighbours and each of three interleaved turns. Memory is that of the
first work in the process, time of those after it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.environments import make_environment, versions

NEIGHBOURS = (2, 8, 31)
PACKAGES = ("flwr==1.41.0",)
HERE = Path(__file__).resolve().parent.parent
TURNS = 3


@dataclass(frozen=True)
class Measured:
    """cpu_s: of one site's work, every time. extra_mib: the rise of the process's peak, every turn."""

    cpu_s: Sequence[float]
    extra_mib: Sequence[float]
    bytes_out: int

    @property
    def seconds(self) -> float:
        return statistics.median(self.cpu_s)

    @property
    def memory(self) -> float:
        return statistics.median(self.extra_mib)


def compare(dimension: int, repeats: int, folder: Path) -> dict[str, float]:
    """The worst of the three numbers of neighbours, each figure for itself."""
    contenders = {
        "flower": (make_environment(folder / "env-flower-1.41", PACKAGES), "masking.flower_site"),
        "wardround": (Path(sys.executable), "masking.wardround_site"),
    }
    print(f"\nagainst Flower's SecAgg+ ({versions(contenders['flower'][0], ('flwr', 'numpy'))}), one site, {dimension:,} values")
    print(f"  {'neighbours':>10} {'contender':10} {'CPU s':>7} {'spread':>16} {'MB out':>7} {'extra MiB':>9}")
    found = [_ratios(_measure(contenders, dimension, neighbours, repeats)) for neighbours in NEIGHBOURS]
    return {
        "speedup_vs_flower": min(ratios["speedup"] for ratios in found),
        "bytes_vs_flower": max(ratios["bytes"] for ratios in found),
        "memory_vs_flower": max(ratios["memory"] for ratios in found),
    }


def _measure(contenders: Mapping[str, tuple[Path, str]], dimension: int, neighbours: int, repeats: int) -> dict[str, Measured]:
    each = -(-repeats // TURNS)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(TURNS):
        for name, (python, module) in contenders.items():
            runs[name].append(_run(python, module, (dimension, neighbours, each)))
    measured = {name: _together(found) for name, found in runs.items()}
    for name, found in measured.items():
        spread = f"{min(found.cpu_s):.3f} to {max(found.cpu_s):.3f}"
        row = f"  {neighbours:10} {name:10} {found.seconds:7.3f} {spread:>16} {found.bytes_out / 1e6:7.1f}"
        print(f"{row} {found.memory:9.0f}", flush=True)
    return measured


def _run(python: Path, module: str, numbers: Sequence[int]) -> dict[str, Any]:
    own = os.environ.get("PYTHONPATH", "") if python == Path(sys.executable) else ""
    path = os.pathsep.join(filter(None, [str(HERE), own]))
    environment = {**os.environ, "PYTHONPATH": path, "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    command = [str(python), "-m", module, *map(str, numbers)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _together(runs: Sequence[Mapping[str, Any]]) -> Measured:
    seconds = [second for run in runs for second in run["cpu_s"]]
    return Measured(seconds, [run["extra_mib"] for run in runs], runs[0]["bytes"])


def _ratios(runs: Mapping[str, Measured]) -> dict[str, float]:
    ours, theirs = runs["wardround"], runs["flower"]
    return {
        "speedup": theirs.seconds / ours.seconds,
        "bytes": ours.bytes_out / theirs.bytes_out,
        "memory": ours.memory / theirs.memory,
    }
