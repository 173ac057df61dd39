"""What every command of a site begins with: the hospital's folder, and who it is for the hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wardround.site.daemon.home import SiteHome
    from wardround.site.daemon.offers import Offers
    from wardround.wire.sealed import KeyCard

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The hospital's folder (default: WARDROUND_SITE, else one of this user).", show_default=False),
]
StudyArgument = Annotated[str, typer.Argument(help="The study: the first letters of its hash, or its title.")]
ByOption = Annotated[str, typer.Option("--by", help="Your name, as it will stand in the record.")]


def site_folder(home: Path | None) -> Path:
    """The folder that was named, or this user's. It need not be there."""
    from wardround.site.daemon.home import site_folder as own_folder

    return (home or own_folder()).expanduser().resolve()


def site_home(home: Path | None) -> "SiteHome":
    """The folder that was named, or this user's, which is made where it is not there."""
    from wardround.site.daemon.home import SiteHome

    return SiteHome(site_folder(home))


def own_card(home: "SiteHome") -> "KeyCard":
    """This hospital as the hub knows it. RunError where it has not joined one."""
    from wardround.site.daemon.hub_record import HubRecord
    from wardround.wire.sealed import KeyCard

    name = HubRecord.required(home).name
    return KeyCard(name, home.identity.public, home.sealing.public)


def offers_of(home: "SiteHome") -> "Offers":
    """The studies that were offered to this hospital."""
    from wardround.site.daemon.offers import Offers

    return Offers(home, own_card(home))
