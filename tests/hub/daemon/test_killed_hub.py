"""The hub's process is killed at any write: power cuts, updates, a machine without memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wardround.values.chained_log import verify

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="each life is a fork")
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.many)])
def test_a_hub_that_is_killed_at_any_write_ends_with_the_same_model(tmp_path: Path, seed: int) -> None:
    """In every phase, as often as it takes, with a hospital that is away and a person who stops it in between."""
    command = [sys.executable, "-m", "tests.hub.daemon.killed_hub", str(tmp_path), str(seed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["model"] == told["reference"] and told["rounds"] == 3
    assert {"offered", "running", "waiting", "stopped"} <= told["phases"].keys() and told["lives"] > 10
    check = verify(tmp_path / "disturbed" / "hub" / "log")
    assert not check.problem
