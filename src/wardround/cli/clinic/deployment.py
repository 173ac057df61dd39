"""wardround clinic init | activate | rollback | history | shadow."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.clinic.homes import AcceptanceArgument, ByOption, ClinicOption
from wardround.values.errors import StudyError
from wardround.values.printable import printable

if TYPE_CHECKING:
    from wardround.clinic.place.service import Deployed


def init(
    hospital: Annotated[str, typer.Option(help="The hospital's name, as it will stand on pages and in records.")],
    contact: Annotated[str, typer.Option(help="Whom a doctor or a patient asks: a name, a number, a room.")] = "",
    doctor: Annotated[str, typer.Option(help="Also let this doctor in; her password is printed once.")] = "",
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
    typer.echo(f"The clinic of {printable(home.settings.hospital)} is in {home.path}. Its key: {home.identity.public[:20]}…")
    if doctor:
        from wardround.cli.clinic.people import add

        add(doctor, "doctor", home.path)
    typer.echo(f"Next: {home.command('accept MODEL --data PATH --card model-card.toml')}")


def activate(
    name: AcceptanceArgument,
    by: ByOption,
    card: Annotated[Path | None, typer.Option(help="The answers for the model card, as you filled them in.")] = None,
    clinic: ClinicOption = None,
) -> None:
    """Put an accepted model in service. Refused where it does not keep the hospital's minimums, or its card has blanks."""
    from wardround.clinic.acceptance.activating import activate as put_in_service
    from wardround.clinic.place.clinic_place import ClinicPlace

    service = put_in_service(ClinicPlace.at(clinic), name, by=by, answers=card)
    _say("In service", service.answering)


def rollback(
    by: ByOption,
    reason: Annotated[str, typer.Option(help="Why, for the record. No patient's name.")] = "",
    clinic: ClinicOption = None,
) -> None:
    """Take the model out of service; the one before it answers again, or none. Nothing is asked: this must always work."""
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.place.service import roll_back

    service = roll_back(ClinicPlace.at(clinic), by=by, reason=reason)
    _say("In service", service.answering)


def history(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False, clinic: ClinicOption = None
) -> None:
    """Show the acceptance records, and what was put in service, taken back and run in the shadow; the log's chain is followed."""
    from wardround.clinic.place.acceptance_record import acceptances
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.place.service import service_of

    home = ClinicPlace.at(clinic)
    service, records, lines = service_of(home), acceptances(home), list(home.log.entries())
    if as_json:
        now = {name: _as_json(one) for name, one in (("in_service", service.answering), ("shadow", service.shadow))}
        kept = [{"id": one.id, "created": one.created, "model": one.model, "name": one.name} for one in records]
        head = {"entries": service.head.entries, "sha256": service.head.sha256}
        typer.echo(json.dumps({**now, "acceptances": kept, "log": [asdict(line) for line in lines], "head": head}))
        return
    for one in records:
        auc = one.asked.local.value("auc")
        shown = "" if auc is None else f", AUC {auc:.3f}"
        typer.echo(f"{one.id}  {one.created[:10]}  model {one.model[:12]}, {one.cases.cases} cases{shown}")
    for line in lines:
        facts = line.facts
        about = f" {facts['acceptance']}" if facts.get("acceptance") else ""
        typer.echo(printable(f"{line.time[:19]}  {line.code}{about}  by {facts.get('by', 'this program')}: {line.text}"))
    typer.echo(f"The chain of the log is whole: {service.head.entries} lines, head {service.head.sha256[:16]}")
    _say("In service", service.answering)
    if service.shadow is not None:
        _say("In the shadow", service.shadow)


def shadow(
    by: ByOption,
    name: Annotated[str | None, typer.Argument(help="The acceptance: the first letters of its name, or `latest`.")] = None,
    end: Annotated[bool, typer.Option("--end", help="No model answers in the shadow any more.")] = False,
    clinic: ClinicOption = None,
) -> None:
    """Let an accepted model answer beside the one in service: its answers are logged, not shown."""
    from wardround.clinic.acceptance.activating import start_shadow
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.place.service import end_shadow

    if (name is None) is not end:
        raise StudyError("Say which", expected="an acceptance, or --end", hint="see: wardround clinic history")
    home = ClinicPlace.at(clinic)
    service = end_shadow(home, by=by) if name is None else start_shadow(home, name, by=by)
    _say("In the shadow", service.shadow)


def _say(where: str, deployed: "Deployed | None") -> None:
    typer.echo(f"{where}: {'no model' if deployed is None else f'{deployed.model[:12]} (acceptance {deployed.acceptance})'}")


def _as_json(deployed: "Deployed | None") -> dict[str, str] | None:
    return None if deployed is None else {"acceptance": deployed.acceptance, "model": deployed.model, "since": deployed.time}
