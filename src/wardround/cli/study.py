"""wardround study new | check | show | schema."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.values.errors import StudyError
from wardround.values.printable import printable

if TYPE_CHECKING:
    from wardround.study.declaration import Study

app = typer.Typer(help="Write, check and read study files.", no_args_is_help=True)
StudyFile = Annotated[Path, typer.Argument(help="The study file (TOML).")]
RunFile = Annotated[
    Path | None, typer.Option("--run", help="The settings of this machine (default: STUDY.run.toml beside it, if there).")
]


@app.command()
def new(
    path: StudyFile = Path("study.toml"),
    kind: Annotated[
        str, typer.Option(help="image, table or molecule; partners, who keep their questions; or task, one partner's file.")
    ] = "image",
    evaluate: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Of this finished model instead, to evaluate it: a run folder, or its name in the registry."
        ),
    ] = None,
    analysis: Annotated[
        str | None,
        typer.Option(
            metavar="KIND", help="Of an analysis instead, which trains nothing: describe, effect, regression or survival."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a starter study, with every choice explained; or one that asks hospitals how a finished model does."""
    from wardround.study.starter import ANALYSES, TASK, starter
    from wardround.values.durable import write_atomic

    if path.exists() and not force:
        raise StudyError(f"{path} exists", hint="choose another name, or replace it with --force")
    if evaluate is not None:
        _write_evaluation(path, evaluate, force=force)
        return
    if analysis is not None and analysis not in ANALYSES:
        raise StudyError(
            "There is no such starter", expected=" or ".join(ANALYSES), found=analysis[:40], hint="see docs/analysis.md"
        )
    write_atomic(path, starter(analysis or kind).encode())
    then = f"wardround study check STUDY --task {path}" if kind == TASK and analysis is None else f"wardround study check {path}"
    typer.echo(f"Wrote {path}. Read it, change it, then: {then}")


def _write_evaluation(path: Path, name: str, *, force: bool) -> None:
    """The study, and beside it a run file that says where the model lies."""
    from wardround.prediction.finished_model import finished_model, study_of_model
    from wardround.study.evaluation_study import evaluation_study, evaluation_text
    from wardround.study.run_settings import RunSettings, run_file_of
    from wardround.values.durable import write_atomic

    run_file = run_file_of(path)
    if run_file.exists() and not force:
        raise StudyError(f"{run_file} exists", hint="choose another name, or replace it with --force")
    model, _ = finished_model(name)
    study = evaluation_study(study_of_model(name), model.content, model.statement.threshold)
    located = str(Path(name).resolve()) if Path(name).exists() else name
    write_atomic(path, evaluation_text(study).encode())
    write_atomic(run_file, RunSettings().evaluating(located).to_toml().encode())
    typer.echo(f"Wrote {path}, which evaluates the model {model.sha256[:12]}, and {run_file}, which says where it lies.")
    typer.echo(f"Read the study, change it, then: wardround study check {path}")


@app.command()
def check(
    path: StudyFile,
    run: RunFile = None,
    task: Annotated[
        Path | None, typer.Option(help="One partner's own task, in a study with network.private: whether it fits the study.")
    ] = None,
) -> None:
    """Say whether a study file and its run file are sound; name the line and the mend of every problem."""
    from wardround.study.advice import advice
    from wardround.study.protection import protection
    from wardround.study.reading import load_study
    from wardround.study.run_settings import load_run, run_file_of, settings_beside, settings_in_words

    study = load_study(path)
    settings = settings_beside(path) if run is None else load_run(run)
    typer.echo(printable(f"{path} is a sound study: {study.question.title}"))
    typer.echo(f"hash {study.hash}")
    for sentence in (*protection(study), *advice(study)):
        typer.echo(sentence)
    if study.analysis is not None:
        _show_sums(study)
    if task is not None:
        _show_task(study, task)
    beside = run or run_file_of(path)
    source = str(beside) if beside.is_file() else f"there is no {beside}, so these are the defaults"
    typer.echo(f"\nOnly this machine needs, and no hospital agrees to ({source}):")
    for sentence in settings_in_words(study, settings):
        typer.echo(f"  {sentence}")


def _show_task(study: "Study", path: Path) -> None:
    """What one partner asks. StudyError where its file does not fit the study."""
    from wardround.study.own_task import at_home, load_own_task

    task = load_own_task(path)
    label = at_home(study, task).data.label
    typer.echo()
    typer.echo(printable(f"{path} fits it: a question of the kind {label.kind}, in the columns {', '.join(label.columns)}."))
    typer.echo(f"hash {task.hash}. It stays with this partner, and the study says nothing of it.")


def _show_sums(study: "Study") -> None:
    """The finite list of sums that a hospital answers for an analysis."""
    from wardround.analysis.registry import analysis_of

    try:
        exchanges = analysis_of(study).exchanges
    except StudyError:  # as one with an intercept for each hospital
        if study.sites.names:
            raise
        typer.echo("\nWhich sums each hospital answers follows from the hospitals' names, which the study does not have yet.")
        return
    typer.echo("\nThe sums that each hospital answers, and nothing else:")
    for exchange in exchanges:
        numbers = sum(quantity.size for quantity in exchange.quantities.values())
        often = "once" if exchange.times == 1 else f"up to {exchange.times} times"
        noised = "" if exchange.noised is None else ", each with noise"
        typer.echo(f"  {exchange.label:<20} {often:<16} {numbers:,} numbers{noised}")


@app.command()
def privacy(
    path: StudyFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")] = False,
    tried: Annotated[
        bool, typer.Option("--try", help="Also run the recipe at several epsilons, on public or synthetic data.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="With --try: the public data to divide."),
    ] = None,
    run: RunFile = None,
) -> None:
    """Say what a private study will cost each hospital's patients, before it runs, and the noise that it takes."""
    import json

    from wardround.cli.bill import bill_json, show_bill, show_sweep, working_out
    from wardround.plan.pricing import with_noise
    from wardround.study.reading import load_study
    from wardround.study.run_settings import load_run, settings_beside

    if (data is not None or run is not None) and not tried:
        raise StudyError("--data and --run say what --try runs on", hint="add --try, or leave them out")
    settings = (settings_beside(path) if run is None else load_run(run)) if tried else None
    declared = load_study(path)
    with working_out("the noise that the study takes"):
        study = with_noise(declared)
    if as_json:
        typer.echo(json.dumps(bill_json(study, settings, data), allow_nan=False))
        return
    show_bill(declared, study)
    if settings is not None:
        show_sweep(study, settings, data)


@app.command()
def show(path: StudyFile) -> None:
    """Print the study with every setting written out, defaults too."""
    from wardround.study.reading import load_study
    from wardround.study.writing import to_toml

    study = load_study(path)
    typer.echo(f"# hash {study.hash}\n{to_toml(study)}", nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a study, for editors that check and complete TOML."""
    from wardround.study.writing import json_schema

    typer.echo(json_schema(), nl=False)


@app.command()
def reference() -> None:
    """Print the reference of all settings, as Markdown."""
    from wardround.study.reference import reference as text

    typer.echo(text(), nl=False)
