"""The containers of examples/compose: no test starts them, so their files are held against what they name."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from wardround.cli.main import app

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "compose"
HOSPITALS = ("north", "south", "west")

yaml = pytest.importorskip("yaml", reason="it comes with the extra `network`")


def composed() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


def commands() -> Iterator[list[str]]:
    """Every command of wardround in the two files, as words."""
    for service in composed()["services"].values():
        yield service["command"]
    text = (FOLDER / "start.sh").read_text().partition("compose --profile")[2]
    for line in re.findall(r"(?:^|\$\(|until )\s*(?:once|at) (\S+ [^|\n]*)", text, re.MULTILINE):
        yield shlex.split(line.replace("$(", "").rstrip(");"))[1:]


def test_every_command_is_one_that_wardround_has() -> None:
    """A command or an option that was renamed would be found by whoever starts the containers."""
    checked = list(commands())
    assert len(checked) >= 14
    for words in checked:
        command, rest = typer.main.get_command(app), list(words)
        while isinstance(command, click.Group):
            name = rest.pop(0)
            assert name in command.commands, f"{name} in {' '.join(words)}"
            command = command.commands[name]
        options = {option for one in command.params for option in one.opts + one.secondary_opts}
        assert {word for word in rest if word.startswith("--")} <= options, " ".join(words)


def test_a_hospital_shares_nothing_with_another_but_the_hub() -> None:
    """What the page says of networks and folders: each has its own, and reads its own data alone."""
    services, networks = composed()["services"], composed()["networks"]
    assert services.keys() == {"data", "hub", *HOSPITALS}
    assert services["hub"]["networks"] == list(networks) and all(one["internal"] for one in networks.values())
    for name in HOSPITALS:
        state, mail, data = services[name]["volumes"]
        assert services[name]["networks"] == [name] and state == f"{name}:/state" and mail.endswith(":ro")
        assert data["read_only"] and data["volume"]["subpath"] == f"drawn/{name}"
    assert not any("ports" in service for service in services.values())


def test_the_image_is_made_from_files_that_are_there() -> None:
    """The build's context is the checkout: what it copies and what the study is handed in from."""
    copied = re.findall(r"^COPY (.+) \S+$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    paths = [path for line in copied for path in line.split()]
    assert {"pyproject.toml", "src"} <= set(paths) and all((ROOT / path).exists() for path in paths)
    build = composed()["services"]["data"]["build"]
    assert (FOLDER / build["context"]).resolve() == ROOT and (ROOT / build["dockerfile"]).exists()
    assert (ROOT / "examples" / "three_hospitals.toml").exists()
