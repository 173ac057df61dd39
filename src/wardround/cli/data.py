"""wardround data check | list | get."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check a hospital's data; find and fetch public data sets.", no_args_is_help=True)


@app.command()
def check(
    path: Annotated[str, typer.Argument(help="The hospital's data: a file, a folder, or the address of a database.")],
    contract: Annotated[Path, typer.Option(help="The study whose section `data` says what is expected.")],
    mapping: Annotated[
        Path | None, typer.Option(help="The hospital's own mapping (wardround data map), for a table. It stays at the hospital.")
    ] = None,
    task: Annotated[
        Path | None, typer.Option(help="The hospital's own task, in a study with network.private. It stays at the hospital.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, without any name or value.")] = False,
    listing: Annotated[
        Path | None,
        typer.Option("--list", help="Write every place of every finding, with values, to this CSV. It stays at the hospital."),
    ] = None,
) -> None:
    """Say in plain language whether the data can take part in a study. Exit code 0: ready; 3: not ready."""
    from rich.console import Console

    from wardround.sources import open_source
    from wardround.sources.mapping.sections import load_mapping
    from wardround.sources.readiness.listing import write_listing
    from wardround.sources.readiness.rendering import render_rich
    from wardround.study.own_task import load_own_task, require_own_task
    from wardround.study.reading import load_study
    from wardround.values.durable import require_apart
    from wardround.values.errors import StudyError

    if listing is not None:
        require_apart(listing, path, contract, mapping, task)
    if as_json and task is not None:
        raise StudyError(
            "--json is a report that may be sent on, and with --task it would count the labels of this hospital's own task",
            hint="leave --json out",
        )
    study = require_own_task(load_study(contract), None if task is None else load_own_task(task), "this hospital")
    kept = None if mapping is None else load_mapping(mapping)
    with _shown_progress():
        readiness = open_source(path, study.data, private=study.privacy.private, mapping=kept).check()
    if as_json:
        typer.echo(json.dumps(readiness.to_json()))
    else:
        Console().print(render_rich(readiness))
    if listing is not None:
        rows = write_listing(readiness, listing)
        typer.echo(f"{rows} places are in {listing}. It holds values: it may not be sent.", err=True)
    raise typer.Exit(readiness.exit_code)


@contextmanager
def _shown_progress() -> Iterator[None]:
    """How far the reading has come, on standard error of a terminal; a log gets nothing of it."""
    from rich.console import Console
    from rich.markup import escape

    from wardround.sources.progress import heard_by

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status("reading") as status:
        status.update("reading", spinner="dots")  # drawn at once: else the first that is seen is whatever has come 80 ms later

        def show(step: str, done: int, total: int) -> None:
            status.update(escape(f"{step}: {done} of {total}" if total else step))

        with heard_by(show):
            yield


@app.command("map")
def map_table(
    path: Annotated[Path, typer.Argument(help="The hospital's table: CSV, Parquet or a workbook.")],
    contract: Annotated[Path, typer.Option(help="The study whose section `data` says what is expected.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write (default: print it). An existing one is not replaced.")
    ] = None,
) -> None:
    """Propose how this hospital's columns, codes, units and dates become the study's: a mapping to read, complete and keep."""
    from wardround.sources.mapping.proposing import propose
    from wardround.study.reading import load_study
    from wardround.values.address import is_address, is_other_address
    from wardround.values.durable import sweep, write_atomic
    from wardround.values.errors import DataError

    study = load_study(contract)
    if is_address(path) or (is_other_address(path) and not path.exists()):
        text = "A mapping is proposed for a file, and this is the address of a database"
        raise DataError(text, hint="save some of its rows as CSV and map that; then write url and query under [source] by hand")
    if study.data.kind != "table":
        raise DataError(f"The study asks for {study.data.kind}s, and a mapping is for tables", hint="name a study of tables")
    if not path.is_file():
        raise DataError(f"There is no file at {path}", hint="name the table itself, not its folder")
    if out is not None and out.exists():
        raise DataError(f"{out} is there already", hint="name another file with --out, or move that one away")
    proposal = propose(path, study.data)
    if out is None:
        typer.echo(proposal.text, nl=False)
        return
    sweep(out.parent, out.name)
    write_atomic(out, proposal.text.encode(), private=True)
    waiting = f"{proposal.open_lines} lines wait for you (# choose), and all are to be read" if proposal.open_lines else "read it"
    typer.echo(f"{out} holds the proposal; {waiting}. Then: wardround data check {path} --contract {contract} --mapping {out}")


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(help="The folder to write; it must be new or empty.")] = Path("data"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other patients.")] = 1,
) -> None:
    """Make up hospitals to try Wardround on: folders of drawn X-rays, one set to divide, and a table with a mapping to write."""
    from wardround.sources.synthetic.folders import make_folders
    from wardround.sources.synthetic.hospitals import SYNTHETIC_NOTICE

    written = make_folders(folder, seed, lambda step: typer.echo(f"drawing {step}", err=True))
    typer.echo("\n".join(str(path) for path in written))
    typer.echo(f"{SYNTHETIC_NOTICE} The table is made up, too.")


@app.command("list")
def list_sets() -> None:
    """List the public data sets that Wardround knows, and which are on this machine."""
    from rich.console import Console
    from rich.table import Table

    from wardround.sources.datasets.catalogue import entries, find
    from wardround.values.errors import DataError

    table = Table(title="Public data sets")
    table.add_column("name", no_wrap=True)
    for title in ("what", "licence", "here"):
        table.add_column(title)
    for name, entry in entries().items():
        try:
            find(name)
            here = "yes"
        except DataError:
            here = "no: data get" if entry.downloadable else "no download"
        table.add_row(name, entry.title, entry.licence, here)
    Console().print(table)
    typer.echo("Source, citation, hashes and warnings of one set: wardround data show NAME")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A public set's name; with --contract a hospital's data.")],
    contract: Annotated[Path | None, typer.Option(help="The study to show a hospital's data by.")] = None,
    out: Annotated[Path, typer.Option(help="With --contract: the page to write.")] = Path("data.html"),
    mapping: Annotated[Path | None, typer.Option(help="With --contract: the hospital's own mapping of its table.")] = None,
) -> None:
    """Tell all that is known of a public data set; or, with --contract, write a page that shows a hospital's data to itself.

    The page has pictures as the network will see them, each column by label, and examples of every finding. It holds patients'
    data and may not be sent.
    """
    if contract is None:
        _show_public_set(name)
    else:
        _show_hospital(Path(name), contract, out, mapping)


def _show_hospital(path: Path, contract: Path, out: Path, mapping: Path | None) -> None:
    from wardround.sources import open_source
    from wardround.sources.mapping.sections import load_mapping
    from wardround.sources.readiness.page import write_page
    from wardround.sources.readiness.rendering import verdict
    from wardround.study.reading import load_study
    from wardround.values.durable import require_apart

    require_apart(out, path, contract, mapping)
    study = load_study(contract)
    data_contract, kept = study.data, None if mapping is None else load_mapping(mapping)
    source = open_source(path, data_contract, private=study.privacy.private, mapping=kept)
    with _shown_progress():
        readiness, read_result = source.look()
    write_page(out, source.path, readiness, read_result, data_contract)
    typer.echo(f"{verdict(readiness)}\nThe page is in {out}. It holds patients' data: it may not be sent.")
    raise typer.Exit(readiness.exit_code)


def _show_public_set(name: str) -> None:
    """Source, licence, hashes, warnings, and a [data] section to start from."""
    from wardround.values.errors import DataError

    if Path(name).exists():
        raise DataError(
            f"{name} is no public data set", hint=f"to see a hospital's own data: wardround data show {name} --contract STUDY"
        )
    from wardround.sources.datasets.catalogue import entry, suggested_contract_text

    dataset = entry(name)
    lines = [dataset.title, f"source    {dataset.source}", f"cite      {dataset.citation}", f"licence   {dataset.licence}"]
    lines += [f"records   {dataset.records}"]
    lines += [f"file      {file.name}  {' or '.join(file.hashes)}" for file in dataset.files]
    lines += [f"warning   {warning}" for warning in dataset.warnings]
    typer.echo("\n".join(lines))
    if dataset.readable:
        typer.echo(f"\n# For a study:\n{suggested_contract_text(name)}", nl=False)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="The set's name (wardround data list).")],
    into: Annotated[Path | None, typer.Option(help="The folder to put it in (default: this user's data folder).")] = None,
) -> None:
    """Fetch a public data set from its publisher and check its hash. A broken download goes on where it stopped."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from wardround.sources.datasets.catalogue import get as get_set

    with Progress(
        TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn(), console=Console(stderr=True)
    ) as bars:
        tasks: dict[str, object] = {}

        def moved(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=total)
            bars.update(tasks[file], completed=done, total=total)  # type: ignore[arg-type]

        folder = get_set(name, progress=moved, into=into)
    typer.echo(f"{name} is in {folder}")
