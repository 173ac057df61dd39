"""One site's work for 2, 8 and 31 neighbours: Wardround's masks against Flower's SecAgg+.

Each contender has a process of its own for each number of neighbours and each of three interleaved turns. Memory is that of the
first work in the process, time of those after it; ours takes some hundredths of a second and is repeated OFTEN times as often,
since two threads need a while until the system runs them on two cores.

    speedup_vs_flower       wall time, Wardround on two threads: what a hospital waits for. Flower's client code works on one, and
                            has no setting for more; so on a machine with one core to spare this gain is not there
    speedup_vs_flower_cpu   CPU time, both on one thread: what the work costs, whatever the machine
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

sys.path.append(str(Path(__file__).resolve().parents[2] / "engine"))  # fresh environments are made there

from simulators.environments import make_environment, versions

NEIGHBOURS = (2, 8, 31)
PACKAGES = ("flwr==1.41.0",)
Contender = tuple[Path, str, tuple[int, ...]]
"""An interpreter, a module, and what it is told besides the numbers that all get."""
HERE = Path(__file__).resolve().parent.parent
TURNS = 3
OFTEN = 8
FLOWER, ONE, TWO = "flower", "wardround", "two threads"


@dataclass(frozen=True)
class Measured:
    """cpu_s, wall_s: of one site's work, every time. extra_mib: the rise of the process's peak, every turn."""

    cpu_s: Sequence[float]
    wall_s: Sequence[float]
    extra_mib: Sequence[float]
    bytes_out: int

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpu_s)

    @property
    def wall(self) -> float:
        return statistics.median(self.wall_s)

    @property
    def memory(self) -> float:
        return statistics.median(self.extra_mib)


def compare(dimension: int, repeats: int, folder: Path) -> dict[str, float]:
    """The worst of the three numbers of neighbours, each figure for itself."""
    contenders: dict[str, Contender] = {
        FLOWER: (make_environment(folder / "env-flower-1.41", PACKAGES), "masking.flower_site", ()),
        ONE: (Path(sys.executable), "masking.wardround_site", (1,)),
        TWO: (Path(sys.executable), "masking.wardround_site", (2,)),
    }
    print(f"\nagainst Flower's SecAgg+ ({versions(contenders[FLOWER][0], ('flwr', 'numpy'))}), one site, {dimension:,} values")
    print(f"  {'neighbours':>10} {'contender':11} {'CPU s':>7} {'spread':>16} {'wall s':>7} {'MB out':>7} {'extra MiB':>9}")
    ratios_by_neighbours = [_ratios(_measure(contenders, dimension, neighbours, repeats)) for neighbours in NEIGHBOURS]
    return {
        "speedup_vs_flower": min(ratios["wall"] for ratios in ratios_by_neighbours),
        "speedup_vs_flower_cpu": min(ratios["cpu"] for ratios in ratios_by_neighbours),
        "bytes_vs_flower": max(ratios["bytes"] for ratios in ratios_by_neighbours),
        "memory_vs_flower": max(ratios["memory"] for ratios in ratios_by_neighbours),
    }


def _measure(contenders: Mapping[str, Contender], dimension: int, neighbours: int, repeats: int) -> dict[str, Measured]:
    each = -(-repeats // TURNS)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(TURNS):
        for name, (python, module, extra) in contenders.items():
            times = each if name == FLOWER else OFTEN * each
            runs[name].append(_run(python, module, (dimension, neighbours, times, *extra)))
    measured = {name: _together(figures) for name, figures in runs.items()}
    for name, figures in measured.items():
        spread = f"{min(figures.cpu_s):.3f} to {max(figures.cpu_s):.3f}"
        row = f"  {neighbours:10} {name:11} {figures.cpu:7.3f} {spread:>16} {figures.wall:7.3f} {figures.bytes_out / 1e6:7.1f}"
        print(f"{row} {figures.memory:9.0f}", flush=True)
    return measured


def _run(python: Path, module: str, numbers: Sequence[int]) -> dict[str, Any]:
    own = os.environ.get("PYTHONPATH", "") if python == Path(sys.executable) else ""
    path = os.pathsep.join(filter(None, [str(HERE), own]))
    environment = {**os.environ, "PYTHONPATH": path, "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    command = [str(python), "-m", module, *map(str, numbers)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    measurement: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measurement


def _together(runs: Sequence[Mapping[str, Any]]) -> Measured:
    cpu_s, wall_s = ([second for run in runs for second in run[which]] for which in ("cpu_s", "wall_s"))
    return Measured(cpu_s, wall_s, [run["extra_mib"] for run in runs], runs[0]["bytes"])


def _ratios(runs: Mapping[str, Measured]) -> dict[str, float]:
    ours, theirs = runs[ONE], runs[FLOWER]
    return {
        "cpu": theirs.cpu / ours.cpu,
        "wall": theirs.wall / runs[TWO].wall,
        "bytes": ours.bytes_out / theirs.bytes_out,
        "memory": max(ours.memory, runs[TWO].memory) / theirs.memory,
    }
