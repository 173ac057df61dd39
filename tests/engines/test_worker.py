"""What a hospital's process says when it ends by a fault."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from pathlib import Path
from wardround.engines.local.worker import _answer

class Broken:
    def handle(self, message):
        raise {error}

_answer(Broken(), b"an order", Path(sys.argv[1]))
"""


def ended_by(error: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE.format(error=error), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_fault_is_one_line_on_the_screen_and_whole_in_the_hospitals_log(tmp_path: Path) -> None:
    """A traceback may quote a patient: it stays in the hospital's folder, and does not bury the run's own message."""
    (folder := tmp_path / "north").mkdir()
    done = ended_by("TypeError('patient 7')", folder)
    assert done.returncode != 0
    assert done.stderr == "north ends: a fault of Wardround, TypeError\n"
    line = json.loads((folder / "log.ndjson").read_text())
    assert line["code"] == "fault" and "Traceback" in line["text"] and "patient 7" in line["text"]


@pytest.mark.parametrize("error", ["OSError(28, 'No space left on device')"])
def test_what_the_system_refuses_is_said_as_it_says_it(error: str, tmp_path: Path) -> None:
    """On a full disk the log cannot be written either: what is on the screen is all there is, and says so."""
    done = ended_by(error, tmp_path / "no-folder" / "north")
    log_line, last = done.stderr.splitlines()
    assert "log.ndjson cannot be written" in log_line and "left out: fault" in log_line
    assert last == "north ends: No space left on device"
