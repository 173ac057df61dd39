"""wardround clinic outbox."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from wardround.cli.clinic.homes import ClinicOption
from wardround.values.printable import printable


def outbox(
    again: Annotated[bool, typer.Option("--again", help="Try everything again now, in place of waiting.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    clinic: ClinicOption = None,
) -> None:
    """Show the results that wait for an archive, with why it did not take them; nothing waits in vain, nothing is thrown away."""
    from wardround.clinic.dicom.service import send_again, unsent_results
    from wardround.clinic.place.clinic_place import ClinicPlace

    home = ClinicPlace.at(clinic)
    if again:
        send_again(home)
    waiting = unsent_results(home)
    if as_json:
        typer.echo(json.dumps({"waiting": [asdict(node) for node in waiting]}))
        return
    for node in waiting:
        since = datetime.fromtimestamp(node.since, UTC).strftime("%Y-%m-%d %H:%M")
        times = "once" if node.attempts == 1 else f"{node.attempts} times"
        tried = f"tried {times}: {node.words}" if node.attempts else "not tried yet"
        typer.echo(printable(f"{node.node}: {node.objects} results since {since}, {tried}"))
    if not waiting:
        typer.echo("No result waits.")
