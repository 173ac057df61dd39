"""The command line, as a user meets it."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.small_study import write_hospitals, write_study
from wardround.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"


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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "table"])
def test_the_starter_study_is_sound(tmp_path: Path, kind: str) -> None:
    """The file we hand out must pass our own check, and is never written over the user's."""
    assert wardround("study", "new", tmp_path / "s.toml", "--kind", kind, home=tmp_path).returncode == 0
    checked = wardround("study", "check", tmp_path / "s.toml", home=tmp_path)
    assert checked.returncode == 0 and "sound" in checked.stdout
    again = wardround("study", "new", tmp_path / "s.toml", home=tmp_path)
    assert again.returncode == 2 and "--force" in again.stderr


@pytest.mark.slow
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


@pytest.mark.slow
def test_data_check_tells_ready_from_not_ready_by_its_exit_code(tmp_path: Path) -> None:
    """A data manager's script reads the exit code; she reads the words, and only what may be sent is silent of values."""
    study, hospitals = write_study(tmp_path), write_hospitals(tmp_path)
    ready = wardround("data", "check", hospitals["north"], "--contract", study, home=tmp_path)
    assert ready.returncode == 0 and "READY: these data can take part" in ready.stdout, ready.stdout + ready.stderr
    hospitals["north"].write_text("patient,pressure,smoker,ill\nMARKER-1,900,0,1\n", "utf-8")
    unready = wardround("data", "check", hospitals["north"], "--contract", study, home=tmp_path)
    assert unready.returncode == 3 and "NOT READY" in unready.stdout
    assert "values: '900' (1)" in unready.stdout
    sent = wardround("data", "check", hospitals["north"], "--contract", study, "--json", home=tmp_path)
    assert sent.returncode == 3 and "MARKER" not in sent.stdout + sent.stderr and "900" not in sent.stdout


@pytest.mark.slow
def test_two_hospitals_end_with_a_sentence_and_nothing_else(tmp_path: Path) -> None:
    """The first thing that a newcomer tries. A process of a hospital must not print its own traceback before the reason."""
    hospitals = dict(list(write_hospitals(tmp_path).items())[:2])
    sites = [word for name, path in hospitals.items() for word in ("--site", f"{name}={path}")]
    done = wardround("simulate", write_study(tmp_path), *sites, "--workers", "2", home=tmp_path)
    assert done.returncode == 2
    assert "2 sites cannot hide one contribution" in done.stderr and "summation.collusion = 0" in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


def test_a_registry_that_cannot_be_written_is_noticed_before_the_first_round(tmp_path: Path) -> None:
    """A night of training must not end with a folder that nobody may write."""
    (tmp_path / "file").write_text("not a folder", "utf-8")
    sites = [word for name, path in write_hospitals(tmp_path).items() for word in ("--site", f"{name}={path}")]
    command = [sys.executable, "-m", "wardround", "simulate", str(write_study(tmp_path)), *sites, "--out", str(tmp_path / "run")]
    environment = {"WARDROUND_HOME": str(tmp_path / "file" / "home"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 8
    assert "WARDROUND_HOME" in done.stderr and not (tmp_path / "run").exists()


def test_a_fault_of_our_own_is_one_sentence_and_verbose_shows_where(tmp_path: Path) -> None:
    """A traceback in front of a data manager says nothing, and one that is nowhere to be had helps nobody."""
    code = (
        "import sys\nfrom wardround.cli import main, demo\n"
        "def broken(): raise TypeError('of patient 7')\n"
        "main.app.command('broken')(broken)\nsys.argv = ['wardround', *sys.argv[1:]]\nmain.main()"
    )
    plain, told = (
        subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
        for words in (["broken"], ["-v", "broken"])
    )
    assert plain.returncode == told.returncode == 70
    assert "this is a fault of Wardround" in plain.stderr and "patient 7" not in plain.stderr
    assert "Traceback" in told.stderr and "patient 7" in told.stderr
    details = Path(plain.stderr.split("Where it happened is in ")[1].split(".txt")[0] + ".txt")
    assert "Traceback" in details.read_text() and "patient 7" in details.read_text()
    assert os.name != "posix" or details.stat().st_mode & 0o077 == 0
    details.unlink()


@pytest.mark.slow
def test_two_hospitals_of_one_name_are_refused(tmp_path: Path) -> None:
    """The second took the place of the first, and a study of four hospitals ran over three."""
    done = wardround("simulate", write_study(tmp_path), "--site", "north=a.csv", "--site", "north=b.csv", home=tmp_path)
    assert done.returncode == 2 and "--site names north more than once" in done.stderr


@pytest.mark.slow
def test_two_hospitals_of_the_same_data_are_warned_of(tmp_path: Path) -> None:
    """A slip in a path doubles every patient, and the figures look all the better; a link hides it from the eye."""
    study, hospitals = write_study(tmp_path), write_hospitals(tmp_path)
    (tmp_path / "link.csv").symlink_to(hospitals["north"])
    words = [f"--site=one={hospitals['north']}", f"--site=two={tmp_path / 'link.csv'}", f"--site=three={hospitals['south']}"]
    done = wardround("simulate", study, *words, "--workers", "0", "--out", tmp_path / "run", "--json", home=tmp_path)
    assert done.returncode == 0 and "Warning: hospitals one, two have the same data" in done.stderr, done.stderr
    assert "2 times" in done.stderr and "three" not in done.stderr and done.stdout.startswith("{")


def test_one_database_with_a_mapping_for_each_hospital_is_not_the_same_data() -> None:
    """Their queries may ask for different wards; a warning that is wrong is not read the next time."""
    from wardround.simulation.hospitals import of_same_data

    sites = {"a": "postgresql://me@db/his", "b": "postgresql://me@db/his"}
    assert of_same_data(sites) == (("a", "b"),)
    assert of_same_data(sites, {"a": "a.toml", "b": "b.toml"}) == ()


def test_the_shell_is_told_commands_and_options(tmp_path: Path) -> None:
    """Completion is asked for in an environment variable; an answer with anything else in it completes nothing."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "_WARDROUND_COMPLETE": "complete_bash"}
    for words, position, answer in (("wardround sim", 1, "simulate"), ("wardround simulate --sp", 2, "--split")):
        asked = environment | {"COMP_WORDS": words, "COMP_CWORD": str(position)}
        code = "from wardround.cli.main import main; import sys; sys.argv = ['wardround']; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=asked, check=False)
        assert (done.stdout.split(), done.stderr) == ([answer], "")
    assert not list(tmp_path.iterdir())  # nothing is written before somebody asks for it


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("words", "goes_on"), [(("demo", "--out", "run"), True), (("audit", "study.toml"), False)])
def test_ctrl_c_says_resume_only_where_that_works(words: tuple[str, ...], goes_on: bool, tmp_path: Path) -> None:
    """A hint that does not work when followed to the letter is worse than none."""
    (tmp_path / "study.toml").write_text((EXAMPLES / "heart_disease_private.toml").read_text("utf-8"), "utf-8")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "WARDROUND_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "wardround", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    ) as run:
        run.stdout.readline()  # it is at work
        run.send_signal(signal.SIGINT)
        _, told = run.communicate(timeout=60)
    assert run.returncode in (130, -signal.SIGINT)  # a shell shows 130 for both; the second where an import was cut short
    assert "Traceback" not in told
    assert ("interrupted; the run goes on with the same command and --resume" in told) is goes_on
    assert goes_on or told.rstrip().endswith("interrupted")


@pytest.mark.slow
@pytest.mark.parametrize("words", [("--help",), ("simulate", "--help"), ("report", "--help"), ("site", "ledger", "--help")])
def test_help_is_readable_at_80_columns(words: tuple[str, ...], tmp_path: Path) -> None:
    """Escapes of a library are not for people, and every argument is explained."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "COLUMNS": "80"}
    command = [sys.executable, "-m", "wardround", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "\\[" not in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    if "simulate" in words:
        assert "The study file (TOML)." in done.stdout


def test_a_disk_that_refuses_is_told_with_its_mend(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """ "Read-only file system" alone tells a data manager nothing to do."""

    def refused() -> None:
        raise OSError(errno.EROFS, "Read-only file system", "/srv/hub/hub.lock")

    monkeypatch.setattr("wardround.cli.main.app", refused)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert "/srv/hub/hub.lock: Read-only file system. What to do: the disk is mounted read-only" in capsys.readouterr().err
