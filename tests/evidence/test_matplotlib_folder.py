"""matplotlib's own files lie in Wardround's folder, and a user who has set it up keeps what she has chosen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOWN = "import matplotlib as m, os; print(m.get_cachedir(), m.rcParams['lines.linewidth'], os.environ.get('MPLCONFIGDIR'))"


def shown(folder: Path, program: str, **variables: str) -> list[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "WARDROUND_HOME": str(folder / "ours"), **variables}
    command = [sys.executable, "-c", f"{program}; {SHOWN}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.slow
def test_a_user_s_own_settings_are_read_and_her_caches_are_left_alone(tmp_path: Path) -> None:
    """In a notebook matplotlib is the user's as well: charts of a report must not change how hers look."""
    settings = tmp_path / ".config" / "matplotlib" / "matplotlibrc"
    settings.parent.mkdir(parents=True)
    settings.write_text("lines.linewidth: 7.5\n")
    assert shown(tmp_path, "import wardround.evidence.charts") == [str(tmp_path / "ours" / "matplotlib"), "7.5", "None"]
    assert not (tmp_path / ".cache").exists()


@pytest.mark.slow
def test_a_folder_that_the_user_has_chosen_stays(tmp_path: Path) -> None:
    """MPLCONFIGDIR is set where a home cannot be written, in containers above all."""
    chosen = str(tmp_path / "chosen")
    assert shown(tmp_path, "import wardround.evidence.charts", MPLCONFIGDIR=chosen) == [chosen, "1.5", chosen]
    first = shown(tmp_path, "import matplotlib.font_manager, wardround.evidence.charts")
    assert first == [str(tmp_path / ".cache" / "matplotlib"), "1.5", "None"]
