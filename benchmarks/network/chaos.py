"""What a study between hospitals survives until it is over: kill -9 at any instant, full disks, bad lines, wrong clocks.

    python benchmarks/network/chaos.py --kills 200      five hospitals, 20 rounds a run, runs until so many were killed
    python benchmarks/network/chaos.py --kills 8 --rounds 6 --mean 6      a short one

Everything is real: the hub and each hospital are processes of their own with files of their own, over TLS and Flower. A hand
that knows nothing of the study does something at random instants:

    kill    ends one process with -9 and starts it again, as a supervisor would
    disk    fills one party's own disk to the last byte for some seconds (as root: each has a small disk of its own in memory)
    line    cuts, slows or silences every hospital's line to the hub for some seconds (bad_line.py)
    clock   sets one party's clock for some seconds: fast or slow, by as much as is let in or by more (other_clock.py)

Beside it stands a person, who does what people have to: a hospital that stopped since its disk was full is told to go on, and a
study that failed at the hub is resumed. Every other run is a private one, whose ledgers are counted.

Each run must end as `finished` with the very model of a simulation on the same files, in which whoever was lost in a round is
lost in it too (or, in a private run, with every round that was opened charged at every hospital), or stop with a named reason.
The last line is JSON: `runs`, `kills`, `full_disks`, `bad_lines`, `wrong_clocks`, `same_or_refused` (runs that ended so), `late`
(not over after a quarter of an hour under the hand, and left alone from then on), `hung` (not over after another one, left
alone), `ledgers_short` (hospitals that were charged for less than what left), `logs_broken`, `hub_back_s` and `site_back_s`
(medians, from a kill to the hub's next message, or to that hospital's next answer).
"""

from __future__ import annotations

import argparse
import errno
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from bad_line import BadLine, State
from federation import Federation
from last_line import last_line
from other_clock import OtherClocks
from wardround.engines.local.engine import InOrder, SideBySide, in_process
from wardround.privacy.ledger.ledger import Ledger
from wardround.simulation import simulate as simulating
from wardround.study.reading import load_study
from wardround.values.chained_log import ChainedLog, verify
from wardround.values.ids import SiteId
from wardround.values.tensor_file import read_tensors
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import OrderHeader

NAMES = ("ada", "ben", "cem", "dora", "eva")
TIMEOUT_S = 900.0
WEIGHTS = {"kill": 6, "disk": 1, "line": 1, "clock": 1}
"""What the hand does -> how often."""
BAD_S = (1.0, 4.0)
CLOCKS_S = (-3600.0, -310.0, -250.0, -6.0, 4.0, 6.0, 310.0)
"""By how much a clock is ahead."""
LINE_HOST = "127.0.0.2"
DISK_MB = 64
BALLAST = "ballast"
STOPPED = frozenset({"stopped", "disk"})
MOST_RESUMES = 20
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
    ledger knows less than what left them. kills: of whom, and when, seconds since 1970."""

    phase: str
    same: bool
    kills: list[tuple[str, float]]
    short: int
    reason: str
    full_disks: int
    bad_lines: int
    wrong_clocks: int
    late: bool


@dataclass
class Hand:
    """Does one thing after the other, at random instants: mean_s seconds from the end of one to the next, on average."""

    federation: Federation
    line: BadLine
    draw: random.Random
    mean_s: float
    steps: tuple[str, ...]
    kills: list[tuple[str, float]] = field(default_factory=list)
    full_disks: int = 0
    bad_lines: int = 0
    wrong_clocks: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def others(self) -> tuple[int, int, int]:
        """Full disks, bad lines, wrong clocks so far."""
        return self.full_disks, self.bad_lines, self.wrong_clocks

    def __enter__(self) -> Hand:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self.draw.expovariate(1 / self.mean_s)):
            self.federation.start_what_ended()  # a disk was full when it began
            step = self.draw.choices(self.steps, [WEIGHTS[one] for one in self.steps])[0]
            party, seconds = self.draw.choice(["hub", *NAMES]), self.draw.uniform(*BAD_S)
            state = self.draw.choice([one for one in get_args(State) if one != "good"])
            ahead_s = self.draw.choice(CLOCKS_S)
            match step:
                case "kill":
                    self._kill(party)
                case "disk":
                    self._fill(party, seconds)
                case "line":
                    self._spoil(state, seconds)
                case "clock":
                    self._set(party, ahead_s, seconds)

    def _kill(self, party: str) -> None:
        self.federation.kill(party)
        self.kills.append((party, time.time()))
        self.federation.start(party)

    def _fill(self, party: str, seconds: float) -> None:
        ballast = self.federation.home(party) / BALLAST
        try:
            with ballast.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        self.full_disks += 1
        self._stop.wait(seconds)
        ballast.unlink()

    def _spoil(self, state: State, seconds: float) -> None:
        self.line.turn(state)
        self.bad_lines += 1
        self._stop.wait(seconds)
        self.line.turn("good")

    def _set(self, party: str, ahead_s: float, seconds: float) -> None:
        if (clocks := self.federation.clocks) is not None:
            clocks.step(party, ahead_s)
            self.wrong_clocks += 1
            self._stop.wait(seconds)
            clocks.step(party, 0.0)


def waited(federation: Federation, study: str) -> str:
    """The phase that a study ends in, with a person beside it: whoever stopped is looked at, and a failed study is resumed a few
    times. "hung" where it does not end in time."""
    until, resumes = time.monotonic() + TIMEOUT_S, 0
    while (left_s := until - time.monotonic()) > 0:
        phase = federation.wait(study, min(5.0, left_s))
        if phase == "failed" and resumes < MOST_RESUMES:
            resumes += 1
            with suppress(RuntimeError):  # its disk is full just now
                federation.resume(study)
        elif phase != "hung":
            return phase
        for name, standing in federation.state(study)["sites"].items():
            if standing.get("word") in STOPPED:
                with suppress(RuntimeError):
                    federation.go_on(name, study)
    return "hung"


def one_run(federation: Federation, number: int, rounds: int, hand: Hand) -> Outcome:
    """One study from its offer to its end, under the hand."""
    private = number % 2 == 0
    path = federation.folder / f"study-{number}.toml"
    path.write_text((PRIVATE if private else STUDY).replace("NUMBER", str(number)).replace("ROUNDS", str(rounds)))
    if private:
        federation.budgets(epsilon=8.0 * (number + 1), delta=1e-5)
    study = federation.submit(path)
    federation.approve(study)
    with hand:
        phase = waited(federation, study)
    if late := phase == "hung":  # where starts take longer than the hand waits, nobody is there; that is not a hang yet
        federation.start_what_ended()
        phase = waited(federation, study)
    state, run = federation.state(study), federation.hub / "studies" / study / "run"
    lost = {line["number"]: frozenset(line["lost"]) for line in state["rounds"]}
    same = phase == "finished" and (private or _is_reference(federation, path, run, lost))
    short = sum(_is_short(federation, name, study) for name in NAMES) if private else 0
    return Outcome(phase, same, hand.kills, short, str(state.get("reason", "")), *hand.others, late)


def seconds_back(federation: Federation, kills: list[tuple[str, float]]) -> tuple[float, float]:
    """Medians of hub and hospitals, from a kill to the hub's next message, or to that hospital's next answer."""
    entries = [(datetime.fromisoformat(one.time).timestamp(), one) for one in ChainedLog(federation.hub / "log").entries()]
    sent = [at for at, one in entries if one.code.endswith("-sent")]
    heard = {name: [at for at, one in entries if one.code.endswith("-received") and one.facts["site"] == name] for name in NAMES}

    def median(times: list[tuple[list[float], float]]) -> float:
        later = [min(at for at in instants if at > killed) - killed for instants, killed in times if instants[-1:] > [killed]]
        return round(statistics.median(later), 2) if later else 0.0

    hub = [(sent, at) for name, at in kills if name == "hub"]
    return median(hub), median([(heard[name], at) for name, at in kills if name != "hub"])


def _is_reference(federation: Federation, path: Path, run: Path, lost: Mapping[int, frozenset[str]]) -> bool:
    """Whether the run's model is that of a simulation on the same files. lost: who was not counted in a round; nobody is there
    either, then."""
    out = federation.folder / f"reference-{path.stem}"
    sites = {name: federation.folder / f"{name}.csv" for name in NAMES}
    with patch.object(simulating, "in_process", lambda *asked: Surviving(in_process(*asked), lost)):
        reference = simulating.simulate(load_study(path), sites, out=out, workers=0, register=False).model
    model, _ = read_tensors(run / "model.safetensors")
    return all(np.array_equal(model[name], reference[name]) for name in reference)


@dataclass(frozen=True)
class Surviving:
    """An engine that does not bring the order of a round to those who are lost in it."""

    engine: InOrder | SideBySide
    lost: Mapping[int, frozenset[str]]

    def sites(self) -> tuple[SiteId, ...]:
        return self.engine.sites()

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> Mapping[SiteId, bytes]:
        left = {site: data for site, data in outbox.items() if site not in self._lost_in(data)}
        return self.engine.exchange(left, deadline_s, arrived)

    def close(self) -> None:
        self.engine.close()

    def _lost_in(self, data: bytes) -> frozenset[str]:
        header = from_bytes(data).header
        if isinstance(header, OrderHeader) and header.step == "train":
            return self.lost.get(header.round, frozenset())
        return frozenset()


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
    asked.add_argument("--seed", type=int, default=1, help="of what the hand does, to whom, and when")
    asked.add_argument("--mean", type=float, default=4.0, help="seconds between two steps of the hand, on average")
    asked.add_argument("--steps", nargs="+", choices=list(WEIGHTS), default=list(WEIGHTS), help="what the hand does")
    chosen = asked.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends as well
    draw, folder = random.Random(chosen.seed), Path(tempfile.mkdtemp(prefix="wardround-chaos-"))
    clocks = OtherClocks(folder / "clocks") if "clock" in chosen.steps else None
    federation = Federation(folder, NAMES, host=LINE_HOST, disk_mb=DISK_MB if "disk" in chosen.steps else 0, clocks=clocks)
    line = BadLine(LINE_HOST, "127.0.0.1", federation.port)
    outcomes: list[Outcome] = []
    print(f"{'run':>4} {'phase':10} {'same':5} {'kills':>5} {'disks':>5} {'lines':>5} {'clocks':>6} {'short':>5} {'seconds':>8}")
    try:
        federation.begin()
        while sum(len(one.kills) for one in outcomes) < chosen.kills:
            began = time.monotonic()
            hand = Hand(federation, line, draw, chosen.mean, tuple(chosen.steps))
            outcomes.append(one := one_run(federation, len(outcomes) + 1, chosen.rounds, hand))
            print(
                f"{len(outcomes):4} {one.phase:10} {one.same!s:5} {len(one.kills):5} {one.full_disks:5} {one.bad_lines:5} "
                f"{one.wrong_clocks:6} {one.short:5} {time.monotonic() - began:8.1f}  {one.reason[:90]}",
                flush=True,
            )
    finally:
        federation.close()
        line.close()
    figures = figures_of(federation, outcomes)
    print(last_line(figures, chosen.seed))
    if figures["same_or_refused"] == figures["runs"] and not figures["logs_broken"]:
        federation.unmount()
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}", file=sys.stderr)


def figures_of(federation: Federation, outcomes: list[Outcome]) -> dict[str, float]:
    logs = [verify(federation.hub / "log"), *(verify(federation.home(name) / "log") for name in NAMES)]
    kills = [kill for one in outcomes for kill in one.kills]
    hub_back_s, site_back_s = seconds_back(federation, kills)
    return {
        "runs": len(outcomes),
        "kills": len(kills),
        "full_disks": sum(one.full_disks for one in outcomes),
        "bad_lines": sum(one.bad_lines for one in outcomes),
        "wrong_clocks": sum(one.wrong_clocks for one in outcomes),
        "same_or_refused": sum(one.same or (one.phase == "failed" and bool(one.reason)) for one in outcomes),
        "late": sum(one.late for one in outcomes),
        "hung": sum(one.phase == "hung" for one in outcomes),
        "ledgers_short": sum(one.short for one in outcomes),
        "logs_broken": sum(bool(log.problem) for log in logs),
        "hub_back_s": hub_back_s,
        "site_back_s": site_back_s,
    }


if __name__ == "__main__":
    main()
