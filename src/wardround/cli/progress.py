"""What a person sees while a run goes on: rounds, hospitals, loss, time left. On stderr, so that stdout stays clean."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from wardround.hub.notices import ExchangeStarted, Notice, RoundDiscarded, RoundFinished, SiteAnswered, SiteBlamed, SiteLost

_TITLES = {
    "open": "Opening: hospitals prepare their data",
    "train": "Learning together",
    "own": "Each hospital alone, for comparison",
    "evaluate": "Testing on held-out patients",
    "close": "Closing",
}


@contextmanager
def watching(rounds: int, *, quiet: bool) -> Iterator[Callable[[Notice], None]]:
    """A listener that draws progress while the block runs. quiet: it draws nothing."""
    if quiet:
        yield lambda _event: None
        return
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        yield Display(progress, rounds)


class Display:
    """One bar for each kind of exchange; a line for each hospital that is lost."""

    def __init__(self, progress: Progress, rounds: int) -> None:
        self._progress, self._rounds = progress, rounds
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._step = ""
        self._sites = 1
        self._number = 0

    def __call__(self, event: Notice) -> None:
        match event:
            case ExchangeStarted():
                self._start(event)
            case SiteAnswered():
                self._progress.advance(self._tasks[self._step], 1)
            case SiteBlamed(site, code):
                self._progress.console.print(f"  round {self._number}: {site} was caught at {code}; the sum holds without it")
            case RoundDiscarded(number, why):
                self._progress.console.print(f"  round {number} is not used: {why}")
            case SiteLost(site, code):
                self._progress.console.print(f"  round {self._number}: {site} did not count ({code})")
            case RoundFinished():
                loss = "" if event.loss is None else f" loss {event.loss:.3f}"
                auc = f" AUC {event.auc:.3f}" if math.isfinite(event.auc) else ""
                self._note("train", f"round {event.number}/{event.rounds}{loss}{auc}")

    def _start(self, event: ExchangeStarted) -> None:
        self._step, self._sites, self._number = event.step, len(event.sites), event.number
        if event.step not in self._tasks:
            self._totals[event.step] = (event.rounds or 1) * self._sites
            self._tasks[event.step] = self._progress.add_task(_TITLES[event.step], total=self._totals[event.step], note="")
            if event.rounds:  # a resumed run does not start at round 1
                self._progress.update(self._tasks[event.step], completed=(event.number - 1) * self._sites)
        elif not event.rounds:
            self._totals[event.step] += self._sites
            self._progress.update(self._tasks[event.step], total=self._totals[event.step])

    def _note(self, step: str, text: str) -> None:
        self._progress.update(self._tasks[step], note=text)
