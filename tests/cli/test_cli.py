"""The command line, as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.small_study import write_hospitals, write_study


def wardround(*words: str | Path, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wardround", *map(str, words)]
    environment = {"WARDROUND_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(home), "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=home)


def test_help_loads_nothing_heavy() -> None:
    """A command that takes seconds to say how it is used is not used."""
    code = (
        "import sys; sys.argv = ['wardround', '--help']\n"
        "from wardround.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'flwr', 'fastapi', 'polars', 'sqlalchemy', 'onnxruntime', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout and "simulate" in done.stdout


def test_import_loads_nothing_heavy() -> None:
    """`import wardround` is done by programs that may never train."""
    code = "import wardround, sys; sys.exit(int('torch' in sys.modules or 'pydantic' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_from_a_new_study_to_a_model(tmp_path: Path) -> None:
    """The whole way of a newcomer, through real processes."""
    study, hospitals = write_study(tmp_path), write_hospitals(tmp_path)
    sites = [word for name, path in hospitals.items() for word in ("--site", f"{name}={path}")]
    done = wardround("simulate", study, *sites, "--out", tmp_path / "run", "--workers", 0, "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["pooled"]["federated"]["auc"] > 0.8
    listed = wardround("models", "list", home=tmp_path)
    assert "A small" in listed.stdout, listed.stdout + listed.stderr
    name = wardround("models", "show", json.loads((tmp_path / "run" / "record.json").read_text())["run_id"], home=tmp_path)
    assert "fedavg, 3 rounds" in name.stdout, name.stdout + name.stderr
    digest = name.stdout.split()[1]
    exported = wardround("models", "export", digest[:10], tmp_path / "m.onnx", home=tmp_path)
    assert exported.returncode == 0 and (tmp_path / "m.onnx").read_bytes() == (tmp_path / "run" / "model.onnx").read_bytes()
    (tmp_path / "run" / "report.html").unlink()
    assert wardround("report", tmp_path / "run", home=tmp_path).returncode == 0
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("kind", ["image", "table"])
def test_the_starter_study_is_sound(tmp_path: Path, kind: str) -> None:
    """The file we hand out must pass our own check, and is never written over the user's."""
    assert wardround("study", "new", tmp_path / "s.toml", "--kind", kind, home=tmp_path).returncode == 0
    checked = wardround("study", "check", tmp_path / "s.toml", home=tmp_path)
    assert checked.returncode == 0 and "sound" in checked.stdout
    again = wardround("study", "new", tmp_path / "s.toml", home=tmp_path)
    assert again.returncode == 2 and "--force" in again.stderr


def test_mistakes_end_with_a_sentence_and_never_a_traceback(tmp_path: Path) -> None:
    """Bad input is the normal case of a first day."""
    study = write_study(tmp_path)
    broken = tmp_path / "broken.toml"
    broken.write_text(study.read_text().replace("learning_rate", "learning_rte"), "utf-8")
    hospitals = write_hospitals(tmp_path)
    cases = [
        (("study", "check", tmp_path / "absent.toml"), 2, "no study file"),
        (("study", "check", broken), 2, "did you mean learning_rate?"),
        (("simulate", study, "--site", "north"), 2, "NAME=PATH"),
        (("simulate", study, "--site", "north=nowhere.csv"), 3, "nothing at"),
        (("simulate", study, "--site", f"north={hospitals['north']}", "--out", "r"), 2, "nobody to hide among"),
        (("simulate", study, "--split", "halves"), 2, "--split"),
        (("data", "check", "nowhere", "--contract", study), 3, "nothing at"),
        (("data", "get", "nothing"), 3, "nothing"),
        (("models", "show", "abc"), 8, ""),
        (("report", tmp_path), 6, "no finished run"),
    ]
    for words, code, text in cases:
        done = wardround(*words, home=tmp_path)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        assert text in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr and done.stdout == "", (words, done.stderr)


def test_data_check_tells_ready_from_not_ready_by_its_exit_code(tmp_path: Path) -> None:
    """A data manager's script reads the exit code; she reads the words."""
    study, hospitals = write_study(tmp_path), write_hospitals(tmp_path)
    ready = wardround("data", "check", hospitals["north"], "--contract", study, home=tmp_path)
    assert ready.returncode == 0 and "READY: these data can take part" in ready.stdout, ready.stdout + ready.stderr
    hospitals["north"].write_text("patient,pressure,smoker,ill\nMARKER-1,900,0,1\n", "utf-8")
    unready = wardround("data", "check", hospitals["north"], "--contract", study, home=tmp_path)
    assert unready.returncode == 3 and "NOT READY" in unready.stdout
    assert "MARKER" not in unready.stdout + unready.stderr and "900" not in unready.stdout
