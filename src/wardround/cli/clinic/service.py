"""wardround clinic up."""

from typing import Annotated

import typer

from wardround.cli.clinic.homes import ClinicOption


def up(
    clinic: ClinicOption = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT in place of the settings' `listen`.")] = "",
) -> None:
    """Serve the clinic's pages and /v1 on one port, until it is told to end (Ctrl-C)."""
    from wardround.cli.clinic.learning import learnt_in_own_process
    from wardround.cli.site.homes import site_folder
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.watch.withdrawal import Learnt
    from wardround.clinic.web.server import serve
    from wardround.values.home import default_home

    def learnt(patient: str, reads_data: bool) -> tuple[Learnt, ...]:
        return learnt_in_own_process(patient, site_folder(None), default_home(), reads_data=reads_data)

    serve(ClinicPlace.at(clinic), typer.echo, listen=listen, learnt=learnt)
