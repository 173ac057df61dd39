"""One training step with exact per-example clipping and noise: ours against plain PyTorch, Opacus and torch.func.

    stock         not private, plain PyTorch with its default threads
    tuned         the same with glibc's allocator told to keep memory
    opacus hooks  GradSampleModule and DPOptimizer
    opacus ghost  GradSampleModuleFastGradientClipping and its optimiser
    vmap          torch.func: vmap over grad
    wardround     per_patient.PatientGradients, noise of the discrete Gaussian on the noise_grid

    pip install opacus                         # only for the comparison
    python benchmarks/privacy/dp_step.py               # about ten minutes on two cores that have nothing else to do
    python benchmarks/privacy/dp_step.py --network small_cnn --settings 28x64 64x64

Each kind runs in a process of its own, which waits while the others step. They take turns of three steps, the first of which is
not counted, nor is the first turn, and medians are compared. Memory is the most that a process held (resident, the libraries
included). On a shared machine compare the minima too (--best).
"""

import argparse
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line

HERE = Path(__file__).resolve().parent
KINDS = ("stock", "tuned", "opacus hooks", "opacus ghost", "vmap", "wardround")
SETTINGS = ("28x64", "28x256", "64x64", "64x256")
HEAVY = {"64x256": ("opacus ghost",)}  # 6 s a step; left out unless named with --kinds
SEED = 0  # of every worker's network, images and targets
WARM_UP, IN_TURN = 1, 3  # turns, and steps in a turn


@dataclass
class Worker:
    """A process that steps when asked."""

    process: "subprocess.Popen[str]"
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    @classmethod
    def start(cls, kind: str, network: str, setting: str) -> "Worker":
        command = [sys.executable, "-m", "private_step.worker", kind, network, *setting.split("x"), str(SEED)]
        path = os.pathsep.join([str(HERE), str(HERE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path}
        return cls(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment))

    def turn(self) -> None:
        """A few steps one after the other, as in training; the first finds cold caches and does not count."""
        assert self.process.stdin is not None
        for number in range(IN_TURN):
            self.process.stdin.write("step\n")
            self.process.stdin.flush()
            seconds = float(self._answer())
            self.seconds += [seconds] if number else []

    def finish(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.peak_bytes = int(self._answer())
        self.process.wait()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a step failed: its error stands above")
        return line


@dataclass(frozen=True)
class Measured:
    seconds: dict[str, float]
    peak_bytes: dict[str, int]


def measure(setting: str, network: str, kinds: Sequence[str], rounds: int, middle: Callable[[list[float]], float]) -> Measured:
    workers = {kind: Worker.start(kind, network, setting) for kind in kinds}
    for _ in range(WARM_UP + rounds):
        for worker in workers.values():
            worker.turn()
    for worker in workers.values():
        worker.finish()
    return Measured(
        {kind: middle(worker.seconds[WARM_UP * (IN_TURN - 1) :]) for kind, worker in workers.items()},
        {kind: worker.peak_bytes for kind, worker in workers.items()},
    )


def summary(results: dict[str, Measured]) -> dict[str, float | None]:
    """The least favourable figure over the settings of a side, or over all; None where a kind that it compares did not run."""

    def seconds(over: str, under: str, side: str = "") -> list[float]:
        return _ratios({name: one.seconds for name, one in results.items() if name.startswith(side)}, over, under)

    memory = _ratios({name: one.peak_bytes for name, one in results.items()}, "wardround", "opacus hooks")
    return {
        "speedup_vs_opacus_28": _rounded(min, seconds("opacus hooks", "wardround", "28x"), 2),
        "speedup_vs_opacus_64": _rounded(min, seconds("opacus hooks", "wardround", "64x"), 2),
        "worst_vs_stock": _rounded(max, seconds("wardround", "stock"), 3),
        "memory_vs_opacus": _rounded(max, memory, 3),
    }


def _ratios(figures: Mapping[str, Mapping[str, float]], over: str, under: str) -> list[float]:
    """One kind over another, of every setting where both ran."""
    return [by_kind[over] / by_kind[under] for by_kind in figures.values() if over in by_kind and under in by_kind]


def _rounded(worst: Callable[[list[float]], float], ratios: list[float], digits: int) -> float | None:
    return round(worst(ratios), digits) if ratios else None


def show(setting: str, measured: Measured) -> None:
    ours = measured.seconds.get("wardround")
    for kind, seconds in measured.seconds.items():
        ratio = f"{seconds / ours:12.2f}" if ours else f"{'':12}"
        memory = measured.peak_bytes[kind] / 2**20
        print(f"{setting:>7}  {kind:<13} {seconds * 1e3:9.1f} {ratio} {memory:9.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", default=SETTINGS, choices=SETTINGS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS)
    parser.add_argument("--network", default="cnn", choices=("cnn", "small_cnn"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--best", action="store_true", help="compare minima instead of medians")
    asked = parser.parse_args()
    has_opacus = importlib.util.find_spec("opacus") is not None
    if not has_opacus:
        print("Opacus is not installed: its steps are left out. To have them: pip install opacus")
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    if asked.kinds and not has_opacus and all(kind.startswith("opacus") for kind in asked.kinds):
        parser.error("--kinds: only steps of Opacus were asked for, which is not installed; install it with: pip install opacus")
    results = {}
    print(f"\n{'setting':>7}  {'step':<13} {'ms':>9} {'over ours':>12} {'peak MiB':>9}")
    for setting in asked.settings:
        kinds = asked.kinds or [kind for kind in KINDS if kind not in HEAVY.get(setting, ())]
        kinds = [kind for kind in kinds if has_opacus or not kind.startswith("opacus")]
        results[setting] = measure(setting, asked.network, kinds, asked.rounds, min if asked.best else statistics.median)
        show(setting, results[setting])
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    print(last_line(summary(results), SEED))


if __name__ == "__main__":
    main()
