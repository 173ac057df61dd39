"""The commands that README, tutorial and the page of commands show are run from top to bottom, in a folder as the pages say.

Where a page shows a whole study, it is written to study.toml first, as a reader would do it.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import wardround as wr
from wardround.simulation.demo import demo_study
from wardround.sources.synthetic.hospitals import demo_hospitals

from .pages import ROOT, read, sections

RUN_ELSEWHERE = {
    "wardround demo": "tests/engines",
    "wardround study privacy study.toml --try": "tests/cli, on a small study; here it is six runs on a backbone",
    "wardround audit": "tests/audit",
    "wardround clinic": "tests/clinic: what it serves never ends",
    "wardround data get": "nowhere: it asks a publisher",
    **dict.fromkeys(
        (
            "wardround hub",
            "wardround site join",
            "wardround site data",
            "wardround site up",
            "wardround site review",
            "wardround site approve",
        ),
        "tests/deployment: they need a hub, three hospitals and four terminals",
    ),
}
SHOWN_HASH = "1b91ca"
"""Of a model, on the pages. The reader's own model has another."""
HEART_DISEASE = Path(os.environ.get("WARDROUND_DATA", "")) / "uci_heart_disease"
_STEP = re.compile(r"^```toml\n(?P<study>format = 1\n(?:(?!```).*\n)*)```|^    (?P<command>wardround .+)$", re.MULTILINE)


def steps(page: str) -> Iterator[tuple[str, str]]:
    """("study", TOML) and ("command", line), from top to bottom. What stands after `$ ` ends with an error or prints something:
    a test of its own compares it."""
    for step in _STEP.finditer(read(page)):
        if step["study"]:
            yield "study", step["study"]
        else:
            yield "command", re.sub(r" {2,}#.*", "", step["command"]).strip()


class Reader:
    """Somebody who follows a page in a folder of her own, on a terminal of 80 columns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._study = folder / "study.toml"
        self.followed: list[str] = []

    def write(self, study: str) -> None:
        self._study.write_text(study, "utf-8")

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """The command in a process of its own. What it would write with `> FILE` is in stdout."""
        return subprocess.run(
            [sys.executable, "-m", *shlex.split(command.partition(" > ")[0])],
            capture_output=True,
            text=True,
            env=os.environ | {"WARDROUND_HOME": str(self.folder / "home"), "COLUMNS": "80"},
            cwd=self.folder,
            check=False,
            timeout=300,  # a page may show a service, which never ends
        )

    def follow(self, command: str) -> None:
        if any(command.startswith(words) for words in RUN_ELSEWHERE):
            return
        is_starter = command.startswith("wardround study new")
        if is_starter:
            self._study.unlink(missing_ok=True)
        ended = self.run(command.replace(SHOWN_HASH, self._newest_model() if SHOWN_HASH in command else ""))
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
        if "--json" in command:
            json.loads(ended.stdout)
        if is_starter:
            self._shorten()
        self.followed.append(command)

    def _newest_model(self) -> str:
        return self.run("wardround models list").stdout.split("│")[1].strip()[: len(SHOWN_HASH)]

    def _shorten(self) -> None:
        """Of the starter: two rounds of a small network. No command of a page depends on how long it trains."""
        text = self._study.read_text("utf-8")
        for line, shorter in (
            (r"local_epochs = \d+", "local_epochs = 1"),
            (r"rounds = \d+", "rounds = 2"),
            (r'name = "small_cnn"', 'name = "logistic"'),
        ):
            text, count = re.subn(f"^{line}", shorter, text, flags=re.MULTILINE)
            assert count == 1, f"the starter has no line {line}"
        self.write(text)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """examples/, with three rounds; in runs/demo the hospitals of the demo and one round of it. Data are what the pages' own
    command makes."""
    (tmp_path / "examples").mkdir()
    for study in (ROOT / "examples").glob("*.toml"):
        text = re.sub(r"^rounds = \d+", "rounds = 3", study.read_text("utf-8"), flags=re.MULTILINE)
        (tmp_path / "examples" / study.name).write_text(text, "utf-8")
    changes = {"network": {"name": "logistic", "width": None}, "algorithm": {"rounds": 1}, "evaluation": {"own_baseline": False}}
    short = demo_study(1).revised(**changes)
    wr.simulate(short, demo_hospitals(1), out=tmp_path / "runs/demo", workers=0, register=False, synthetic=True)
    return Reader(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not HEART_DISEASE.is_dir(), reason="WARDROUND_DATA holds no uci_heart_disease, which the pages use")
@pytest.mark.parametrize(
    ("page", "at_least"),
    [
        ("README.md", 7),
        pytest.param("docs/tutorial.md", 26, marks=pytest.mark.many),  # two minutes
        ("docs/commands.md", 1),
        ("docs/data.md", 3),
    ],
)
def test_the_commands_of_a_page_work_from_top_to_bottom(page: str, at_least: int, reader: Reader) -> None:
    """Two commands in a row that take the same folder, or hospitals that are too few, stop a newcomer at once."""
    if page != "docs/tutorial.md":
        reader.follow("wardround study new study.toml")
        reader.follow("wardround data make")
    for kind, text in steps(page):
        reader.write(text) if kind == "study" else reader.follow(text)
    assert len(reader.followed) >= at_least, reader.followed
    assert list(files_that_differ_from_the_page(reader.folder / "runs")) == []


def files_that_differ_from_the_page(runs: Path) -> Iterator[str]:
    """Files of run folders that the page of commands does not list, or that others may read although it says no."""
    rows = [line.split(" | ") for line in sections(read("docs/commands.md"))["wardround simulate"].splitlines()]
    readable = {name: row[-1] != "no |" for row in rows for name in re.findall("`([^`]+)`", row[0]) if len(row) == 3}
    for path in sorted(path for run in runs.iterdir() for path in run.rglob("*") if path.is_file()):
        name = "/".join(path.relative_to(runs).parts[1:])
        rules = [may for listed, may in readable.items() if fnmatchcase(name, listed.replace("NAME", "*").replace("…", "*"))]
        if not rules or (path.stat().st_mode & 0o077 and not all(rules)):
            yield name


@pytest.mark.slow
def test_the_shown_price_of_a_private_study_is_the_one_that_the_program_prints(tmp_path: Path) -> None:
    """Whoever compares what she sees with the page must find the same numbers."""
    shown = read("docs/commands.md").split("heart_disease_private.toml --json\n")[1].split("\n\n")[0]
    printed = Reader(tmp_path).run(f"wardround study privacy {ROOT}/examples/heart_disease_private.toml --json").stdout
    assert _to_nine_digits(printed) == _to_nine_digits(shown)


def _to_nine_digits(text: str) -> object:
    """Machines may differ in the last bits of a figure."""
    return json.loads(text, parse_float=lambda digits: f"{float(digits):.9g}")


@pytest.mark.slow
def test_the_shown_problems_of_a_study_are_those_that_the_program_prints(tmp_path: Path) -> None:
    """The page shows what a misspelt setting looks like."""
    reader = Reader(tmp_path)
    reader.run("wardround study new study.toml")
    text = (tmp_path / "study.toml").read_text("utf-8").replace("learning_rate =", "lerning_rate =")
    reader.write(re.sub(r"^rounds = \d+", "rounds = -1", text, flags=re.MULTILINE))
    shown = read("docs/commands.md").split("    $ wardround study check study.toml\n")[1].split("\n\n")[0]
    assert reader.run("wardround study check study.toml").stderr.splitlines() == [line[4:] for line in shown.splitlines()]
