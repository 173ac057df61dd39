"""wardround clinic up."""

import os
from typing import Annotated

import typer

from wardround.cli.clinic.homes import ClinicOption


def up(
    clinic: ClinicOption = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT in place of the settings' `listen`.")] = "",
) -> None:
    """Serve the clinic's pages and /v1 on one port, until it is told to end (Ctrl-C)."""
    # Each of the clinic's threads answers by itself; the threads of a numerical library below them would wait for each other,
    # spinning: measured, 44 ms of processor time for what takes 25. The library reads this once, when it is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.web.server import serve

    serve(ClinicPlace.at(clinic), typer.echo, listen=listen)
