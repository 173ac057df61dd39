"""What `--help` says of each command, as it is shown."""

from collections.abc import Iterator

import click
import typer
from rich.text import Text

from wardround.cli.main import app


def texts(command: click.Command, path: tuple[str, ...] = ("wardround",)) -> Iterator[tuple[str, str]]:
    """Where a text stands, and the text: of a command, of its options, and of what is below it."""
    name = " ".join(path)
    yield name, command.help or ""
    for option in command.params:
        yield f"{name} {option.name}", getattr(option, "help", None) or ""
    if isinstance(command, click.Group):
        for inner in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), inner)
            assert below is not None
            yield from texts(below, (*path, inner))


def test_no_word_of_a_help_is_taken_for_markup() -> None:
    """A section of a file in its brackets was gone: "older than  in clinic.toml"."""
    told = list(texts(typer.main.get_command(app)))
    assert len(told) > 200
    assert [place for place, text in told if Text.from_markup(text).plain != text] == []
