"""What every command of a hub begins with: its folder, and its roster."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wardround.hub.daemon.home import HubHome
    from wardround.hub.daemon.roster import Roster

HubOption = Annotated[
    Path | None, typer.Option("--home", help="The hub's folder (default: WARDROUND_HUB, else one of this user).")
]
StudyArgument = Annotated[str, typer.Argument(help="The study: the first letters of its hash, or its title.")]


def hub_home(home: Path | None) -> "HubHome":
    """The folder that was named, or this user's, which is made where it is not there."""
    from wardround.hub.daemon.home import HubHome, hub_folder

    return HubHome((home or hub_folder()).expanduser().resolve())


def roster_of(home: "HubHome") -> "Roster":
    """Who is enrolled at this hub. RunError where there is none."""
    from wardround.hub.daemon.roster import Roster

    _ = home.settings
    return Roster(home.path, home.log)
