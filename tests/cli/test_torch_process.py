"""What a hub has PyTorch for is done in a process that ends; the hub itself never loads it."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.federation.tiny_federation import study
from tests.hub.daemon.hub_ward import HubWard, hub_ward, until
from wardround.cli.hub import torch_process
from wardround.cli.hub.torch_process import BEGIN, FACTS, FIRST_MODEL, FinishingElsewhere, NetworksElsewhere, write_evidence
from wardround.hub.artifacts import MODEL, REPORT
from wardround.hub.daemon.finishing import Finishing
from wardround.hub.daemon.runner import Means
from wardround.plan.plan import Plan
from wardround.values.canonical import sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError

HUBS_MODULES = (
    "wardround.cli.hub.wiring, wardround.engines.flower.hub, wardround.engines.remote.hub_post, wardround.hub.daemon.service, "
    "wardround.hub.daemon.finishing, wardround.hub.dashboard.server, wardround.hub.daemon.enrolment"
)


@pytest.mark.slow
def test_a_hub_that_is_up_has_not_loaded_pytorch() -> None:
    """It takes 200 MB of a process that only adds and sends, and seconds of each start."""
    program = f"import sys, {HUBS_MODULES}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "False\n"


def with_pytorch_elsewhere(hub: HubWard) -> Means:
    return replace(hub.means, finishing=FinishingElsewhere(Finishing(write_evidence)), networks=NetworksElsewhere)


@pytest.mark.slow
def test_a_study_ends_the_same_with_pytorch_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The facts of the network and its first model are those of this process, and so is everything after them."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    with hub_ward(tmp_path / "ward") as hub:
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
        elsewhere, here = Plan(folder.study(), NetworksElsewhere(folder)), Plan(folder.study())
        assert elsewhere.network == here.network
        first, expected = elsewhere.initial_model(), here.initial_model()
        assert first.keys() == expected.keys()
        assert all(np.array_equal(first[name], expected[name]) for name in expected)
        monkeypatch.setattr(HubWard, "means", with_pytorch_elsewhere(hub))
        with hub.up():
            state = until(folder, "finished", "failed")
        assert state.phase == "finished", state.reason
        assert state.model == sha256_hex((folder.run / MODEL).read_bytes())
        assert (folder.run / REPORT).exists() and not (folder.path / FIRST_MODEL).exists()


def test_facts_of_another_release_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another release may name a network's arrays otherwise."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
    networks, made = NetworksElsewhere(folder), []
    stored = {"shapes": {}, "trainable": [], "norms": []}

    def make(work: str, path: Path) -> str:
        made.append(work)
        write_atomic(path / FACTS, json.dumps({**stored, "maker": torch_process._maker(folder.hash)}).encode(), private=True)
        return ""

    monkeypatch.setattr(torch_process, "_done_elsewhere", make)
    for content in (json.dumps({**stored, "maker": "another"}), "no JSON", "[]"):
        write_atomic(folder.path / FACTS, content.encode(), private=True)
        assert networks.facts(Plan(folder.study())).shapes == {}
    assert networks.facts(Plan(folder.study())).shapes == {}
    assert made == ["network"] * 3


@pytest.mark.slow
def test_what_the_other_process_raises_is_raised_here(tmp_path: Path) -> None:
    """A person reads the same words and the same mend, wherever the work is done."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
        with pytest.raises(RunError, match=r"holds no run.*wardround hub resume"):
            FinishingElsewhere(Finishing(write_evidence)).write(folder)


@pytest.mark.slow
def test_the_other_process_ends_well_while_the_hub_goes_on(tmp_path: Path) -> None:
    """It waits for the end of the hub on its standard input, and Python calls it a fatal error where it still does at its own
    end, on the hub's screen and with a core dump."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
    command = [sys.executable, "-m", "wardround.cli.hub.torch_process", "network", str(folder.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        process.stdin.write(BEGIN)
        process.stdin.flush()
        said, printed = process.stdout.read(), process.stderr.read()
        ended = process.wait()
    assert (ended, printed, json.loads(said)) == (0, b"", {"model": ""})


def test_the_other_process_ends_with_the_hub() -> None:
    """A hub that was killed and started again does the same work: two processes would write the same files."""
    program = (
        "import threading, time; from wardround.cli.hub.torch_process import _end_with_the_hub as end; "
        "end(threading.Event()); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        process.stdin.close()
        assert process.wait(30) == 1


def test_the_process_that_waits_to_finish_a_run_has_begun_nothing_and_ends_when_it_is_not_wanted(tmp_path: Path) -> None:
    """It is started with the last round. A person may stop the study there: nothing is written, and no process stays behind."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
    finishing = FinishingElsewhere(Finishing(write_evidence))
    before = sorted(folder.path.rglob("*"))
    with finishing.made_ready(folder), finishing.made_ready(folder):
        (ready,) = finishing._ready.values()
        process = ready._process
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL
    assert not finishing._ready and sorted(folder.path.rglob("*")) == before


def test_a_waiting_process_that_died_is_told_as_any_other(tmp_path: Path) -> None:
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
        finishing = FinishingElsewhere(Finishing(write_evidence))
        with finishing.made_ready(folder):
            (ready,) = finishing._ready.values()
            ready._process.kill()
            ready._process.wait()
            with pytest.raises(RunError, match=r"ended before its work.*wardround hub resume"):
                finishing.write(folder)
