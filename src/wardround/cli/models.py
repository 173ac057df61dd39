"""wardround models list | show | export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.values.printable import printable

if TYPE_CHECKING:
    from wardround.study.record.run_record import RunRecord

app = typer.Typer(help="Models that runs on this machine have made.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The first letters of the model's hash, or the run's name.")]
Where = Annotated[str | None, typer.Option("--registry", help="The registry: a folder or a database URL (default: this user's).")]


@app.command("list")
def list_models(registry: Where = None) -> None:
    """List the models in the registry."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from wardround.registry import open_registry

    table = Table(title="Models, newest first")
    table.add_column("model", no_wrap=True)
    for title in ("study", "run", "data"):
        table.add_column(title)
    with open_registry(registry) as models:
        for run in models.runs():
            if run.model is not None:
                data = "synthetic" if run.synthetic else "real"
                held = "; patients in the model" if models.model(run.model).holds_records else ""
                table.add_row(run.model[:12], Text(printable(run.study_title)), run.id, data + held)
    if not table.row_count:
        typer.echo("There are no models yet. Make one with: wardround demo")
        return
    Console().print(table)


@app.command()
def show(name: Name, registry: Where = None) -> None:
    """Tell where a model came from and how good it was."""
    from wardround.registry import open_registry
    from wardround.tasks.registry import task_of_record

    with open_registry(registry) as models:
        model = models.model(name)
        lines = [f"model       {model.sha256}", f"parameters  {model.parameters}", *_decision(model.threshold)]
        if model.synthetic:
            lines.append("data        synthetic: made by a program, of no patient")
        if model.holds_records:
            lines.append("holds       values of single patients: it must never leave the hospital")
        lines += [f"file        {file.kind} ({file.size} bytes)" for file in model.files]
        for lineage in model.lineage:
            run = models.run(lineage.run)
            lines += [f"run         {run.id}", f"study       {run.study_title} ({lineage.study_hash[:12]})"]
            record = models.record(lineage.run)
            lines += _of_findings(record, model.sha256)
            steps = f"{run.rounds} rounds, network" if record.fit is None else f"{record.fit.sums} sums,"
            lines += [f"algorithm   {run.algorithm}, {steps} {run.network}, privacy {run.privacy_mode}"]
            compared = task_of_record(record.study_toml).words.compared
            for metric in models.metrics(lineage.run):
                if metric.model == "federated" and metric.name in compared and metric.value is not None:
                    lines.append(
                        f"{metric.name:<11} {metric.value:.3f}  ({' '.join(filter(None, (metric.scope, metric.test_set)))})"
                    )
    typer.echo("\n".join(map(printable, lines)))


def _of_findings(record: "RunRecord", sha256: str) -> list[str]:
    """The thresholds of a model that decides on several findings."""
    from wardround.tasks.registry import task_of_record

    words = task_of_record(record.study_toml).words
    made = {one.sha256: one.threshold for one in (record.model, *(site.personal for site in record.sites.values())) if one}
    cuts = made.get(sha256)
    if not isinstance(cuts, tuple):
        return []
    return [f"threshold   {cut:.3f}  {name}" for (_, _, name), cut in zip(words.decisions, cuts, strict=True)]


def _decision(threshold: float | None) -> list[str]:
    return [] if threshold is None else [f"threshold   {threshold:.3f}"]


@app.command()
def export(
    name: Name,
    to: Annotated[Path, typer.Argument(help="A new file, or a folder.")],
    kind: Annotated[str, typer.Option(help="onnx or safetensors.")] = "onnx",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that differs.")] = False,
    within_hospital: Annotated[
        bool, typer.Option("--within-hospital", help="The copy stays in the hospital: of a model that holds values of patients.")
    ] = False,
    registry: Where = None,
) -> None:
    """Copy a model's file out of the registry, proved to be what was registered."""
    from wardround.registry import open_registry

    with open_registry(registry) as models:
        path = models.export(name, to, kind, overwrite=force, within_hospital=within_hospital)
    typer.echo(f"Wrote {path}")
