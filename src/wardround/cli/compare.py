"""wardround compare RUN RUN ...: what differs between runs, in settings and in figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.places import tested_on
from wardround.values.errors import RunError

if TYPE_CHECKING:
    from rich.table import Table

    from wardround.evidence.comparing import Difference, FigureRow, NamedRun, Paired

_NOTE = (
    "A difference is the run's figure less that of the first run, with its 95 % interval. Marked = : both were tested on the "
    "same records, one by one. Without it the interval takes the patients for different ones, and is too wide where they were "
    "the same."
)


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, or folders of several seeds; all others are compared with the first run."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")] = False,
) -> None:
    """Compare runs of one question: settings that differ, figures, and differences with intervals."""
    from wardround.evidence.comparing import comparison_json, require_same_question
    from wardround.simulation.comparing import named_runs, paired_with_first, runs_in

    runs = runs_in(runs)
    if len(runs) < 2:
        raise RunError("One run cannot be compared", expected="two run folders or more", hint="name another run folder behind it")
    named = named_runs(runs)
    require_same_question(named)
    paired = paired_with_first(runs, named)
    if as_json:
        typer.echo(json.dumps(comparison_json(named, paired), allow_nan=False))
        return
    _show(named, paired)


def _show(runs: "Sequence[NamedRun]", paired: "Paired") -> None:
    from rich.console import Console

    from wardround.evidence.comparing import differing_settings, figure_rows
    from wardround.tasks.registry import task_of_record

    console = Console()
    differing = differing_settings(runs)
    console.print(_settings_table(runs, differing) if differing else "The studies are the same in every setting.")
    words = task_of_record(runs[0].record.study_toml).words
    rows = [row for row in figure_rows(runs, paired) if row.key[3] in words.compared and tested_on(row.key)]
    console.print(_figures_table(runs, rows, words.in_text))
    console.print(_NOTE, highlight=False)


def _settings_table(runs: "Sequence[NamedRun]", differing: Mapping[str, tuple[str | None, ...]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from wardround.values.printable import printable

    table = Table(title="Settings that differ")
    for title in ("setting", *(run.name for run in runs)):
        table.add_column(Text(printable(title)), overflow="fold")
    for name, values in differing.items():
        table.add_row(Text(printable(name)), *(Text("–" if value is None else printable(value)) for value in values))
    return table


def _figures_table(runs: "Sequence[NamedRun]", rows: "Sequence[FigureRow]", names: Mapping[str, str]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from wardround.values.printable import printable

    table = Table(title="Figures on held-out patients")
    table.add_column("tested on", overflow="fold")
    table.add_column("figure", overflow="fold")
    for k, run in enumerate(runs):
        table.add_column(Text(printable(run.name)), justify="right", overflow="fold")
        if k:
            table.add_column("difference", justify="right", overflow="fold")
    for row in rows:
        cells = [_number(row.values[0])]
        for value, difference in zip(row.values[1:], row.differences[1:], strict=True):
            cells += [_number(value), _in_words(difference)]
        table.add_row(Text(printable(tested_on(row.key))), names[row.key[3]], *cells)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _in_words(one: "Difference | None") -> str:
    if one is None:
        return "–"
    ends = "" if one.interval is None else f" ({one.interval[0]:+.3f} to {one.interval[1]:+.3f})"
    return f"{'= ' if one.paired else ''}{one.value:+.3f}{ends}"
