"""kill -9 of a whole simulation, for real, again and again; then --resume: the model of the uninterrupted run, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wardround.simulation.simulate import simulate

from ..roles.tiny_federation import NAMES, records, study

SCRIPT = Path(__file__).with_name("killed_simulation.py")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """A process that ended and waits to be reaped has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


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
        children = children_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    assert len(children) == (len(NAMES) if workers > 1 else 0)
    until = time.monotonic() + 20
    while any(is_running(child) for child in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(is_running(child) for child in children), "a site's process outlived its parent"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="watches the processes through /proc")
@pytest.mark.parametrize(
    ("algorithm", "workers", "moments"),
    [
        ("fedavg", 0, [("ExchangeStarted(step='train', number=1", 0.02), ("RoundFinished(number=2", 0.0)]),
        ("scaffold", 0, [("SiteAnswered(site='north')", 0.0), ("number=2", 0.05), ("step='own', number=2", 0.03)]),
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
