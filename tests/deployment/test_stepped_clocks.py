"""Clocks that are wrong, or are set while a study runs: real processes, each with a clock of its own that a test steps.

What waits, waits by a clock that only goes forward; the time of day is in messages, tickets, certificates and logs.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.privacy.ledger.ledger import Ledger
from wardround.simulation.simulate import simulate
from wardround.study.reading import load_study
from wardround.values.chained_log import ChainedLog, verify
from wardround.values.tensor_file import read_tensors

pytest.importorskip("flwr", reason="the extra `network` is not installed")

NETWORK = Path(__file__).parents[2] / "benchmarks" / "network"
NAMES = ("ada", "ben", "cem")
PATIENCE_S = 240.0
ROUNDS = 8


@pytest.fixture(scope="module")
def chaos() -> Iterator[Any]:
    """The benchmark that kills, as a module: its studies and its parties are what is tried here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(NETWORK))
        yield importlib.import_module("chaos")
        for name in ("chaos", "federation", "other_clock", "bad_line", "last_line"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def federation(chaos: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A hub and three hospitals that are up, and agree about the time."""
    other_clock = importlib.import_module("other_clock")
    if not other_clock.can_be_built():
        pytest.skip("a clock of its own for a process takes Linux and a compiler of C")
    folder = tmp_path_factory.mktemp("clocks")
    running = chaos.Federation(folder, NAMES, clocks=other_clock.OtherClocks(folder / "clocks"))
    try:
        running.begin()
        yield running
    finally:
        running.close()


@pytest.fixture(autouse=True)
def right_again(federation: Any) -> Iterator[None]:
    """Whatever a test did, the next one begins with clocks that agree."""
    yield
    for name in ("hub", *NAMES):
        federation.clocks.step(name, 0.0)


def until(true: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, f"not within {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.3)


def line_of(federation: Any, name: str) -> str:
    """How the hospital's line to the hub stands, as its people see it."""
    told: str = json.loads(federation.run("site", "status", "--json", "--home", str(federation.home(name)), name=name))["line"]
    return told


def begun(federation: Any, chaos: Any, number: int, *, private: bool) -> tuple[str, Path]:
    """A study of eight rounds that is in its second one; its hash and its file."""
    path = federation.folder / f"study-{number}.toml"
    text = chaos.PRIVATE if private else chaos.STUDY
    path.write_text(text.replace("NUMBER", str(number)).replace("ROUNDS", str(ROUNDS)))
    if private:
        federation.budgets(epsilon=8.0 * (number + 1), delta=1e-5)
    study = federation.submit(path)
    federation.approve(study)
    until(lambda: len(federation.state(study)["rounds"]) >= 2 or federation.state(study)["phase"] == "finished", "two rounds")
    return study, path


def require_whole(federation: Any, study: str, path: Path) -> None:
    """The model is the one of a simulation on the same files: no round was counted twice, and none without somebody."""
    assert federation.wait(study, PATIENCE_S) == "finished", federation.state(study)
    sites = {name: federation.folder / f"{name}.csv" for name in NAMES}
    reference = simulate(load_study(path), sites, out=federation.folder / f"by-{path.stem}", workers=0, register=False).model
    model, _ = read_tensors(federation.hub / "studies" / study / "run" / "model.safetensors")
    assert all(np.array_equal(model[name], reference[name]) for name in reference)
    for home in (federation.hub, *(federation.home(name) for name in NAMES)):
        assert not verify(home / "log").problem


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [pytest.param(6.0, "s ahead of", marks=pytest.mark.many), pytest.param(-310.0, "s behind", marks=pytest.mark.many)],
)
def test_a_clock_for_which_a_hospital_is_not_let_in_is_named_at_both_ends(ahead_s: float, words: str, federation: Any) -> None:
    """Both are turned away as a stranger would be; neither of the two people may have to guess."""
    federation.clocks.step("ada", ahead_s)
    until(lambda: words in line_of(federation, "ada"), "the hospital names its clock")
    off = int(line_of(federation, "ada").split(" s ")[0].split()[-1])
    assert abs(off - abs(ahead_s)) <= 2
    with pytest.raises(RuntimeError, match="clock: this machine's clock is"):  # and doctor ends with the code of a fault
        federation.run("site", "doctor", "--home", str(federation.home("ada")), name="ada")
    said = f"ada is not let in: its clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
    if ahead_s > 0:  # of one hospital it is said once in ten minutes
        until(lambda: said in (federation.folder / "hub.out").read_text(), "the hub's screen names it")
        assert any(one.code == "clock-differs" and said in one.text for one in ChainedLog(federation.hub / "log").entries())
    federation.clocks.step("ada", 0.0)
    until(lambda: line_of(federation, "ada") == "connected", "the hospital is let in again")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "who", "steps"),
    [
        (1, "ada", (6.0, -310.0)),
        pytest.param(3, "hub", (310.0, -6.5), marks=pytest.mark.many),
        pytest.param(5, "ben", (4.0, -280.0, 2.0), marks=pytest.mark.many),
        pytest.param(7, "hub", (250.0, -3.0), marks=pytest.mark.many),
    ],
)
def test_a_clock_that_is_set_during_a_study_loses_and_doubles_nothing(
    number: int, who: str, steps: tuple[float, ...], federation: Any, chaos: Any
) -> None:
    """Back and forth, beyond what is let in and within: the study waits or goes on, and its model is the very same."""
    watched = "ada" if who == "hub" else who
    study, path = begun(federation, chaos, number, private=False)
    for ahead_s in steps:
        federation.clocks.step(who, ahead_s)
        ahead_of_hub_s = -ahead_s if who == "hub" else ahead_s
        if not -300 < ahead_of_hub_s < 5 and federation.state(study)["phase"] != "finished":
            until(lambda: "clock" in line_of(federation, watched), f"{watched} names its clock")
    federation.clocks.step(who, 0.0)
    require_whole(federation, study, path)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "who"), [(2, "cem"), pytest.param(4, "hub", marks=pytest.mark.many)])
def test_a_clock_that_is_set_during_a_private_study_is_charged_for_each_round_once(
    number: int, who: str, federation: Any, chaos: Any
) -> None:
    """Each round is one line of each ledger: fewer is a promise broken, more is a budget lost."""
    study, _ = begun(federation, chaos, number, private=True)
    for ahead_s in (-310.0, 310.0, -3.0):
        federation.clocks.step(who, ahead_s)
        time.sleep(8.0)
    federation.clocks.step(who, 0.0)
    assert federation.wait(study, PATIENCE_S) == "finished", federation.state(study)
    for name in NAMES:
        ledger = Ledger(federation.home(name) / "ledgers" / "records.sqlite", begin=False)
        charged = [release for one, release in ledger.charges() if one == study and release.startswith("train/")]
        assert sorted(charged) == sorted(set(charged)) and len({one.split("/")[1] for one in charged}) == ROUNDS
