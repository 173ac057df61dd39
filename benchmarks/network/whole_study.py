"""What a whole masked study with a large model takes of memory: a hub and three hospitals, each a process, over TLS and Flower.

    python benchmarks/network/whole_study.py                  a model of 41 MB: six layers of 1,300 by 1,300 numbers
    python benchmarks/network/whole_study.py --layers 7 --width 1900      of 101 MB

The last line is JSON: `model_mb`; `hub_start_mb`, resident memory when the study is handed in; `hub_peak_mb` and `site_peak_mb`,
the high-water marks of the hub's process and of the largest hospital's; `torch_peak_mb` of the process beside the hub that works
out the first model and the artifacts; `hub_peak_over_payload`, the hub's peak less 200 MB over the model; `hub_cpu_s`, processor
seconds of the hub's process; `seconds`; `finished`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from chaos import STUDY
from federation import Federation
from last_line import last_line

NAMES = ("ada", "ben", "cem")
SPARE_MB = 200.0
TIMEOUT_S = 3600.0


def memory_mb(process: int, kind: str) -> float:
    """VmRSS or VmHWM of a process; 0 where it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(kind):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def processor_s(process: int) -> float:
    """What a process has taken so far, of user and system time."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def children(process: int) -> list[int]:
    with suppress(OSError):
        return [int(one) for path in Path(f"/proc/{process}/task").glob("*/children") for one in path.read_text().split()]
    return []


class Watch:
    """The largest high-water mark of a process's children, looked at all the time."""

    def __init__(self, process: int) -> None:
        self.peak_mb = 0.0
        self._process, self._stop = process, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            self.peak_mb = max([self.peak_mb, *(memory_mb(child, "VmHWM") for child in children(self._process))])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--width", type=int, default=1300)
    asked.add_argument("--layers", type=int, default=6, help="layers of width times width numbers")
    asked.add_argument("--rounds", type=int, default=2)
    chosen = asked.parse_args()
    hidden = ", ".join([str(chosen.width)] * (chosen.layers + 1))
    folder = Path(tempfile.mkdtemp(prefix="wardround-whole-study-"))
    federation = Federation(folder, NAMES)
    try:
        federation.begin()
        hub = federation.processes["hub"].pid
        text = STUDY.replace("NUMBER", "1").replace("ROUNDS", str(chosen.rounds)).replace("hidden = [4]", f"hidden = [{hidden}]")
        (study_file := folder / "study.toml").write_text(text)
        start_mb, began = memory_mb(hub, "VmRSS"), time.monotonic()
        with Watch(hub) as watch:
            study = federation.submit(study_file)
            federation.approve(study)
            phase = federation.wait(study, TIMEOUT_S)
        hub_peak_mb, hub_cpu_s = memory_mb(hub, "VmHWM"), processor_s(hub)
        site_peak_mb = max(memory_mb(federation.processes[name].pid, "VmHWM") for name in NAMES)
    finally:
        federation.close()
    model_mb = (4 * chosen.width + chosen.layers * (chosen.width + 1) * chosen.width + chosen.width + 1) * 4 / 1e6
    figures = {
        "model_mb": model_mb,
        "hub_start_mb": start_mb,
        "hub_peak_mb": hub_peak_mb,
        "site_peak_mb": site_peak_mb,
        "torch_peak_mb": watch.peak_mb,
        "hub_peak_over_payload": (hub_peak_mb - SPARE_MB) / model_mb,
        "hub_cpu_s": hub_cpu_s,
        "seconds": time.monotonic() - began,
        "finished": int(phase == "finished"),
    }
    print("\n".join(f"{name:24} {value:8.1f}" for name, value in figures.items()))
    print(last_line(figures, 1))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
