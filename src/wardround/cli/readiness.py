"""The readiness report on a terminal."""

from rich.console import Console
from rich.table import Table

from wardround.sources.readiness import Readiness

_MARKS = {"error": "must be mended", "warning": "look at this", "note": "note"}


def show_readiness(readiness: Readiness) -> None:
    console = Console(highlight=False)
    if readiness.counts:
        table = Table(title="What was found", show_header=False)
        table.add_column("what")
        table.add_column("how many", justify="right")
        for count in readiness.counts:
            table.add_row(count.name, count.value)
        console.print(table)
    for finding in readiness.findings:
        console.print(f"{_MARKS[finding.level]}: {finding.text}.", markup=False, soft_wrap=True)
        if finding.mend:
            console.print(f"    {finding.mend}", markup=False, soft_wrap=True)
    console.print("Ready to take part." if readiness.ready() else "Not ready: mend what is marked, then check again.")
