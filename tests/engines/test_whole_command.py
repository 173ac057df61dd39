"""Hospitals' processes as a user's terminal and a user's script meet them: through whole programs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.small_study import write_hospitals, write_study
from wardround.engines.local.fork_client import can_fork

from .processes import descendants_of, wait_until_gone

NOISY = """
import os, sys, threading
if {"wardround.engines.local.worker", "wardround.engines.local.fork_server"} & set(sys.orig_argv):
    start = threading.Thread.start
    def noisy(self):
        print("noise of a library")
        os.write(1, b"noise of its C code\\n")
        start(self)
    threading.Thread.start = noisy
"""
"""A sitecustomize.py: every thread that starts in a hospital's process makes noise on stdout."""


def command(folder: Path, *more: str) -> list[str]:
    sites = [word for name, path in write_hospitals(folder).items() for word in ("--site", f"{name}={path}")]
    study = write_study(folder, rounds=400 if "--endless" in more else 2)
    words = [word for word in more if word != "--endless"]
    return [
        sys.executable,
        "-m",
        "wardround",
        "simulate",
        str(study),
        *sites,
        "--out",
        str(folder / "run"),
        "--workers",
        "2",
        *words,
    ]


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "WARDROUND_HOME": str(folder / "home")}


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment(folder), cwd=folder, timeout=120)


@pytest.mark.slow
def test_what_a_library_prints_in_a_hospital_s_process_reaches_stderr_alone(tmp_path: Path) -> None:
    """Programs parse the one object that --json prints; a library's greeting in front of it would break them."""
    (tmp_path / "sitecustomize.py").write_text(NOISY, "utf-8")
    done = run(command(tmp_path, "--json", "--no-own"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rounds"] == 2
    assert "noise of a library" in done.stderr
    assert "noise of its C code" in done.stderr


@pytest.mark.slow
def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    """The README's ten lines are typed into a file as they are. A hospital's process that ran them again would start more."""
    sites = {name: str(path) for name, path in write_hospitals(tmp_path).items()}
    script = tmp_path / "script.py"
    script.write_text(
        "import wardround as wr\n"
        "print('once')\n"
        f"run = wr.simulate({str(write_study(tmp_path))!r}, {sites!r}, out='run', workers=2, register=False)\n"
        "print(run.metrics['rounds'])\n",
        "utf-8",
    )
    done = run([sys.executable, str(script)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["once", "3"]


@pytest.mark.slow
@pytest.mark.skipif(not can_fork(), reason="watches the processes through /proc")
def test_ctrl_c_ends_every_process_with_one_sentence_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to all processes at once. A traceback from each would bury what the user has to do next."""
    words = command(tmp_path, "--endless", "--no-own", "--json")
    with subprocess.Popen(
        words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(tmp_path), start_new_session=True
    ) as process:
        wait_for(tmp_path / "run" / "checkpoint.safetensors", process)
        processes = descendants_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert errors.strip() == "interrupted; the run goes on with the same command and --resume"
    assert len(processes) == 4
    wait_until_gone(processes)


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    while not path.exists():
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a shell closes streams")
@pytest.mark.parametrize("closed", [pytest.param("2>&-", marks=pytest.mark.many), "<&- >&- 2>&-"])
def test_a_run_whose_standard_streams_are_closed_ends_well(tmp_path: Path, closed: str) -> None:
    """Some schedulers close them; the run's own files then took their numbers, and it ended with 70 or without an answer."""
    words = ["bash", "-c", f'exec "$0" "$@" {closed}', *command(tmp_path)]
    ended = subprocess.run(words, check=False, env=environment(tmp_path), cwd=tmp_path, timeout=120)
    assert ended.returncode == 0
    assert (tmp_path / "run" / "report.html").stat().st_size > 0
