"""What a study between hospitals survives: kill -9 of any process at any instant, again and again, until it is over.

    python benchmarks/network/chaos.py --kills 200      five hospitals, 20 rounds a run, runs until so many were killed
    python benchmarks/network/chaos.py --kills 10       a short one

Everything is real: the hub and each hospital are processes of their own with files of their own, over TLS and Flower. A hand
that knows nothing of the study kills one of them at a random instant and starts it again, as a supervisor would. Every other run
is a private one, whose ledgers are counted.

Each run must end as `finished` with the very model of a simulation on the same files (or, in a private run, with every round
that was opened charged at every hospital), or stop with a named reason. The last line is JSON: `runs`, `kills`,
`same_or_refused` (runs that ended so), `hung`, `ledgers_short` (hospitals that were charged for less than what left),
`logs_broken`.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from federation import Federation
from last_line import last_line
from wardround.privacy.ledger.ledger import Ledger
from wardround.simulation.simulate import simulate
from wardround.study.reading import load_study
from wardround.values.chained_log import verify
from wardround.values.tensor_file import read_tensors

NAMES = ("ada", "ben", "cem", "dora", "eva")
TIMEOUT_S = 900.0
STUDY = """\
format = 1
[question]
title = "Chaos NUMBER"
[data]
kind = "table"
[[data.columns]]
name = "a"
range = [-8, 8]
[[data.columns]]
name = "b"
range = [-8, 8]
[[data.columns]]
name = "c"
range = [-8, 8]
[network]
name = "mlp"
hidden = [4]
[training]
learning_rate = 0.1
local_epochs = 1
seed = NUMBER
[algorithm]
name = "fedavg"
rounds = ROUNDS
[evaluation]
own_baseline = false
"""
PRIVATE = """\
format = 1
[question]
title = "Private chaos NUMBER"
[data]
kind = "table"
[[data.columns]]
name = "a"
range = [-8, 8]
[[data.columns]]
name = "b"
range = [-8, 8]
[[data.columns]]
name = "c"
range = [-8, 8]
[network]
name = "logistic"
[training]
class_balance = false
seed = NUMBER
[algorithm]
name = "fedsgd"
rounds = ROUNDS
server_learning_rate = 0.5
[evaluation]
threshold = "half"
own_baseline = false
[privacy]
mode = "patient-distributed"
epsilon = 8.0
delta = 1e-5
clip_norm = 1.0
sampling_rate = 0.5
public_patients = 96
"""


@dataclass
class Outcome:
    """What became of one run. phase: see the hub's states. same: whether the model is the reference's. short: hospitals whose
    ledger knows less than what left them."""

    phase: str
    same: bool
    kills: int
    short: int
    reason: str = ""


class Hand:
    """Kills one process after the other, at random instants, and starts each again at once."""

    def __init__(self, federation: Federation, draw: random.Random, mean_s: float) -> None:
        self._federation, self._draw, self._mean_s = federation, draw, mean_s
        self._stop = threading.Event()
        self.kills = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Hand:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._draw.expovariate(1 / self._mean_s)):
            name = self._draw.choice(["hub", *NAMES])
            self._federation.kill(name)
            self.kills += 1
            self._federation.start(name)


def one_run(federation: Federation, number: int, rounds: int, draw: random.Random, mean_s: float) -> Outcome:
    """One study from its offer to its end, under the hand."""
    private = number % 2 == 0
    path = federation.folder / f"study-{number}.toml"
    path.write_text((PRIVATE if private else STUDY).replace("NUMBER", str(number)).replace("ROUNDS", str(rounds)))
    if private:
        federation.budgets(epsilon=8.0 * (number + 1), delta=1e-5)
    study = federation.submit(path)
    federation.approve(study)
    with Hand(federation, draw, mean_s) as hand:
        phase = federation.wait(study, TIMEOUT_S)
    reason = str(federation.state(study).get("reason", ""))
    run = federation.hub / "studies" / study / "run"
    if private:
        short = sum(_is_short(federation, name, study) for name in NAMES)
        return Outcome(phase, phase == "finished", hand.kills, short, reason)
    same = phase == "finished" and _is_reference(federation, path, run)
    return Outcome(phase, same, hand.kills, 0, reason)


def _is_reference(federation: Federation, path: Path, run: Path) -> bool:
    """Whether the run's model is that of a simulation on the same files: every round had every hospital."""
    out = federation.folder / f"reference-{path.stem}"
    sites = {name: federation.folder / f"{name}.csv" for name in NAMES}
    reference = simulate(load_study(path), sites, out=out, workers=0, register=False).model
    model, _ = read_tensors(run / "model.safetensors")
    return all(np.array_equal(model[name], reference[name]) for name in reference)


def _is_short(federation: Federation, name: str, study: str) -> bool:
    """Whether the hospital's log tells of more training answers than its ledger has charges for."""
    ledger = Ledger(federation.home(name) / "ledgers" / "records.sqlite", begin=False)
    charged = {release.split("/")[1] for one, release in ledger.charges() if one == study and release.startswith("train/")}
    record = json.loads((federation.hub / "studies" / study / "state.json").read_bytes())
    opened = {str(line["number"]) for line in record["rounds"] if name not in line["lost"]}
    return not opened <= charged


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kills", type=int, default=200)
    asked.add_argument("--rounds", type=int, default=20)
    asked.add_argument("--seed", type=int, default=1, help="of whom the hand kills, and when")
    asked.add_argument("--mean", type=float, default=1.5, help="seconds between two kills, on average")
    chosen = asked.parse_args()
    draw = random.Random(chosen.seed)
    folder = Path(tempfile.mkdtemp(prefix="wardround-chaos-"))
    federation = Federation(folder, NAMES)
    outcomes: list[Outcome] = []
    print(f"{'run':>4} {'phase':10} {'same':5} {'kills':>5} {'short':>5} {'seconds':>8}")
    try:
        federation.begin()
        while sum(one.kills for one in outcomes) < chosen.kills:
            began = time.monotonic()
            outcomes.append(one_run(federation, len(outcomes) + 1, chosen.rounds, draw, chosen.mean))
            one = outcomes[-1]
            seconds = time.monotonic() - began
            print(
                f"{len(outcomes):4} {one.phase:10} {one.same!s:5} {one.kills:5} {one.short:5} {seconds:8.1f}  {one.reason[:90]}",
                flush=True,
            )
    finally:
        federation.close()
    logs = [verify(federation.hub / "log"), *(verify(federation.home(name) / "log") for name in NAMES)]
    figures = {
        "runs": len(outcomes),
        "kills": sum(one.kills for one in outcomes),
        "same_or_refused": sum(one.same or (one.phase == "failed" and bool(one.reason)) for one in outcomes),
        "hung": sum(one.phase == "hung" for one in outcomes),
        "ledgers_short": sum(one.short for one in outcomes),
        "logs_broken": sum(bool(log.problem) for log in logs),
    }
    print(last_line(figures, chosen.seed))
    if figures["same_or_refused"] == figures["runs"] and not figures["logs_broken"]:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
