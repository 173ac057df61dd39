"""What a person sees while a run goes on: rounds, hospitals, loss, time. Never on standard output.

a terminal         Bars    a line for each kind of exchange, made for 80 columns; a wide one shows the time left too
a notebook         Cell    the same as text below the cell, replaced in place
a file or a pipe   Lines   a line for each kind of exchange and for each round
"""

import html
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from wardround.hub.notices import (
    ANALYSE,
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

_TITLES = {
    "open": "Opening",
    "train": "Learning",
    "own": "Alone",
    "evaluate": "Testing",
    "personal": "Choosing",
    ANALYSE: "Summing",
    "close": "Closing",
}
_NOTES = {
    "open": "hospitals prepare their data",
    "own": "each hospital's own model",
    "evaluate": "on held-out patients",
    "personal": "each hospital's best model",
    ANALYSE: "over all hospitals together",
}
_WIDE = 100
_WIDEST = 120


@contextmanager
def watching(shown: bool | None, *, verbose: bool = False, also: Listener = silent) -> Iterator[Listener]:
    """A listener that shows progress while the block runs.

    shown: None shows it where somebody looks, on a terminal and in a notebook; True also in a log. verbose: also a line for each
    answer of a hospital. also: hears of every event too.
    """
    if shown is False or (sys.stderr is None and not in_notebook()):  # a program whose standard error is closed
        yield also
    elif in_notebook():
        yield _both(Cell(), also)
    elif sys.stderr.isatty():
        with _bars(verbose=verbose) as bars:
            yield _both(bars, also)
    else:
        yield _both(Lines(sys.stderr, verbose=verbose), also) if shown else also


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook. IPython is asked only where it is loaded already."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and hasattr(get_ipython(), "kernel")


@contextmanager
def _bars(*, verbose: bool) -> Iterator[Listener]:
    """Nothing is drawn before the first event, so that a refusal stands alone."""
    console = Console(stderr=True)
    progress = Progress(*_columns(console.width), console=console, expand=console.width <= _WIDEST)
    bars = Bars(progress, verbose=verbose)

    def listener(event: Notice) -> None:
        progress.start()
        bars(event)

    try:
        yield listener
    finally:
        if progress.tasks:
            progress.stop()


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


class CurrentExchange:
    """Which exchange is going on, and what is said where something happens in it."""

    def __init__(self) -> None:
        self.step, self.number, self._began = "", 0, time.monotonic()

    def start(self, event: ExchangeStarted) -> None:
        self.step, self.number, self._began = event.step, event.number, time.monotonic()

    def sentence(self, event: Notice, *, verbose: bool) -> str:
        """A line of its own; empty for what needs none."""
        match event:
            case SiteAnswered(site) if verbose:
                return f"{self._title}: {site} answered after {time.monotonic() - self._began:.1f} s"
            case SiteBlamed(site, code):
                return f"{self._title}: {site} was caught at {code}; the sum holds without it"
            case RoundDiscarded(number, why):
                return f"round {number} is not used: {why}"
            case SiteLost(site, code):
                return f"{self._title}: {site} did not count ({code})"
        return ""

    @property
    def _title(self) -> str:
        return f"round {self.number}" if self.number and self.step == "train" else _TITLES[self.step].lower()


class Bars:
    """One bar for each kind of exchange; a line for each hospital that is lost."""

    def __init__(self, progress: Progress, *, verbose: bool = False) -> None:
        self._progress, self._verbose = progress, verbose
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._exchange = CurrentExchange()

    def __call__(self, event: Notice) -> None:
        match event:
            case ExchangeStarted():
                self._start(event)
            case SiteAnswered():
                self._progress.advance(self._tasks[self._exchange.step], 1)
            case RoundFinished():
                self._progress.update(self._tasks["train"], note=_figures(event))
        if sentence := self._exchange.sentence(event, verbose=self._verbose):
            self._progress.console.print(f"  {sentence}", highlight=False, markup=False)

    def _start(self, event: ExchangeStarted) -> None:
        self._exchange.start(event)
        sites = len(event.sites)
        if event.step not in self._tasks:
            total = self._totals[event.step] = (event.rounds or 1) * sites
            self._tasks[event.step] = self._progress.add_task(_TITLES[event.step], total=total, note=_first_note(event))
            if event.rounds:  # a resumed run does not start at round 1
                self._progress.update(self._tasks[event.step], completed=(event.number - 1) * sites)
        elif not event.rounds:
            self._totals[event.step] += sites
            self._progress.update(self._tasks[event.step], total=self._totals[event.step])


class Lines:
    """For a log: a line when a kind of exchange begins, and one for each round."""

    def __init__(self, file: TextIO, *, verbose: bool = False) -> None:
        self._file, self._verbose = file, verbose
        self._begun: set[str] = set()
        self._exchange = CurrentExchange()

    def __call__(self, event: Notice) -> None:
        match event:
            case ExchangeStarted():
                self._exchange.start(event)
                if event.step not in self._begun:
                    self._begun.add(event.step)
                    self._say(f"{_TITLES[event.step]:8} {_first_note(event)}")
            case RoundFinished():
                self._say(f"{_TITLES['train']:8} {_figures(event)}")
        if sentence := self._exchange.sentence(event, verbose=self._verbose):
            self._say(f"  {sentence}")

    def _say(self, text: str) -> None:
        print(text.rstrip(), file=self._file, flush=True)


class Cell:
    """Text below a notebook's cell: where the run is, and what went wrong. It is display data, no output of the program."""

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}
        self._sentences: list[str] = []
        self._exchange = CurrentExchange()
        self._handle: Any = None

    def __call__(self, event: Notice) -> None:
        match event:
            case ExchangeStarted():
                self._exchange.start(event)
                self._notes.setdefault(event.step, _first_note(event))
            case RoundFinished():
                self._notes["train"] = _figures(event)
        if sentence := self._exchange.sentence(event, verbose=False):
            self._sentences.append(f"  {sentence}")
        self._show()

    def _show(self) -> None:
        notebook: Any = import_module("IPython.display")
        lines = [f"{_TITLES[step]:8} {note}".rstrip() for step, note in self._notes.items()]
        page = notebook.HTML(f"<pre>{html.escape(chr(10).join([*lines, *self._sentences]))}</pre>")
        if self._handle is None:
            self._handle = notebook.display(page, display_id=True)
        else:
            self._handle.update(page)


def _first_note(event: ExchangeStarted) -> str:
    return f"{event.number - 1}/{event.rounds}" if event.step == "train" else _NOTES.get(event.step, "")


def _figures(event: RoundFinished) -> str:
    return f"{event.number}/{event.rounds}{_figure('loss', event.loss)}{_figure(event.score.name, event.score.value)}"


def _figure(name: str, value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"  {name} {value:.3f}"


def _both(first: Listener, second: Listener) -> Listener:
    def listener(event: Notice) -> None:
        first(event)
        second(event)

    return listener
