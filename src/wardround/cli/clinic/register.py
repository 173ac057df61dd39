"""wardround clinic register | withdraw | labels | retention."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from wardround.cli.clinic.homes import ByOption, ClinicOption
from wardround.cli.wrapping import wrapped
from wardround.values.errors import StudyError
from wardround.values.printable import printable

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(
    model: Annotated[str, typer.Option(help="Of this model alone, by the first letters of its SHA-256.")] = "",
    patient: Annotated[str | None, typer.Option(help="Of this patient, by her identifier or pseudonym.")] = None,
    seen_by: Annotated[str, typer.Option(help="Only cases that this account has looked at.")] = "",
    since: Annotated[str | None, typer.Option(help="From this day on, UTC: 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this day.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write all of it as CSV, for an auditor.")] = None,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many are shown.")] = 20,
    as_json: AsJson = False,
    clinic: ClinicOption = None,
) -> None:
    """Show which model answered which case, and who has seen it."""
    from dataclasses import asdict, replace

    from wardround.clinic.intake.pseudonyms import pseudonym_key, pseudonym_of
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.store.opening import open_store
    from wardround.clinic.watch.register import Filter, iso, register_csv
    from wardround.clinic.watch.register import register as lines_of
    from wardround.values.durable import write_atomic

    home = ClinicPlace.at(clinic)
    asked = Filter(model=model, seen_by=seen_by, since=_day(since), until=_day(until))
    with open_store(home) as store:
        store.note("command-line", "register-seen")
        names = [""] if patient is None else [patient, pseudonym_of(pseudonym_key(home), patient.strip())]
        lines = [line for name in names for line in lines_of(store, replace(asked, patient=name), count=None if csv else count)]
    if csv is not None:
        write_atomic(csv, register_csv(lines).encode("utf-8-sig"), private=True)
        typer.echo(f"{len(lines)} answers:\n{csv}")
    elif as_json:
        typer.echo(json.dumps({"answers": [asdict(line) for line in lines]}))
    else:
        for line in lines:
            seen = f"seen by {len(line.seen)}" if line.seen else "not seen"
            marks = "".join(f", {word}" for word, holds in (("shadow", not line.shown), ("withdrawn", line.withdrawn)) if holds)
            typer.echo(printable(f"{iso(line.given)}  {line.case[:12]}  {line.model[:12]}  {line.verdict:<11}  {seen}{marks}"))
        if not lines:
            typer.echo("No answer was given that fits.")


def withdraw(
    by: ByOption,
    patient: Annotated[
        str | None, typer.Argument(help="Her identifier as it stands in the hospital's records; asked for where left out.")
    ] = None,
    reads_data: Annotated[
        bool, typer.Option("--read-data/--no-read-data", help="Look into the data of past studies for her.")
    ] = True,
    as_json: AsJson = False,
    clinic: ClinicOption = None,
) -> None:
    """A patient withdraws: her cases are hidden, later studies leave her out, and models that learnt from her are listed."""
    from dataclasses import asdict

    from wardround.cli.clinic.learning import learnt_from
    from wardround.cli.site.homes import site_folder
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.store.opening import open_store
    from wardround.clinic.watch.withdrawal import withdraw_patient
    from wardround.values.home import default_home

    home = ClinicPlace.at(clinic)
    identifier = patient or typer.prompt("Patient", hide_input=True)
    with open_store(home) as store:
        done = withdraw_patient(home, store, identifier, actor=by)
    learnt = learnt_from(identifier, site_folder(None), default_home(), reads_data=reads_data)
    if as_json:
        told = [{"case": case, "model": model} for case, model in done.cases]
        typer.echo(
            json.dumps(
                {"again": done.again, "cases": told, "films_erased": done.films, "learnt": [asdict(one) for one in learnt]}
            )
        )
        return
    _echo("She was on the list already." if done.again else "Every study of this hospital leaves her out from now on.")
    _echo(f"Cases hidden: {len({case for case, _ in done.cases})}. Kept films erased: {done.films}.")
    for model in sorted({model for _, model in done.cases}):
        _echo(f"Answered by model {model[:12]}")
    for one in learnt:
        models = ", ".join(model[:12] for model in one.models) or "no model in the registry"
        _echo(f"Study {one.study[:12]} ({one.title}), data set {one.data_set}: {_PARTS[one.part]}; {models}", 4)
    if not learnt:
        _echo("This user's site has decided about no study, so no model is known that learnt from her.")
    _echo("What a model has learnt stays in it. A study that was approved with her records is refused until it is approved anew.")


_PARTS = {
    "train": "learnt from her",
    "validation": "was chosen with her records",
    "test": "was tested on her, and learnt nothing",
    "none": "she is not in it",
    "evaluation": "it evaluates a finished model, and nothing learnt from anybody",
    "unread": "may have learnt from her: its data were not read",
}


def labels(
    out: Annotated[Path, typer.Option(help="The CSV file to write; it is replaced.")],
    as_json: AsJson = False,
    clinic: ClinicOption = None,
) -> None:
    """Write doctors' opinions as labels for a later study: what doctors say, never what a model says."""
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.store.opening import open_store
    from wardround.clinic.watch.labels import label_table
    from wardround.values.durable import write_atomic

    with open_store(ClinicPlace.at(clinic)) as store:
        table = label_table(store)
        write_atomic(out, table.text.encode("utf-8-sig"), private=True)
        store.note("command-line", "labels-written", f"{table.cases} cases")
    counts = {"cases": table.cases, "differing": table.differing, "undecided": table.undecided, "withdrawn": table.withdrawn}
    if as_json:
        typer.echo(json.dumps(counts))
        return
    typer.echo(f"{table.cases} labelled cases:\n{out}")
    unused = f"{table.differing} on which doctors differ, {table.undecided} that got `cannot tell`"
    _echo(f"Not used: {unused}, {table.withdrawn} of patients who withdrew.")


def retention(
    apply: Annotated[bool, typer.Option("--apply", help="Delete it. Without this nothing is deleted.")] = False,
    as_json: AsJson = False,
    clinic: ClinicOption = None,
) -> None:
    """Show what is older than the section `retention` of clinic.toml keeps, or delete it; the audit's chain stays whole."""
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.store.opening import open_store
    from wardround.clinic.watch.retention import delete_old, old_rows

    home = ClinicPlace.at(clinic)
    with open_store(home) as store:
        old = delete_old(home, store) if apply else old_rows(store, home.settings.retention)
    if as_json:
        typer.echo(json.dumps({"cases": len(old.cases), "audit_lines": old.lines, "deleted": apply}))
        return
    days = home.settings.retention
    if not days.case_days and not days.audit_days:
        _echo("Everything is kept: case_days and audit_days under [retention] in clinic.toml are 0.")
        return
    typer.echo(f"{'Deleted' if apply else 'Older than is kept'}: {len(old.cases)} cases, {old.lines} lines of the audit.")
    if not apply and (old.cases or old.lines):
        typer.echo("To delete them: wardround clinic retention --apply")


def _day(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise StudyError("This is no day", expected="a day as 2026-11-01", found=text[:40], hint="write it so") from error


def _echo(sentence: str, hanging: int = 0) -> None:
    for line in wrapped(printable(sentence), hanging=hanging):
        typer.echo(line)
