"""An analysis's tables on a terminal of any width from 80 columns on."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wardround.analysis.result import Table as ResultTable
from wardround.evidence.analysis.cells import shown
from wardround.simulation.analysing import AnalysisRun


def show_analysis(run: AnalysisRun, *, verbose: bool = False) -> None:
    """The result of an analysis, for a person. verbose: also how exact the sums were."""
    console = Console()
    if run.synthetic:
        console.print("[bold]The data of this run are synthetic: made by a program, of no patient.[/bold]")
    for table in run.result.tables:
        if table.detail:
            continue
        console.print(f"[bold]{escape(table.title)}[/bold]", highlight=False)
        console.print(_drawn(table))
        for note in table.notes:
            console.print(escape(note), highlight=False)
        console.print()
    for note in run.result.notes:
        console.print(escape(note), highlight=False)
    if verbose:
        console.print(f"{run.exchanges} sums; the sums brought at most {run.result.error:.1g} into a figure.", highlight=False)
    console.print(f"\nSaved in {escape(str(run.folder))}:", highlight=False)
    for name in run.files:
        console.print(f"  {name}", highlight=False)


def _drawn(table: ResultTable) -> Table:
    """Texts and heads are broken where they do not fit, numbers never."""
    drawing = Table(show_edge=False, pad_edge=False, box=None)
    cells = [[shown(cell, column) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]
    for position, column in enumerate(table.columns):
        text = column.form == "text"
        longest = max((len(row[position]) for row in cells), default=0)
        drawing.add_column(
            escape(column.name), justify="left" if text else "right", overflow="fold", min_width=min(longest, 8 if text else 40)
        )
    for row in cells:
        drawing.add_row(*map(escape, row))
    return drawing
