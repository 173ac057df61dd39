"""The short form of the benchmark that kills: whole studies between real processes, under what this machine allows."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="the extra `network` is not installed")

CHAOS = Path(__file__).parents[2] / "benchmarks" / "network" / "chaos.py"


def steps() -> Iterator[str]:
    """What the hand may do here: full disks take root, clocks of their own a compiler; both take Linux."""
    yield from ("kill", "line")
    if sys.platform == "linux" and shutil.which("cc"):
        yield "clock"
    if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount"):
        yield "disk"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_studies_under_a_hand_that_kills_end_with_the_model_or_a_reason(tmp_path: Path) -> None:
    """A model that differs, a ledger that knows of less than left, a broken log or a study without an end is a broken promise."""
    command = [sys.executable, str(CHAOS), "--kills", "6", "--rounds", "5", "--mean", "5", "--seed", "3", "--steps", *steps()]
    done = subprocess.run(command, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["kills"] >= 6
    assert figures["same_or_refused"] == figures["runs"], done.stdout
    assert (figures["hung"], figures["ledgers_short"], figures["logs_broken"]) == (0, 0, 0), done.stdout
