"""wardround clinic init."""

from pathlib import Path
from typing import Annotated

import typer

ClinicOption = Annotated[
    Path | None,
    typer.Option(
        "--clinic", help="The clinic's folder (default: `clinic` in WARDROUND_HOME, else in this user's).", show_default=False
    ),
]


def init(
    hospital: Annotated[str, typer.Option(help="The hospital's name, as it will stand on pages and in records.")],
    contact: Annotated[str, typer.Option(help="Whom a doctor or a patient asks: a name, a number, a room.")] = "",
    clinic: ClinicOption = None,
) -> None:
    """Make a clinic here: its folder, its signing key, its settings."""
    from pydantic import ValidationError

    from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings

    try:
        settings = ClinicSettings(hospital=hospital, contact=contact)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise typer.BadParameter(problem["msg"], param_hint=f"--{problem['loc'][0]}") from error
    home = ClinicPlace.begin(clinic, settings)
    typer.echo(f"The clinic of {home.settings.hospital} is in {home.path}. Its key: {home.identity.public[:20]}…")
    typer.echo("Next: wardround clinic accept MODEL --data PATH")
