"""What a person sees while a run goes on, at the widths that terminals have."""

import io
import re

import pytest
from rich.console import Console
from rich.progress import Progress

from wardround.hub.notices import ExchangeStarted, Notice, RoundDiscarded, RoundFinished, Score, SiteAnswered, SiteLost
from wardround.simulation.progress import Display, _columns
from wardround.values.ids import SiteId

SITES = tuple(SiteId(name) for name in ("harbour", "north", "valley"))


def shown(width: int, events: list[Notice], *, verbose: bool = False) -> list[str]:
    """The lines that stand on a terminal of that width after the events."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    progress = Progress(*_columns(width), console=console, expand=True, auto_refresh=False)
    display = Display(progress, 10, verbose=verbose)
    for event in events:
        display(event)
    with console.capture() as captured:
        console.print(progress.make_tasks_table(progress.tasks))
    return [line for line in captured.get().splitlines() if line.strip()]


def whole_run() -> list[Notice]:
    events: list[Notice] = [ExchangeStarted("open", 0, 0, SITES), *map(SiteAnswered, SITES)]
    for number in range(1, 11):
        events += [ExchangeStarted("train", number, 10, SITES), *map(SiteAnswered, SITES)]
        events.append(RoundFinished(number, 10, 1.0, 0.4123, Score("AUC", 0.9712), {}))
    return [*events, ExchangeStarted("own", 1, 10, SITES), *map(SiteAnswered, SITES)]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_every_line_is_readable(width: int) -> None:
    """At 80 columns bars were one character wide and the clocks read 0 and dots."""
    lines = shown(width, whole_run())
    assert len(lines) == 3
    for line in lines:
        assert len(line) <= width
        assert re.search(r"\d:\d\d:\d\d|-:--:--", line)
        assert "…" not in line
    assert all(line.count("━") >= 6 for line in lines[:2])  # what is done; what is not is drawn in a colour
    assert "10/10  loss 0.412  AUC 0.971" in lines[1]


def test_a_round_without_figures_shows_none() -> None:
    """A private study has neither: a dash or NaN would look like a failure."""
    events = [ExchangeStarted("train", 1, 10, SITES), RoundFinished(1, 10, 1.0, None, Score("AUC", float("nan")), {})]
    (line,) = shown(80, events)
    assert "1/10" in line and "nan" not in line and "loss" not in line


def test_what_went_wrong_is_a_line_of_its_own() -> None:
    """A hospital that is lost in round 3 of 10 must not scroll away as a colour of a bar."""
    console = Console(file=(out := io.StringIO()), width=80)
    with Progress(*_columns(80), console=console) as progress:
        display = Display(progress, 10)
        for event in (ExchangeStarted("train", 3, 10, SITES), SiteLost(SITES[0], "no-answer"), RoundDiscarded(3, "too-long")):
            display(event)
    assert "round 3: harbour did not count (no-answer)" in out.getvalue()
    assert "round 3 is not used: too-long" in out.getvalue()


def test_verbose_says_who_answered() -> None:
    """Whoever waits for the last of ten hospitals wants to know for which."""
    console = Console(file=(out := io.StringIO()), width=80)
    with Progress(*_columns(80), console=console) as progress:
        display = Display(progress, 10, verbose=True)
        display(ExchangeStarted("open", 0, 0, SITES))
        display(SiteAnswered(SITES[1]))
    assert "opening: north answered" in out.getvalue()
