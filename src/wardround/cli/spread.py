"""The table that ends a study of several seeds: what a seed moves."""

from typing import TYPE_CHECKING

from wardround.cli.places import tested_on
from wardround.tasks.registry import task_of_record
from wardround.values.printable import printable

if TYPE_CHECKING:
    from wardround.simulation.seeds import SeedsOutcome


def show_spread(outcome: "SeedsOutcome") -> None:
    """Mean, spread, smallest and largest of each figure that models are compared by."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    words = task_of_record(next(iter(outcome.runs.values())).record.study_toml).words
    table = Table(title=f"{len(outcome.runs)} seeds, on held-out patients")
    table.add_column("tested on", overflow="fold")
    table.add_column("figure", overflow="fold")
    for title in ("mean", "± SD", "smallest", "largest"):
        table.add_column(title, justify="right", no_wrap=True)
    for key, spread in outcome.spreads.items():
        if key[3] in words.compared and (where := tested_on(key)):
            figures = (spread.mean, spread.deviation, spread.smallest, spread.largest)
            cells = ("–" if value is None else f"{value:.3f}" for value in figures)
            table.add_row(Text(printable(where)), words.in_text[key[3]], *cells)
    console = Console()
    console.print(table)
    console.print("The patients are the same in every run: this is what chance in training moves, no interval for others.")
    console.print(f"\nSaved in {outcome.folder}: a run for each seed, and seeds.json", highlight=False)
