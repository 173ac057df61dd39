"""Real processes, really killed, in the middle of charging."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.privacy.ledger_worker import EVENT, work
from wardround.privacy.accounting import affordable
from wardround.privacy.ledger.ledger import Ledger
from wardround.privacy.ledger.state import Status

WORKER = Path(__file__).with_name("ledger_worker.py")
KILLS, EPSILON, DELTA = 50, 0.5, 1e-5


def numbers(path: Path) -> tuple[int, int]:
    """(receipt, ledger): straight from the files, in another way than the ledger's."""
    with sqlite3.connect(path) as connection:
        (last,) = connection.execute("SELECT max(number) FROM entries").fetchone()
    connection.close()
    return json.loads(path.with_name(f"{path.name}.receipt").read_text())["number"], last


def counted(ledger: Ledger) -> set[str]:
    return {release for (_, release), charge in ledger.charges().items() if charge.status is not Status.CANCELLED}


def check(path: Path, marks: Path) -> None:
    receipt, last = numbers(path)
    assert receipt <= last, "a crash must not look like a restored backup"
    ledger = Ledger(path)  # proves the chain
    assert {mark.name for mark in marks.iterdir()} <= counted(ledger)
    assert ledger.epsilon_spent() <= EPSILON


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger"
    Ledger(path).set_budget(EPSILON, DELTA)
    (tmp_path / "marks").mkdir()
    return path


@pytest.mark.slow
def test_no_kill_leaves_a_release_uncounted(path: Path) -> None:
    """The promise of the ledger, at fifty instants drawn at random; children are forked, so that starting them takes no time."""
    marks, draw = path.parent / "marks", random.Random(5)
    Ledger(path).left(EVENT)  # loads what the children inherit
    for life in range(KILLS):
        if (child := os.fork()) == 0:
            try:
                work(path, marks, str(life))
            except BaseException as error:  # noqa: BLE001  (the parent reads it)
                (path.parent / "wrong").write_text(repr(error))
            finally:
                os._exit(1)
        time.sleep(0.01 + 0.15 * draw.random())
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if life % 10 == 9:
            check(path, marks)
        receipt, last = numbers(path)
        assert receipt <= last
    check(path, marks)
    assert not (path.parent / "wrong").exists(), (path.parent / "wrong").read_text()


@pytest.mark.slow
def test_a_process_of_its_own_is_killed_and_the_next_goes_on(path: Path) -> None:
    """The same without anything inherited, until the budget is spent to the last charge."""
    marks = path.parent / "marks"
    for life in range(2):
        child = subprocess.Popen([sys.executable, WORKER, path, marks, str(life)])
        while not (path.parent / f"begun-{life}").exists() or not list(marks.glob(f"{life}-*")):
            assert child.poll() is None
            time.sleep(0.01)
        child.kill()
        assert child.wait() == -signal.SIGKILL
        check(path, marks)
    ledger, spent = Ledger(path), Ledger(path).spent()[EVENT]
    assert ledger.left(EVENT) == affordable(EVENT, EPSILON, DELTA) - spent


@pytest.mark.slow
def test_eight_processes_never_exceed_the_budget_together(path: Path) -> None:
    """Charges that race for the last room: exactly as many are granted as there is room for."""
    ledger = Ledger(path)
    room = affordable(EVENT, EPSILON, DELTA)
    ledger.charge("before", "all", EVENT, room - 25)
    children = []
    for process in range(8):
        if (child := os.fork()) == 0:
            try:
                _race(path, process)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert ledger.spent() == {EVENT: room}
    assert sum(int(file.read_text()) for file in path.parent.glob("granted-*")) == 25


def _race(path: Path, process: int) -> None:
    from wardround.values.errors import RefusedError

    ledger, granted = Ledger(path), 0
    for step in range(6):
        try:
            ledger.charge(f"study-{process}", str(step), EVENT)
            granted += 1
        except RefusedError as refused:
            assert refused.code == "budget"
    (path.parent / f"granted-{process}").write_text(str(granted))
