"""The way of docs/deploy.md, as a newcomer types it: a hub and three hospitals, each a machine of its own where it can be."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from wardround.evidence.pack_check import check_pack, split_views
from wardround.study.record.run_record import RunRecord
from wardround.values.chained_log import verify
from wardround.values.tensor_file import read_tensors

SCRIPT = Path(__file__).parents[2] / "examples" / "three_hospitals.sh"
NAMES = ("north", "south", "west")
OWN, SHARED = "the hub and each hospital have a network of their own", "share the loopback device"

pytest.importorskip("flwr", reason="the extra `network` is not installed")


@dataclass(frozen=True)
class Run:
    """What the script left in its folder, and what it said."""

    folder: Path
    output: str


def script(folder: Path, wardround: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WARDROUND": wardround, **more}
    return subprocess.run(["bash", SCRIPT, folder], env=environment, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("three")
    (wardround := folder / "wardround").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wardround "$@"\n')
    wardround.chmod(0o700)
    done = script(folder / "parties", str(wardround))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Run(folder / "parties", done.stdout)


@pytest.mark.slow
def test_from_nothing_to_a_model_between_three_hospitals(run: Run) -> None:
    """Every command of the page runs, the words agree, a model is there, and three hospitals can prove what they did."""
    folder = run.folder
    assert left_running(folder) == []
    (model,) = folder.glob("hub/hub/studies/*/run/model.safetensors")
    assert read_tensors(model)[0]
    require_evaluated(folder, model)
    checks = tuple(check_pack(folder / name / "evidence.zip") for name in NAMES)
    assert not any(check.problems for check in checks) and not split_views(checks)
    assert not any(verify(folder / name / "site" / "log").problem for name in NAMES)
    assert not verify(folder / "hub" / "hub" / "log").problem


@pytest.mark.slow
def test_each_of_them_had_a_network_of_its_own(run: Run) -> None:
    """Over the loopback device nothing shows that one port of the hub is all that a hospital needs. Where no networks can be had,
    this is the test that was not run, and the report says why."""
    if OWN in run.output:
        return
    pytest.skip(next(line.lstrip("# ") for line in run.output.splitlines() if SHARED in line))


def test_without_networks_it_says_so_and_why(tmp_path: Path) -> None:
    """A run that fell back in silence was taken for one in three networks."""
    (commands := tmp_path / "bin").mkdir()
    for name in ("bash", "id", "dirname", "mkdir", "mktemp", "tail", "env"):
        (commands / name).symlink_to(shutil.which(name) or name)
    said = script(tmp_path / "parties", "/nowhere/wardround", PATH=str(commands)).stdout.splitlines()
    why = "there is no command ip (iproute2)" if os.geteuid() == 0 else "this is not root"
    assert said[0] == f"# no networks of their own ({why}): hub and hospitals share the loopback device"
    bad_line = script(tmp_path / "parties", "/nowhere/wardround", PATH=str(commands), WARDROUND_NETEM="delay 80ms")
    assert bad_line.returncode == 1
    assert bad_line.stderr == f"WARDROUND_NETEM, WARDROUND_LOSS and WARDROUND_RATE need networks of their own: {why}\n"


def require_evaluated(folder: Path, model: Path) -> None:
    """The finished model again, on the same test patients and without a round: the same figures to the last bit, two hospitals
    answering by their policies and one by a person."""
    (copy,) = folder.glob("hub/hub/studies/*/run/evaluated.safetensors")
    learned, evaluated = (RunRecord.from_json((path.parent / "record.json").read_bytes()) for path in (model, copy))
    assert copy.read_bytes() == model.read_bytes() and evaluated.evaluated is not None
    assert (evaluated.rounds, evaluated.model, evaluated.hospitals) == ((), None, NAMES)
    assert learned.pooled is not None and evaluated.pooled is not None
    assert evaluated.pooled.federated == learned.pooled.federated
    deciders = {}
    for name in NAMES:
        decision = folder / name / "site" / "studies" / evaluated.study_hash / "decision.json"
        deciders[name] = json.loads(decision.read_bytes())["signed"]["statement"]["by"]
    assert deciders["west"] == "Data manager of west"
    assert all(deciders[name].startswith("policy ") for name in ("north", "south"))
    assert not check_pack(folder / "north" / "evaluation.zip").problems


def left_running(folder: Path) -> list[str]:
    """Processes of this machine that have the folder in their environment; none where there is no /proc."""
    running = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(folder).encode() in (process / "environ").read_bytes():
                running.append((process / "cmdline").read_bytes().decode("utf-8", "replace"))
    return running
