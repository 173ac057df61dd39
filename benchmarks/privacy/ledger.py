"""The ledger under fire: real kills in a loop of charges, and thousands of charges at once from several processes.

    python benchmarks/privacy/ledger.py                         # 1,000 kills, 10,000 reserves from 8 processes: 10 to 20 minutes
    python benchmarks/privacy/ledger.py --kills 50 --reserves 500

A kill is SIGKILL to a process that charges, marks the release, charges again, at an instant drawn at random. The release is
marked by a file after `charge` has returned. What must hold after every kill: each marked release is charged, the entries prove
each other, the receipt is not ahead of the ledger, epsilon is within the budget. The last line is one JSON object.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.privacy.accounting import epsilon
from wardround.privacy.events import Event
from wardround.privacy.ledger.ledger import Ledger
from wardround.values.errors import RefusedError

EVENT, DELTA = Event(100.0), 1e-5
LONGEST_LIFE_S = 0.6


def charge_until_killed(path: Path, marks: Path, life: int) -> None:
    """A site's loop: charge, then release. Every third release is also told to the ledger, every fifth is taken back."""
    ledger = Ledger(path)
    for step in range(10**6):
        release = f"{life}-{step}"
        try:
            ledger.charge("study", release, EVENT)
        except RefusedError as refused:
            if refused.code != "budget":
                (marks.parent / f"wrong-{life}").write_text(str(refused))
            continue
        if step % 5 == 4:
            ledger.cancel("study", release)
            continue
        if step % 3 == 0:
            ledger.released("study", release, "digest")
        (marks / release).touch()


def kills(folder: Path, number: int, budget: float, seed: int) -> dict[str, Any]:
    path, marks = folder / "kills.ledger", folder / "marks"
    marks.mkdir()
    watcher = Ledger(path)
    watcher.set_budget(budget, DELTA)
    watcher.left(EVENT)  # loads what children then inherit
    draw, uncounted, ahead, behind, over = random.Random(seed), 0, 0, 0, 0
    for life in range(number):
        child = os.fork()
        if child == 0:
            try:
                charge_until_killed(path, marks, life)
            finally:
                os._exit(1)
        time.sleep(draw.random() * LONGEST_LIFE_S)
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        ahead += receipt_number(path) > last_entry(path)
        behind += receipt_number(path) < last_entry(path)
        charged = {release for (_, release), charge in watcher.charges().items() if charge.status != "cancelled"}
        uncounted += len({mark.name for mark in marks.glob(f"{life}-*")} - charged)
        over += watcher.epsilon_spent() > budget
    released = {mark.name for mark in marks.iterdir()}
    fresh = Ledger(path)  # proves every entry once more
    charged = {release for (_, release), charge in fresh.charges().items() if charge.status != "cancelled"}
    return {
        "kills": number,
        "charges": len(charged),
        "releases": len(released),
        "uncounted_releases": uncounted + len(released - charged),
        "receipts_ahead": ahead,
        "kills_between_commit_and_receipt": behind,
        "over_budget": over,
        "wrong_refusals": len(list(folder.glob("wrong-*"))),
        "epsilon": fresh.epsilon_spent(),
        "budget": budget,
    }


def last_entry(path: Path) -> int:
    """Straight from the file, in another way than the ledger's."""
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT max(number) FROM entries").fetchone()[0])
    finally:
        connection.close()


def receipt_number(path: Path) -> int:
    return int(json.loads(path.with_name(f"{path.name}.receipt").read_text())["number"])


def reserve(path: Path, number: int, process: int) -> int:
    """How many of its reserves this process was granted."""
    ledger, granted = Ledger(path), 0
    for step in range(number):
        try:
            ledger.charge(f"study-{process % 3}", f"{process}-{step}", EVENT)
            granted += 1
        except RefusedError as refused:
            assert refused.code == "budget", refused
    return granted


def reserves(folder: Path, number: int, processes: int) -> dict[str, Any]:
    """The budget is for nine tenths of them: the last tenth must be refused, and not one more or less."""
    path, admissible = folder / "reserves.ledger", number * 9 // 10
    budget = epsilon({EVENT: admissible}, DELTA) * (1 + 1e-9)
    ledger = Ledger(path)
    ledger.set_budget(budget, DELTA)
    assert ledger.left(EVENT) == admissible
    start, children = time.perf_counter(), []
    for process in range(processes):
        share = number // processes + (process < number % processes)
        if (child := os.fork()) == 0:
            try:
                granted = reserve(path, share, process)
                (folder / f"granted-{process}").write_text(str(granted))
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * processes
    seconds = time.perf_counter() - start
    granted = sum(int((folder / f"granted-{process}").read_text()) for process in range(processes))
    fresh = Ledger(path)
    return {
        "reserves": number,
        "processes": processes,
        "granted": granted,
        "charged": fresh.spent()[EVENT],
        "admissible": admissible,
        "epsilon_over_budget": max(0.0, fresh.epsilon_spent() - budget),
        "seconds": round(seconds, 1),
        "ms_per_charge": round(1000 * seconds / granted, 1),
    }


def show(part: str, figures: dict[str, Any]) -> None:
    """Print one row for each figure, under the name that the last line of JSON gives it."""
    print(f"\n{part}")
    for name, value in figures.items():
        print(f"  {name:<34} {value:>12.10g}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--reserves", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        killed = kills(Path(folder), chosen.kills, epsilon({EVENT: 3 * chosen.kills // 2}, DELTA), chosen.seed)
        show("kills", killed)
        raced = reserves(Path(folder), chosen.reserves, chosen.processes)
        show("reserves", raced)
    holds = not (
        killed["uncounted_releases"]
        or killed["receipts_ahead"]
        or killed["over_budget"]
        or killed["wrong_refusals"]
        or raced["granted"] != raced["admissible"]
        or raced["charged"] != raced["granted"]
        or raced["epsilon_over_budget"]
    )
    figures = {"holds": holds, **killed, **{f"race_{name}": value for name, value in raced.items()}}
    print(last_line(figures, chosen.seed))


if __name__ == "__main__":
    main()
