"""What a person sees while a run goes on: rounds, hospitals, loss, time. On stderr, so that stdout stays clean.

One line a kind of exchange, made for 80 columns: title, bar, note, time passed; a wide terminal shows the time left too.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from wardround.hub.notices import (
    ExchangeStarted,
    Listener,
    Notice,
    RoundDiscarded,
    RoundFinished,
    SiteAnswered,
    SiteBlamed,
    SiteLost,
    silent,
)

_TITLES = {"open": "Opening", "train": "Learning", "own": "Alone", "evaluate": "Testing", "close": "Closing"}
_NOTES = {"open": "hospitals prepare their data", "own": "each hospital's own model", "evaluate": "on held-out patients"}
_WIDE = 100
_WIDEST = 120


@contextmanager
def watching(rounds: int, *, quiet: bool, verbose: bool = False, also: Listener = silent) -> Iterator[Listener]:
    """A listener that draws progress while the block runs. quiet: it draws nothing. verbose: also a line for each answer.
    also: hears of every event too."""
    if quiet:
        yield also
        return
    console = Console(stderr=True)
    with Progress(*_columns(console.width), console=console, expand=console.width <= _WIDEST) as progress:
        display = Display(progress, rounds, verbose=verbose)

        def both(event: Notice) -> None:
            display(event)
            also(event)

        yield both


def _columns(width: int) -> list[ProgressColumn]:
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=8)),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=6)),
        TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
    ]
    if width >= _WIDE:
        columns += [
            TextColumn("left", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True, min_width=5)),
        ]
    return columns


class Display:
    """One bar for each kind of exchange; a line for each hospital that is lost."""

    def __init__(self, progress: Progress, rounds: int, *, verbose: bool = False) -> None:
        self._progress, self._rounds, self._verbose = progress, rounds, verbose
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._step = ""
        self._sites = 1
        self._number = 0

    def __call__(self, event: Notice) -> None:
        match event:
            case ExchangeStarted():
                self._start(event)
            case SiteAnswered(site):
                self._progress.advance(self._tasks[self._step], 1)
                if self._verbose:
                    self._say(f"{site} answered")
            case SiteBlamed(site, code):
                self._say(f"{site} was caught at {code}; the sum holds without it")
            case RoundDiscarded(number, why):
                self._progress.console.print(f"  round {number} is not used: {why}", highlight=False)
            case SiteLost(site, code):
                self._say(f"{site} did not count ({code})")
            case RoundFinished():
                score = _figure(event.score.name, event.score.value)
                self._note("train", f"{event.number}/{event.rounds}{_figure('loss', event.loss)}{score}")

    def _say(self, text: str) -> None:
        where = f"round {self._number}" if self._number and self._step == "train" else _TITLES[self._step].lower()
        self._progress.console.print(f"  {where}: {text}", highlight=False)

    def _start(self, event: ExchangeStarted) -> None:
        self._step, self._sites, self._number = event.step, len(event.sites), event.number
        if event.step not in self._tasks:
            total, note = (event.rounds or 1) * self._sites, _NOTES.get(event.step, "")
            self._totals[event.step] = total
            self._tasks[event.step] = self._progress.add_task(_TITLES[event.step], total=total, note=note)
            if event.rounds:  # a resumed run does not start at round 1
                self._progress.update(self._tasks[event.step], completed=(event.number - 1) * self._sites)
        elif not event.rounds:
            self._totals[event.step] += self._sites
            self._progress.update(self._tasks[event.step], total=self._totals[event.step])

    def _note(self, step: str, text: str) -> None:
        self._progress.update(self._tasks[step], note=text)


def _figure(name: str, value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"  {name} {value:.3f}"
