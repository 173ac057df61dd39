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
    """What the hand may do here: clocks of their own take Linux and a compiler. Full disks take root, and would stay mounted."""
    yield from ("kill", "line")
    if sys.platform == "linux" and shutil.which("cc"):
        yield "clock"


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_studies_under_a_hand_that_kills_end_with_the_model_or_a_reason(tmp_path: Path) -> None:
    """A model that differs, a ledger that knows of less than left, a broken log or a study without an end is a broken promise."""
    command = [sys.executable, str(CHAOS), "--kills", "4", "--rounds", "4", "--mean", "6", "--seed", "3", "--steps", *steps()]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True) as running:
        try:
            said, _ = running.communicate(timeout=2300)
        finally:
            running.terminate()  # it ends what it has started
    assert running.returncode == 0, said[-3000:]
    figures = json.loads(said.splitlines()[-1])
    assert figures["kills"] >= 4
    assert figures["same_or_refused"] == figures["runs"], said
    assert (figures["hung"], figures["ledgers_short"], figures["logs_broken"]) == (0, 0, 0), said
