"""wardround benefit RUN: a page for each hospital's board."""

from pathlib import Path
from typing import Annotated

import typer


def benefit(
    run: Annotated[Path, typer.Argument(help="The run folder; at a hospital, the study's folder in its own.")],
    site: Annotated[list[str] | None, typer.Option(help="Of this hospital only; once for each (default: of every one).")] = None,
    to: Annotated[Path | None, typer.Option(help="Where to write (default: benefit in the run folder).")] = None,
) -> None:
    """Write one printable page for each hospital: what it gains, and what the answers are worth to its patients."""
    from wardround.evidence.board import require_hospital, write_board
    from wardround.hub.artifacts import RECORD
    from wardround.simulation.comparing import left_out_of, read_run
    from wardround.site.daemon.desk import WORK

    run = work if ((work := run / WORK) / RECORD).is_file() else run  # a hospital's folder of a study
    record = read_run(run)
    turns = left_out_of(record, run)
    names = site or list(record.sites) or [""]
    for name in names:
        require_hospital(record, name)
    folder = to or run / "benefit"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        typer.echo(f"Wrote {write_board(record, name, folder / f'{name}.html', turns.get(name))}")
