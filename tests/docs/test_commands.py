"""Every command, option and environment variable is documented."""

import re
from collections.abc import Iterator

import click
import pytest
import typer.main

from wardround.cli.main import app
from wardround.cli.simulate import parse_split
from wardround.hub import artifacts as artifacts
from wardround.tasks.binary.figures import METRICS
from wardround.values.errors import StudyError

from .pages import ROOT, read, sections

PAGE = read("docs/commands.md")


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by its words, without groups."""
    root = typer.main.get_command(app)
    assert isinstance(root, click.Group)
    yield from leaves("", root)


def leaves(words: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        whole = f"{words} {name}".strip()
        if isinstance(command, click.Group):
            yield from leaves(whole, command)
        else:
            yield whole, command


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    """What is not written down is found by nobody, or relied on by mistake."""
    assert f"`wardround {name}`" in PAGE, "name it in the table at the top"
    body = sections(PAGE)[f"wardround {name.split()[0]}"]
    assert " " not in name or f"**`{name}" in body
    options = [
        word for option in command.params if isinstance(option, click.Option) for word in (*option.opts, *option.secondary_opts)
    ]
    assert [word for word in options if not re.search(rf"`{word}[ `]", body)] == []


def test_no_command_is_documented_that_does_not_exist() -> None:
    """A page that promises more than the program is worse than a short one."""
    known = {name for name, _ in commands()}
    table = re.findall(r"^\| \[`wardround ([a-z -]+)`\]", PAGE, re.MULTILINE)
    assert sorted(table) == sorted(known)


def test_no_option_is_documented_that_does_not_exist() -> None:
    """The same for options."""
    every = [*(command for _, command in commands()), typer.main.get_command(app)]
    known = {word for command in every for option in command.params for word in (*option.opts, *option.secondary_opts)}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= known | {"--help"}


def test_every_environment_variable_is_documented() -> None:
    """A variable that changes where data are looked for must not be a secret."""
    used = {
        name for path in (ROOT / "src").rglob("*.py") for name in re.findall(r"\bWARDROUND_[A-Z_]+\b", path.read_text("utf-8"))
    }
    documented = set(re.findall(r"^\| `(WARDROUND_[A-Z_]+)`", PAGE, re.MULTILINE))
    assert used == documented


def test_every_paper_of_a_run_is_documented() -> None:
    """People look into the run folder and should find it explained."""
    body = sections(PAGE)["wardround simulate"]
    names = [artifacts.MODEL, artifacts.ONNX, artifacts.RECORD, artifacts.REPORT, artifacts.CARD]
    assert [name for name in names if f"`{name}`" not in body] == []


@pytest.mark.parametrize("page", ["docs/commands.md", "docs/evaluation.md"])
def test_every_figure_is_documented(page: str) -> None:
    """A figure without a definition is read as whatever the reader hopes."""
    assert [key for key in METRICS if f"`{key}`" not in read(page)] == []


def test_every_documented_split_is_understood() -> None:
    """The forms of --split are a small language; its page and its reader must agree."""
    table = sections(PAGE)["wardround simulate"].split("| HOW |")[1].split("\n\n")[0]
    forms = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert {parse_split(form, 3).by for form in forms} == {"iid", "size", "label", "dirichlet", "column"}
    with pytest.raises(StudyError):
        parse_split("none-of-these", 3)
