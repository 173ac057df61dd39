"""wardround site data add | list | remove | exclude."""

from pathlib import Path
from typing import Annotated

import typer

from wardround.cli.site.homes import HomeOption, site_home

app = typer.Typer(help="Say where this hospital's data sets lie. Only their names are ever used outside.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A short name, such as radiology-2025.")],
    path: Annotated[str, typer.Argument(help="The data: a file, a folder, or the address of a database.")],
    mapping: Annotated[
        Path | None, typer.Option(help="The hospital's mapping of its table (wardround data map); it stays here.")
    ] = None,
    task: Annotated[
        Path | None,
        typer.Option(help="The hospital's own task, for studies with network.private; it stays here, and is never sent."),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            help="Name of the privacy ledger of these patients; data sets of the same patients share one (default: NAME)."
        ),
    ] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Its records were generated: models made on them say so.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the data set of this name.")] = False,
    home: HomeOption = None,
) -> None:
    """Register a data set. Nothing of it is read until a person reviews a study with it."""
    from wardround.site.daemon.data_sets import DataSets

    site = site_home(home)
    sets = DataSets(site.data_file)
    if task is not None:
        _require_sound(task)
    one = sets.add(name, path, mapping=mapping, ledger=ledger, replace=replace, synthetic=synthetic, task=task)
    site.log.append("data-added", f"The data set {name} was registered.", name=name, ledger=one.ledger)
    typer.echo(f"{name} is {one.data}")
    typer.echo("Try it with a study: wardround site review STUDY --data " + name)


def _require_sound(task: Path) -> None:
    """StudyError where the task file is not sound: here, and not when the first study comes."""
    import wardround.tasks  # noqa: F401  every kind of question is known then
    from wardround.study.own_task import load_own_task

    load_own_task(task)


@app.command("list")
def list_sets(home: HomeOption = None) -> None:
    """Show the registered data sets."""
    from wardround.site.daemon.data_sets import DataSets
    from wardround.values.printable import printable

    sets = DataSets(site_home(home).data_file).all()
    if not sets:
        typer.echo("None is registered. Add one: wardround site data add NAME PATH")
    for name, one in sorted(sets.items()):
        mapped = f"\n    mapping {one.mapping}" if one.mapping else ""
        made = "\n    synthetic: of no patient" if one.synthetic else ""
        mapped += f"\n    task {one.task}" if one.task else ""
        typer.echo(printable(f"{name}: {one.data}") + f"{mapped}\n    ledger {one.ledger}{made}")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="The data set's name.")], home: HomeOption = None) -> None:
    """Forget where a data set lies. Its files and its ledger stay. Studies that use it are answered no more."""
    from wardround.site.daemon.data_sets import DataSets

    site = site_home(home)
    DataSets(site.data_file).remove(name)
    site.log.append("data-removed", f"The data set {name} is not registered any more.", name=name)
    typer.echo(f"{name} is not registered any more.")


@app.command()
def exclude(
    patient: Annotated[
        str | None, typer.Argument(help="Her identifier as it stands in the data; asked for where it is left out.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Leave a patient who withdrew out of every study of this hospital from now on. A running study has to be approved anew."""
    from wardround.sources.excluded_patients import ExcludedPatients

    site = site_home(home)
    added = ExcludedPatients.of_user().add(patient or typer.prompt("Patient", hide_input=True))
    site.log.append("patient-excluded", "A patient withdrew, and is left out of studies.")
    typer.echo("She is left out of every study that is reviewed or begins from now on." if added else "She is left out already.")
    typer.echo("A study that was approved with her records is refused until it is reviewed and approved again.")
