"""wardround site policy | log."""

import json
from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from wardround.cli.site.homes import HomeOption, site_home
from wardround.values.errors import RunError
from wardround.values.printable import printable

SHOWN = 20


def policy(
    write: Annotated[bool, typer.Option("--write", help="Write policy.toml with every rule at its default.")] = False,
    home: HomeOption = None,
) -> None:
    """Show what this hospital allows, or write the file to change it in."""
    from wardround.site.daemon.policy import load_policy, write_starter
    from wardround.site.daemon.pre_approval import counted_in_words

    site = site_home(home)
    path = site.policy_file
    if write:
        if path.exists():
            raise RunError(f"{path} is there already", hint=f"edit it, then look at it: wardround site policy --home {site.path}")
        write_starter(path)
        typer.echo(f"Every rule at its default is in\n{path}\nEdit it; a change needs every study to be approved anew.")
        return
    rules = load_policy(path)
    typer.echo(f"{path}" if path.exists() else f"There is no {path}: these are the defaults.")
    for name, value in rules.model_dump(mode="json").items():
        shown = ", ".join(map(str, value)) or "any" if isinstance(value, list) else "no limit" if value is None else value
        typer.echo(printable(f"  {name:24} {shown}"))
    typer.echo(f"hash {rules.hash}")
    for sentence in counted_in_words(site, rules):
        typer.echo(printable(sentence))


def log(
    number: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many of the last lines.")] = SHOWN,
    check: Annotated[bool, typer.Option("--verify", help="Follow the chain from the first line to the last.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as they are kept, one JSON object each.")] = False,
    home: HomeOption = None,
) -> None:
    """Show what was asked of this hospital, what it answered and what its people decided; or prove that no line was changed."""
    show_log(site_home(home).path / "log", number, check=check, as_json=as_json)


def show_log(folder: Path, number: int, *, check: bool, as_json: bool) -> None:
    """The last lines of a log; or whether its chain is whole, RunError where it is not."""
    from wardround.values.chained_log import ChainedLog, verify

    if check:
        checked = verify(folder)
        if checked.problem:
            hint = "bring it back from a backup, and find out who did it"
            raise RunError("The log is not as it was written", found=checked.problem, hint=hint)
        typer.echo(f"{checked.head.entries} lines, none changed, left out or put in. Head {checked.head.sha256}")
        return
    chain = ChainedLog(folder)
    for entry in deque(chain.entries(), maxlen=number):  # without the log's lock: a copy on a read-only disk can be looked at
        if as_json:
            typer.echo(entry.line().decode(), nl=False)
        else:
            facts = " ".join(f"{name}={_short(value)}" for name, value in entry.facts.items())
            typer.echo(printable(f"{entry.number:6} {entry.time[:19]} {entry.code}: {entry.text} {facts}".rstrip()))


def _short(value: object) -> str:
    """Hashes are told by their beginning; --json has them whole."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:12] if len(text) == 64 else text
