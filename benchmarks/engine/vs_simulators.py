"""Wardround against the simulators that users have: Flower's and NVIDIA FLARE's.

The same CNN, images, three hospitals, ten rounds of federated averaging, optimiser, batches and local epochs; no
augmentation; the federated model is evaluated on every hospital's validation patients in every round. Each competitor
gets a fresh virtual environment with its newest version that installs, and runs in its own simulator. What is timed is
the whole command, from outside, start included. A plain PyTorch loop of the same training is the reference.

    python benchmarks/engine/vs_simulators.py                       # about twenty minutes on two idle cores
    python benchmarks/engine/vs_simulators.py --repeats 1 --folder versus   # keep the environments for the next time
    python benchmarks/engine/vs_simulators.py --setting one                 # of several settings, those with "one" in their name

Data: kermany_cxr/kermany_cxr_64.npz under WARDROUND_DATA, else generated images of the same number and size.

Every competitor is run in each of its SETTINGS. `vs_flower` and `vs_nvflare` in the last line are against its fastest one;
`vs_flower_default` and `vs_nvflare_default` against what it does when nothing is set. Flower is timed by `flwr run`, the
command it recommends; `vs_flower_api` is against its deprecated Python entry `run_simulation`, which starts less. FLARE
lets every hospital's process use all cores by default; one torch thread for each is a setting of ours that helps it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from simulators.environments import make_environment, versions
from simulators.flower.app_folder import write_app
from simulators.hospitals import BATCH, write_hospitals
from simulators.job import JOB_VARIABLE, Job
from simulators.network import network_width
from simulators.stopwatch import Timed, timed
from simulators.study import simulate_command

SEED = 7
HERE = Path(__file__).resolve().parent
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
PACKAGES = {"flower": ("flwr[simulation]",), "nvflare": ("nvflare",)}
SHOWN = ("flwr", "ray", "nvflare", "torch", "numpy")


@dataclass(frozen=True)
class Setting:
    """One way to run one contender. `command` gets the contender's Python, the run's folder and the job."""

    contender: str
    label: str
    command: Callable[[Path, Path, Job], Sequence[str]]
    threads: int = 0
    cores_each: int = 0

    @property
    def is_default(self) -> bool:
        return not (self.threads or self.cores_each)


def plain_loop(python: Path, _folder: Path, _job: Job) -> Sequence[str]:
    return (str(python), "-m", "simulators.plain")


def nvflare_simulator(python: Path, _folder: Path, _job: Job) -> Sequence[str]:
    return (str(python), "-m", "simulators.nvflare")


def flower_run_simulation(python: Path, _folder: Path, _job: Job) -> Sequence[str]:
    return (str(python), "-m", "simulators.flower")


def flwr_run(python: Path, folder: Path, job: Job) -> Sequence[str]:
    app = write_app(folder / "app")
    federation = f"num-supernodes={len(job.hospitals)}"
    if job.cores_each:
        federation += f" client-resources-num-cpus={job.cores_each}"
    return (str(python.with_name("flwr")), "run", str(app), "--stream", "--federation-config", federation)


def wardround_simulate(python: Path, folder: Path, job: Job) -> Sequence[str]:
    return simulate_command(python, folder, job)


SETTINGS = (
    Setting("plain", "PyTorch loop, torch's default threads", plain_loop),
    Setting("wardround", "wardround simulate", wardround_simulate),
    Setting("flower", "flwr run, two cores a client (its default)", flwr_run),
    Setting("flower", "flwr run, one core a client", flwr_run, cores_each=1),
    Setting("flower_api", "run_simulation, two cores a client (its default)", flower_run_simulation),
    Setting("flower_api", "run_simulation, one core a client", flower_run_simulation, cores_each=1),
    Setting("nvflare", "SimEnv, one torch thread a client", nvflare_simulator, threads=1),
    Setting("nvflare", "SimEnv, torch's default threads (its default)", nvflare_simulator),
)


def variables(python: Path, folder: Path, job_file: Path) -> Mapping[str, str]:
    """A fresh home and free ports for Flower's SuperLink, so that it starts cold and meets no other one."""
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    flower = {"FLWR_HOME": str(folder / "flower_home")}
    flower |= {name: str(_free_port()) for name in ("FLWR_LOCAL_SUPERLINK_HTTP_API_PORT", "FLWR_LOCAL_CONTROL_API_PORT")}
    return {"PATH": path, "PYTHONPATH": str(HERE), JOB_VARIABLE: str(job_file), **QUIET, **flower}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_once(setting: Setting, python: Path, folder: Path, job: Job) -> tuple[Timed, str]:
    """The time of one run, and what it says of the final model."""
    folder.mkdir(parents=True)
    job = replace(job, out=str(folder / "out.json"), threads=setting.threads, cores_each=setting.cores_each)
    job.save(folder / "job.json")
    command = setting.command(python, folder, job)
    taken = timed(command, folder, variables(python, folder, folder / "job.json"))
    return taken, _final_model(setting, folder)


def _final_model(setting: Setting, folder: Path) -> str:
    if setting.contender == "wardround":
        pooled = json.loads((folder / "stdout.txt").read_text())["pooled"]["federated"]
        return f"test accuracy {pooled['accuracy']:.3f}"
    figures = json.loads((folder / "out.json").read_text())
    return f"validation loss {figures['loss']:.3f}, accuracy {figures['accuracy']:.3f}"


def compare(job: Job, pythons: Mapping[str, Path], settings: Sequence[Setting], repeats: int, folder: Path) -> dict[str, object]:
    """Repeats are interleaved, so that a change of the machine's load meets all contenders alike."""
    times: dict[Setting, list[Timed]] = {setting: [] for setting in settings}
    models: dict[Setting, str] = {}
    for repeat in range(repeats):
        for number, setting in enumerate(settings):
            taken, models[setting] = run_once(setting, pythons[setting.contender], folder / f"run-{repeat}-{number}", job)
            times[setting].append(taken)
            print(f"  {repeat + 1}/{repeats} {setting.label}: {taken.seconds:.1f} s", flush=True)
    medians = {setting: statistics.median(taken.seconds for taken in runs) for setting, runs in times.items()}
    print(f"\n{'contender':11} {'setting':52} {'seconds':>8} {'spread':>13} {'cpu s':>6} {'peak MiB':>9}  final model")
    for setting, runs in times.items():
        spread = f"{min(r.seconds for r in runs):.1f} to {max(r.seconds for r in runs):.1f}"
        cpu, peak = statistics.median(r.cpu_s for r in runs), max(r.peak_mib for r in runs)
        row = f"{setting.contender:11} {setting.label:52} {medians[setting]:8.1f} {spread:>13} {cpu:6.1f} {peak:9.0f}"
        print(f"{row}  {models[setting]}")
    return _ratios(medians)


def _ratios(medians: Mapping[Setting, float]) -> dict[str, object]:
    """Wardround's seconds over theirs: against the fastest setting, and against the default. None where one was not run."""
    ours = [seconds for setting, seconds in medians.items() if setting.contender == "wardround"]
    ratios: dict[str, object] = {}
    for name in ("nvflare", "flower", "flower_api"):
        theirs = {setting: seconds for setting, seconds in medians.items() if setting.contender == name}
        default = [seconds for setting, seconds in theirs.items() if setting.is_default]
        ratios[f"vs_{name}"] = round(ours[0] / min(theirs.values()), 4) if ours and theirs else None
        ratios[f"vs_{name}_default"] = round(ours[0] / default[0], 4) if ours and default else None
    seconds = [{"contender": s.contender, "setting": s.label, "seconds": round(t, 2)} for s, t in medians.items()]
    return {**ratios, "seconds": seconds}


def prepare(folder: Path, contenders: set[str], width: int) -> dict[str, Path]:
    """Python of each contender; proves that the competitors' network is Wardround's."""
    own = Path(sys.executable)
    pythons = {"plain": own, "wardround": own}
    for name, packages in PACKAGES.items():
        if name in contenders or f"{name}_api" in contenders:
            pythons[name] = make_environment(folder / f"env-{name}", packages)
            print(f"{name}: {versions(pythons[name], SHOWN)}")
    if "flower" in pythons:
        pythons["flower_api"] = pythons["flower"]
    if "wardround" in contenders:
        check = folder / "same_network"
        timed((str(own), "-m", "simulators.same_network", str(width)), check, {"PYTHONPATH": str(HERE)})
        parameters = (check / "stdout.txt").read_text().strip()
        print(f"wardround: {versions(own, ('wardround', *SHOWN))}; same network, {parameters} parameters")
    return pythons


def select(contenders: set[str], text: str) -> list[Setting]:
    """The contenders' settings; of a contender's several, those whose label holds the text."""
    alone = {setting.contender for setting in SETTINGS if [s.contender for s in SETTINGS].count(setting.contender) == 1}
    return [s for s in SETTINGS if s.contender in contenders and (text in s.label or s.contender in alone)]


def main() -> None:
    everyone = tuple(dict.fromkeys(setting.contender for setting in SETTINGS))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a stopped benchmark ends what it started
    parser = argparse.ArgumentParser(description="Wardround against Flower's and NVIDIA FLARE's simulators.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--local-epochs", type=int, default=1)
    parser.add_argument("--width", type=network_width, default=16, help="channels of the network's first stage, a multiple of 8")
    parser.add_argument("--folder", type=Path, help="keep environments and outputs here; default: a temporary folder")
    parser.add_argument("--only", default=",".join(everyone), help=f"contenders, comma-separated: {', '.join(everyone)}")
    parser.add_argument("--setting", default="", help="of a contender's several settings, only those whose name has this text")
    chosen = parser.parse_args()
    contenders = set(chosen.only.split(","))
    if unknown := sorted(contenders - set(everyone)):
        parser.error(f"--only: expected some of {', '.join(everyone)}, separated by commas, found {', '.join(unknown)}")
    with tempfile.TemporaryDirectory(prefix="wardround-versus-") as temporary:
        folder = (chosen.folder or Path(temporary)).resolve()
        runs = Path(tempfile.mkdtemp(prefix="runs-", dir=temporary if chosen.folder is None else _made(folder)))
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, seed {SEED}")
        pythons = prepare(folder, contenders, chosen.width)
        described, hospitals = write_hospitals(runs / "data", SEED)
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
        settings = select(contenders, chosen.setting)
        print(last_line(compare(job, pythons, settings, chosen.repeats, runs), SEED))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
