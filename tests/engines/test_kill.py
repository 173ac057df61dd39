"""kill -9 of a whole simulation, for real, again and again; then --resume: the model of the uninterrupted run, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wardround.engines.local.fork_client import can_fork
from wardround.simulation.simulate import simulate

from ..federation.tiny_federation import NAMES, records, study
from .processes import descendants_of, wait_until_gone

SCRIPT = Path(__file__).with_name("killed_simulation.py")


def run_until(moment: str, delay_s: float, folder: Path, algorithm: str, workers: int) -> None:
    """Runs the simulation, new or resumed, and kills it `delay_s` after it has said `moment`."""
    command = [sys.executable, str(SCRIPT), str(folder), algorithm, str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if moment in line:
                break
        else:
            pytest.fail(f"the run ended before it said {moment}")
        time.sleep(delay_s)
        children = descendants_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    assert len(children) == (can_fork() + len(NAMES) if workers > 1 else 0)  # the fork server, and one a hospital
    wait_until_gone(children)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="watches the processes through /proc")
@pytest.mark.parametrize(
    ("algorithm", "workers", "moments"),
    [
        ("fedavg", 0, [("ExchangeStarted(step='train', number=1", 0.02), ("RoundFinished(number=2", 0.0)]),
        pytest.param(
            "scaffold",
            0,
            [("SiteAnswered(site='north')", 0.0), ("number=2", 0.05), ("step='own', number=2", 0.03)],
            marks=pytest.mark.many,
        ),
        ("scaffold", 2, [("ExchangeStarted(step='train', number=2", 0.03), ("ExchangeStarted(step='evaluate'", 0.01)]),
    ],
    ids=["fedavg in order", "scaffold in order", "scaffold side by side"],
)
def test_killed_and_resumed_is_uninterrupted(
    tmp_path: Path, algorithm: str, workers: int, moments: list[tuple[str, float]]
) -> None:
    """A power cut in the night before the paper is due. Each kill hits the run that was resumed after the one before."""
    for moment, delay_s in moments:
        run_until(moment, delay_s, tmp_path / "killed", algorithm, workers)
        assert not (tmp_path / "killed" / "model.safetensors").exists()
    of = study(algorithm, own=True)
    resumed = simulate(of, out=tmp_path / "killed", resume=True, workers=0, register=False)
    straight = simulate(of, {name: records(name) for name in NAMES}, out=tmp_path / "straight", workers=0, register=False)
    models = [(run.folder / "model.safetensors").read_bytes() for run in (resumed, straight)]
    assert models[0] == models[1]
    figures = [{key: run.metrics[key] for key in ("sites", "pooled")} for run in (resumed, straight)]
    assert figures[0] == figures[1]
