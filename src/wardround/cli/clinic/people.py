"""wardround clinic user add | list | change | password | reset; key add | list | revoke; audit."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.clinic.homes import ClinicOption

if TYPE_CHECKING:
    from wardround.clinic.store.people import People

users = typer.Typer(help="People who may use the clinic.", no_args_is_help=True)
keys = typer.Typer(help="Keys of machines that may ask over /v1.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The account's name.")]
KeyName = Annotated[str, typer.Argument(help="The machine's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_ACTOR = "command-line"


@contextmanager
def _people(clinic: Path | None) -> "Iterator[People]":
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.store.database import Store
    from wardround.clinic.store.people import People
    from wardround.clinic.web.server import store_url

    home = ClinicPlace.at(clinic)
    with Store(store_url(home)) as store:
        yield People(store, home.path)


@users.command("add")
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="doctor, data-manager, auditor or administrator.")],
    clinic: ClinicOption = None,
) -> None:
    """Let somebody in: prints a drawn password, once. The second factor is set up at the first login."""
    from wardround.clinic.store.people import new_password

    password = new_password()
    with _people(clinic) as people:
        people.add(name, role, password, actor=_ACTOR)
    typer.echo(f"{name} may log in as {role}. Password, shown only now: {password}")


@users.command("list")
def listed(clinic: ClinicOption = None, as_json: AsJson = False) -> None:
    """Show the accounts."""
    with _people(clinic) as people:
        rows = people.listed()
    if as_json:
        typer.echo(json.dumps({"users": rows}))
        return
    for row in rows:
        state = "active" if row["active"] else "switched off"
        factor = "second factor set up" if row["second_factor"] else "no second factor yet"
        typer.echo(f"{row['name']:<24} {row['role']:<16} {state}, {factor}")
    if not rows:
        typer.echo("There is nobody yet: wardround clinic user add NAME --role doctor")


@users.command("change")
def change(
    name: Name,
    role: Annotated[str | None, typer.Option(help="Another role.")] = None,
    active: Annotated[bool | None, typer.Option("--on/--off", help="Switch the account on or off.")] = None,
    clinic: ClinicOption = None,
) -> None:
    """Give an account another role, or switch it off or on; its sessions end."""
    values = {key: value for key, value in (("role", role), ("active", active)) if value is not None}
    if not values:
        raise typer.BadParameter("say what to change: --role, --on or --off", param_hint="--role")
    with _people(clinic) as people:
        people.change(name, actor=_ACTOR, **values)
    typer.echo(f"{name} was changed.")


@users.command("password")
def password(name: Name, clinic: ClinicOption = None) -> None:
    """Draw a new password, shown once; the account's sessions end."""
    from wardround.clinic.store.people import new_password

    drawn = new_password()
    with _people(clinic) as people:
        people.set_password(name, drawn, actor=_ACTOR)
    typer.echo(f"{name}'s new password, shown only now: {drawn}")


@users.command("reset")
def reset(name: Name, clinic: ClinicOption = None) -> None:
    """Forget an account's second factor, for a lost phone; the next login sets it up anew."""
    with _people(clinic) as people:
        people.reset_second_factor(name, actor=_ACTOR)
    typer.echo(f"{name} sets up a second factor at the next login.")


@keys.command("add")
def add_key(name: KeyName, clinic: ClinicOption = None) -> None:
    """Make a key for a machine; it is shown once."""
    with _people(clinic) as people:
        secret = people.add_key(name, actor=_ACTOR)
    typer.echo(secret)


@keys.command("list")
def listed_keys(clinic: ClinicOption = None, as_json: AsJson = False) -> None:
    """Show the keys by their names."""
    with _people(clinic) as people:
        rows = people.keys()
    if as_json:
        typer.echo(json.dumps({"keys": rows}))
        return
    for row in rows:
        typer.echo(f"{row['name']:<24} {'active' if row['active'] else 'revoked'}")
    if not rows:
        typer.echo("There is none yet: wardround clinic key add NAME")


@keys.command("revoke")
def revoke(name: KeyName, clinic: ClinicOption = None) -> None:
    """A key opens nothing any more, within a second also of a clinic that is up."""
    with _people(clinic) as people:
        people.revoke_key(name, actor=_ACTOR)
    typer.echo(f"{name} opens nothing any more.")


def audit(clinic: ClinicOption = None, as_json: AsJson = False) -> None:
    """Follow the chain of the audit from its first line; ends with 6 where a line was changed or taken out."""
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.store.database import Store, audit_head, first_broken_line
    from wardround.clinic.web.server import store_url
    from wardround.values.errors import RunError

    with Store(store_url(ClinicPlace.at(clinic))) as store:
        broken, (number, sha256) = first_broken_line(store), audit_head(store)
    if as_json:
        typer.echo(json.dumps({"lines": number, "head": sha256, "first_broken_line": broken}))
    elif broken is None:
        typer.echo(f"The audit has {number} lines, and its chain is whole. Its head: {sha256}")
    if broken is not None:
        raise RunError(
            f"The audit's chain is broken at line {broken}",
            expected="a line that follows from the one before",
            hint="keep the database as it is, and ask who could change it",
        )
