"""wardround clinic evidence | verify."""

from pathlib import Path
from typing import Annotated

import typer

from wardround.cli.clinic.homes import ClinicOption
from wardround.cli.wrapping import wrapped
from wardround.values.errors import RunError
from wardround.values.printable import printable


def evidence(
    out: Annotated[Path, typer.Option(help="The zip to write; it is replaced.")] = Path("clinic-evidence.zip"),
    clinic: ClinicOption = None,
) -> None:
    """Write a zip for an auditor: what was in service, which answers were given, who has seen them; signed by the clinic."""
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.store.opening import open_store
    from wardround.clinic.watch.evidence import write_evidence

    home = ClinicPlace.at(clinic)
    with open_store(home) as store:
        count = write_evidence(home, store, out)
    typer.echo(f"The evidence, with {count} answers:\n{out}")
    typer.echo("It names accounts, and patients by pseudonyms alone. To look at it, anywhere:")
    typer.echo(f"wardround clinic verify {out}")


def verify(file: Annotated[Path, typer.Argument(help="A zip that `wardround clinic evidence` wrote.")]) -> None:
    """Look at a clinic's evidence, offline; ends with 6 where it is not as it was signed."""
    from wardround.clinic.watch.evidence import check_evidence

    check = check_evidence(file)
    typer.echo(printable(f"{check.hospital}, key {check.identity[:20]}"))
    for mark, sentences in (("yes", check.confirmed), ("NO ", check.problems)):
        for sentence in sentences:
            for line in wrapped(f"{mark}  {sentence}", indent=2, hanging=7):
                typer.echo(line)
    if check.problems:
        raise RunError("The evidence is not as it was signed", hint="ask the hospital for a new one, and who has changed this")
    typer.echo("If you know this key from elsewhere as the hospital's, it said all of this.")
