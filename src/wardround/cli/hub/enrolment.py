"""wardround hub init | invite | confirm | revoke."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.hub.homes import HubOption, hub_home, roster_of
from wardround.values.errors import RunError
from wardround.values.printable import printable

if TYPE_CHECKING:
    from wardround.hub.daemon.home import HubHome
    from wardround.hub.daemon.roster import Roster

LOOK_S = 1.0
NameArgument = Annotated[str, typer.Argument(help="What the hospital is called in studies, such as st-anna.")]


def init(
    address: Annotated[str, typer.Option(help="Where hospitals will find the hub: HOST:PORT.")],
    title: Annotated[str, typer.Option(help="Who answers for the hub's studies; hospitals see it.")] = "",
    listen: Annotated[str, typer.Option(help="The address of this machine to listen at.")] = "0.0.0.0",
    dashboard: Annotated[str, typer.Option(help="Where the dashboard is served: HOST:PORT.")] = "127.0.0.1:8477",
    home: HubOption = None,
) -> None:
    """Make a hub here: its keys, its certificate, an empty roster."""
    from pydantic import ValidationError

    from wardround.hub.daemon.certificates import server_certificate
    from wardround.hub.daemon.home import HubSettings
    from wardround.wire.hub_address import HubAddress

    try:
        settings = HubSettings(address=address, title=title, listen=listen, dashboard=dashboard)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise typer.BadParameter(problem["msg"].removeprefix("Value error, "), param_hint=f"--{problem['loc'][0]}") from error
    hub = hub_home(home)
    where = HubAddress.read(address)
    hub.begin(settings)
    server_certificate(hub.path / "keys", where)
    typer.echo(f"The hub is in {hub.path}. Its key: {hub.identity.public[:20]}…")
    typer.echo(f"Next: wardround hub up  (hospitals connect to {address})")
    typer.echo("For each hospital: wardround hub invite NAME")


def invite(
    name: NameArgument,
    out: Annotated[Path | None, typer.Option(help="The file to write (default: NAME.invitation.toml).")] = None,
    days: Annotated[int, typer.Option(min=1, help="For how long the invitation is good.")] = 14,
    again: Annotated[bool, typer.Option("--again", help="For a hospital of the roster that has lost its keys.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="On a terminal: wait until the hospital joins, and compare the words.")
    ] = True,
    home: HubOption = None,
) -> None:
    """Write the invitation of one hospital; it holds a code that is good once. Then confirm the hospital by its eight words."""
    from wardround.hub.daemon.certificates import Authority
    from wardround.hub.daemon.invitations import Inviter
    from wardround.hub.daemon.invitations import invite as new_invitation
    from wardround.values.durable import write_atomic
    from wardround.wire.hub_address import HubAddress

    hub = hub_home(home)
    roster = roster_of(hub)
    authority = Authority.at(hub.path / "keys").certificate
    inviter = Inviter(HubAddress.read(hub.settings.address), hub.identity, hub.sealing.public, authority)
    invitation = new_invitation(roster, inviter, name, days=days, again=again)
    path = out or Path(f"{name}.invitation.toml")
    write_atomic(path, invitation.text.encode(), private=True)
    typer.echo(f"The invitation of {name}, good once, for {days} days:\n{path}")
    typer.echo("Send it to the data manager there, and to nobody else.")
    typer.echo(f"There: wardround site join {path.name}")
    if wait and sys.stdin.isatty():
        _wait_and_confirm(hub, roster, name)
    else:
        typer.echo(f"When {name} has joined: wardround hub confirm {name}")


def confirm(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: the words were compared already.")] = False,
    look: Annotated[bool, typer.Option("--look", help="Only show the words.")] = False,
    home: HubOption = None,
) -> None:
    """Take a hospital that has joined into the roster, after its eight words were compared by telephone."""
    hub = hub_home(home)
    _confirm(roster_of(hub), name, yes=yes, look=look)


def revoke(name: NameArgument, home: HubOption = None) -> None:
    """Let a hospital in no more, from its next message on."""
    hub = hub_home(home)
    roster_of(hub).revoke(name)
    typer.echo(f"{name} is let in no more. A round that runs goes on without it where its sum may.")
    typer.echo("A study that is offered or waits goes on without it where you say so:\nwardround hub resume STUDY")


def _wait_and_confirm(hub: "HubHome", roster: "Roster", name: str) -> None:
    typer.echo(f"Waiting until {name} joins. Ctrl-C leaves; to go on then:\nwardround hub confirm {name}")
    if not hub.is_up:
        typer.echo("The hub is not up, so it cannot join. In another terminal: wardround hub up")
    while name not in roster.waiting():
        time.sleep(LOOK_S)
    _confirm(roster, name)


def _confirm(roster: "Roster", name: str, *, yes: bool = False, look: bool = False) -> None:
    entry = roster.waiting().get(name)  # type: ignore[call-overload]
    if entry is None and name in roster.confirmed():
        typer.echo(f"{name} is in the roster already.")
        return
    if entry is None:
        raise RunError(f"Nobody has joined as {name}", hint=f"wait until {name} has run `wardround site join`, then try again")
    typer.echo(f"\n    {printable(entry.words)}\n")
    if look:
        return
    if not yes and not typer.confirm(f"Are these the eight words that {name} reads to you by telephone?"):
        roster.turn_away(name)
        raise RunError(
            f"{name} is not in the roster: its words are others",
            hint=f"somebody may sit between you; invite it anew by another way: wardround hub invite {name}",
        )
    roster.confirm(name, entry.words)
    typer.echo(f"{name} is in the roster.")
