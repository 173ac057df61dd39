"""What Wardround's engine costs: `wardround simulate` against a hand-written PyTorch loop of the same training.

    loop      one process: read the three files; each round train each hospital in turn, average, score the new model on
              every hospital's validation patients; at the end score the test patients. With torch's default threads, and
              with one thread.
    in order  wardround simulate --workers 0: the hospitals one after the other in one process
    parallel  wardround simulate --workers 2: hospitals side by side

Each is a whole command, timed from outside with its start, so that start-up counts equally; Wardround's includes
checking the data, the checkpoint of every round, the ONNX export and the report. The last columns compare the rounds alone:
the loop from its first step to its last score, Wardround by the seconds that the run record gives for its rounds.

    python benchmarks/engine/engine_overhead.py                     # about five minutes on two cores

Repeats are interleaved and medians are compared. The ratios in the last line are of whole commands; those of the rounds
alone end in `_rounds`. A speed-up above 1 means that Wardround is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from simulators.hospitals import BATCH, write_hospitals
from simulators.job import JOB_VARIABLE, Job
from simulators.network import network_width
from simulators.stopwatch import Timed, timed
from simulators.study import simulate_command

SEED = 7
HERE = Path(__file__).resolve().parent
LOOP, LOOP_1, IN_ORDER, PARALLEL = "loop, default threads", "loop, 1 thread", "wardround in order", "wardround parallel"


@dataclass(frozen=True)
class Measured:
    """One run: the whole command, and the seconds of its rounds alone."""

    whole: Timed
    rounds_s: float


def run_loop(job: Job, threads: int, folder: Path) -> Measured:
    folder.mkdir(parents=True)
    job = replace(job, out=str(folder / "out.json"), threads=threads, final_test=True)
    job.save(folder / "job.json")
    command = (sys.executable, "-m", "simulators.plain")
    taken = timed(command, folder, {"PYTHONPATH": str(HERE), JOB_VARIABLE: str(folder / "job.json")})
    return Measured(taken, json.loads((folder / "out.json").read_text())["training_seconds"])


def run_wardround(job: Job, workers: int, folder: Path) -> Measured:
    folder.mkdir(parents=True)
    taken = timed(simulate_command(Path(sys.executable), folder, job, workers), folder, {})
    record = json.loads((folder / "run" / "record.json").read_text())
    return Measured(taken, sum(entry["seconds"] for entry in record["rounds"]))


def measure(job: Job, workers: int, repeats: int, folder: Path) -> dict[str, list[Measured]]:
    runs: dict[str, list[Measured]] = {LOOP: [], LOOP_1: [], IN_ORDER: [], PARALLEL: []}
    for repeat in range(repeats):
        repeat_folder = folder / f"repeat-{repeat}"
        runs[LOOP].append(run_loop(job, 0, repeat_folder / "loop"))
        runs[IN_ORDER].append(run_wardround(job, 0, repeat_folder / "in-order"))
        runs[LOOP_1].append(run_loop(job, 1, repeat_folder / "loop-1"))
        runs[PARALLEL].append(run_wardround(job, workers, repeat_folder / "parallel"))
        print(f"  {repeat + 1}/{repeats} " + ", ".join(f"{n} {r[-1].whole.seconds:.1f} s" for n, r in runs.items()), flush=True)
    return runs


def ratios(runs: Mapping[str, Sequence[Measured]]) -> dict[str, float]:
    whole = {name: statistics.median(run.whole.seconds for run in each) for name, each in runs.items()}
    rounds = {name: statistics.median(run.rounds_s for run in each) for name, each in runs.items()}
    peak = {name: statistics.median(run.whole.peak_mib for run in each) for name, each in runs.items()}
    print(f"\n{'':22} {'whole s':>8} {'spread':>13} {'rounds s':>9} {'cpu s':>6} {'peak MiB':>9}")
    for name, each in runs.items():
        spread = f"{min(r.whole.seconds for r in each):.1f} to {max(r.whole.seconds for r in each):.1f}"
        cpu = statistics.median(run.whole.cpu_s for run in each)
        print(f"{name:22} {whole[name]:8.1f} {spread:>13} {rounds[name]:9.1f} {cpu:6.1f} {peak[name]:9.0f}")
    figures = {**_compared(whole, ""), "peak_memory_ratio": peak[IN_ORDER] / peak[LOOP], **_compared(rounds, "_rounds")}
    figures["parallel_peak_memory_ratio"] = peak[PARALLEL] / peak[LOOP]
    return {name: round(value, 4) for name, value in figures.items()}


def _compared(seconds: Mapping[str, float], ending: str) -> dict[str, float]:
    return {
        f"in_order_vs_loop{ending}": seconds[IN_ORDER] / seconds[LOOP],
        f"parallel_speedup_1_thread{ending}": seconds[LOOP_1] / seconds[PARALLEL],
        f"parallel_speedup_default{ending}": seconds[LOOP] / seconds[PARALLEL],
    }


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a stopped benchmark ends what it started
    parser = argparse.ArgumentParser(description="Wardround's engine against a hand-written PyTorch loop.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--local-epochs", type=int, default=1)
    parser.add_argument("--width", type=network_width, default=16, help="channels of the network's first stage, a multiple of 8")
    parser.add_argument("--workers", type=int, default=2, help="hospitals at work at once in the parallel run")
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, seed {SEED}")
    with tempfile.TemporaryDirectory(prefix="wardround-overhead-") as temporary:
        folder = Path(temporary)
        described, hospitals = write_hospitals(folder / "data", SEED)
        print(f"data: {described}")
        job = Job(
            hospitals=tuple(map(str, hospitals)),
            out="",
            rounds=chosen.rounds,
            local_epochs=chosen.local_epochs,
            batch_size=BATCH,
            learning_rate=0.001,
            width=chosen.width,
            seed=SEED,
        )
        print(last_line(ratios(measure(job, chosen.workers, chosen.repeats, folder)), SEED))


if __name__ == "__main__":
    main()
