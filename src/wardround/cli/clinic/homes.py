"""What every command of a clinic begins with: its folder, and who gives the command."""

from pathlib import Path
from typing import Annotated

import typer

ClinicOption = Annotated[
    Path | None,
    typer.Option(
        "--clinic", help="The clinic's folder (default: `clinic` in WARDROUND_HOME, else in this user's).", show_default=False
    ),
]
ByOption = Annotated[str, typer.Option("--by", help="Your name, as it will stand in the record.")]
AcceptanceArgument = Annotated[str, typer.Argument(help="The acceptance: the first letters of its name, or `latest`.")]
