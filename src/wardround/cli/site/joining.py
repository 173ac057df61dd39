"""wardround site join | rotate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.site.homes import HomeOption, site_home
from wardround.values.errors import DataError

if TYPE_CHECKING:
    from wardround.site.daemon.joining import Joined

_LARGEST_INVITATION = 1 << 16


def join(
    invitation: Annotated[Path, typer.Argument(help="The file that the hub's people sent you.")],
    extra_ca: Annotated[
        Path | None,
        typer.Option("--extra-ca", help="Trust this certificate authority too (PEM): that of a proxy which opens TLS."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Join the hub that sent the invitation. Run it again to see whether the hub's people have confirmed."""
    from wardround.site.daemon.joining import join as join_hub

    try:
        data = invitation.read_bytes()[:_LARGEST_INVITATION]
    except OSError as error:
        raise DataError(
            f"The invitation {invitation} cannot be read",
            found=error.strerror or "",
            hint="name the file that the hub's people sent",
        ) from error
    site = site_home(home)
    _tell(join_hub(data, site, extra_ca=extra_ca), "wardround site join " + str(invitation))


def rotate(
    anew: Annotated[
        bool, typer.Option("--anew", help="Forget new keys that the hub has not confirmed, and make others.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Make new keys for this hospital, signed by the old ones. Run it again to see whether the hub has confirmed them."""
    from wardround.site.daemon.joining import rotate as rotate_keys

    site = site_home(home)
    _tell(rotate_keys(site, anew=anew), "wardround site rotate", serves=site.is_up)


def _tell(joined: "Joined", again: str, *, serves: bool = False) -> None:
    """How the hospital stands, and what a person does next. serves: `site up` runs, and goes over to new keys by itself."""
    typer.echo(f"{joined.name}, at the hub {joined.address}: {joined.state}" + " (new keys)" * joined.new_keys)
    if joined.clock_is_off:
        seconds = abs(joined.ahead_ms) // 1000
        side = "ahead of" if joined.ahead_ms > 0 else "behind"
        typer.echo(f"warning: this machine's clock is {seconds} s {side} the hub's; set it by a time server.", err=True)
    if joined.state == "waiting":
        typer.echo(f"\n    {joined.words}\n")
        typer.echo("Read these eight words to the hub's people by telephone.\nWhere theirs are the same, they confirm.")
        typer.echo(f"Then, to see it: {again}")
        if not joined.new_keys:
            typer.echo("And: wardround site data add NAME PATH")
        if serves and joined.new_keys:
            typer.echo("The service goes over to the new keys by itself.")
    elif joined.state == "confirmed" and not serves:
        typer.echo("Next: wardround site data add NAME PATH, and: wardround site up")
