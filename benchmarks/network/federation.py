"""A hub and hospitals as real processes on this machine, by the commands that people use. Nothing in it is simulated.

hub init | up, invite -> join -> confirm, data add, up      then: hub run, approve, and whatever a benchmark does to them
"""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from other_clock import OtherClocks

READY_S = 180.0  # a machine that does much else needs so long for a first start
DATA = "records"


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def write_table(path: Path, seed: int, rows: int) -> None:
    """A table of made-up patients with three columns and a label that follows from them."""
    rng = np.random.Generator(np.random.Philox(seed))
    values = rng.standard_normal((rows, 3)) + 0.2 * seed
    labels = values @ [1.0, -1.0, 0.5] + rng.standard_normal(rows) > 0.2
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["patient", "a", "b", "c", "label"])
        for number, (one, label) in enumerate(zip(values, labels, strict=True)):
            lines.writerow([f"p{number}", *(f"{value:.6f}" for value in one), int(label)])


@dataclass
class Federation:
    """folder: where hub and hospitals live. names: of the hospitals. rows: of each one's made-up table. one_core: whether each
    hospital's policy lets it have one core only. host: by which hospitals call the hub, which listens on 127.0.0.1. disk_mb: each
    party has a disk of its own of so many MB, which takes root on Linux; 0: none has. clocks: each party has one of its own."""

    folder: Path
    names: tuple[str, ...]
    rows: int = 120
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    one_core: bool = False
    host: str = "127.0.0.1"
    disk_mb: int = 0
    clocks: OtherClocks | None = None

    def begin(self, data: Mapping[str, Path] | None = None) -> None:
        """From nothing to hospitals that are joined, confirmed and up. data: each one's own; else a made-up table."""
        self.begin_hub()
        for number, name in enumerate(self.names):
            table = self.folder / f"{name}.csv" if data is None else data[name]
            if data is None:
                write_table(table, number + 1, self.rows)
            invitation = self.folder / f"{name}.invitation"
            self.run("hub", "invite", name, "--out", str(invitation), "--no-wait", "--home", str(self.hub))
            self.run("site", "join", str(invitation), "--home", str(self.home(name)))
            self.run("hub", "confirm", name, "--yes", "--home", str(self.hub))
            self.run("site", "data", "add", DATA, str(table), "--home", str(self.home(name)))
            if self.one_core:
                (policy := self.home(name) / "policy.toml").write_text("cores = 1\n")
                policy.chmod(0o600)
        for name in self.names:
            self.start(name)

    def begin_hub(self) -> None:
        """A hub that is up, without a hospital."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("hub", *self.names) if self.disk_mb else ():
            self.home(name).mkdir(mode=0o700)
            options = ("-o", f"size={self.disk_mb}m,mode=0700", "tmpfs", str(self.home(name)))
            subprocess.run(["mount", "-t", "tmpfs", *options], check=True)
        address, page = f"{self.host}:{self.port}", f"127.0.0.1:{free_port()}"
        self.run("hub", "init", "--address", address, "--listen", "127.0.0.1", "--dashboard", page, "--home", str(self.hub))
        self.start("hub")
        self._wait_for_port()

    def _wait_for_port(self) -> None:
        until = time.monotonic() + READY_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    @property
    def hub(self) -> Path:
        return self.folder / "hub"

    def home(self, name: str) -> Path:
        return self.folder / name

    def start(self, name: str) -> None:
        """The process of the hub or of a hospital; its output goes to a file of its own."""
        words = ("hub", "up", "--home", str(self.hub)) if name == "hub" else ("site", "up", "--home", str(self.home(name)))
        with (self.folder / f"{name}.out").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                [*_wardround(), *words], stdout=out, stderr=subprocess.STDOUT, env=self._environment(name), start_new_session=True
            )

    def kill(self, name: str) -> None:
        """kill -9, as when the power fails."""
        process = self.processes[name]
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def start_what_ended(self) -> None:
        """As a supervisor does with a service that gave up."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.start(name)

    def close(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def unmount(self) -> None:
        """Gives the parties' own disks back, and what was on them."""
        for name in ("hub", *self.names) if self.disk_mb else ():
            subprocess.run(["umount", "--lazy", str(self.home(name))], check=True)

    def submit(self, study: Path) -> str:
        """Hands a study to the hub; the hash that hospitals approve."""
        return str(json.loads(self.run("hub", "run", str(study), "--json", "--home", str(self.hub)))["study"])

    def approve(self, study: str) -> None:
        """As the people of each hospital do, once the offer has come."""
        for name in self.names:
            until = time.monotonic() + READY_S
            while study[:12] not in self.run("site", "studies", "--home", str(self.home(name)), name=name):
                if time.monotonic() > until:
                    raise TimeoutError(f"{name} was not offered {study[:12]}")
                time.sleep(0.3)
            by = ("--data", DATA, "--by", "Benchmark", "--yes")
            self.run("site", "approve", study[:12], *by, "--home", str(self.home(name)), name=name)

    def budgets(self, *, epsilon: float, delta: float) -> None:
        """Gives the patients of each hospital room for private studies."""
        for name in self.names:
            ledger = str(self.home(name) / "ledgers" / f"{DATA}.sqlite")
            self.run("site", "ledger", ledger, "--epsilon", str(epsilon), "--delta", str(delta), name=name)

    def state(self, study: str) -> dict[str, Any]:
        """Where a study stands, as the hub's state file says."""
        value: dict[str, Any] = json.loads((self.hub / "studies" / study / "state.json").read_bytes())
        return value

    def go_on(self, name: str, study: str) -> None:
        """As the people of a hospital do that had stopped, once they have looked."""
        self.run("site", "go-on", study[:12], "--home", str(self.home(name)), name=name)

    def resume(self, study: str) -> None:
        """As the hub's people do once they have mended what stopped a study."""
        self.run("hub", "resume", study[:12], "--home", str(self.hub))

    def wait(self, study: str, timeout_s: float) -> str:
        """The phase that a study ends in; "hung" where it does not end in time."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            phase = str(self.state(study)["phase"])
            if phase in ("finished", "failed", "declined", "stopped"):
                return phase
            time.sleep(0.2)
        return "hung"

    def run(self, *words: str, name: str = "hub") -> str:
        """One command to its end. CalledProcessError, with what it printed, where it fails."""
        done = subprocess.run([*_wardround(), *words], capture_output=True, text=True, env=self._environment(name))
        if done.returncode:
            raise RuntimeError(f"wardround {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def _environment(self, name: str) -> dict[str, str]:
        """Each party has a home of its own, as on a machine of its own; PyTorch takes one thread."""
        own = {"WARDROUND_HOME": str(self.folder / f"{name}.home"), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        clock = {} if self.clocks is None else self.clocks.environment(name)
        return {**os.environ, **own, **clock}


def _wardround() -> list[str]:
    return [sys.executable, "-m", "wardround"]
