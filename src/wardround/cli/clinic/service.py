"""wardround clinic up."""

from typing import Annotated

import typer

from wardround.cli.clinic.homes import ClinicOption


def up(
    clinic: ClinicOption = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT in place of the settings' `listen`.")] = "",
) -> None:
    """Serve the clinic's pages and /v1 on one port, until it is told to end (Ctrl-C)."""
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.web.server import serve

    serve(ClinicPlace.at(clinic), typer.echo, listen=listen)
