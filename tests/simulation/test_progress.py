"""What a person sees while a run goes on: on terminals of any width, in a notebook, in a log."""

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from wardround.hub.notices import ExchangeStarted, Notice, RoundDiscarded, RoundFinished, Score, SiteAnswered, SiteLost, silent
from wardround.simulation.progress import Bars, Lines, _columns, watching
from wardround.values.ids import SiteId

SITES = tuple(SiteId(name) for name in ("harbour", "north", "valley"))


def shown(width: int, events: list[Notice], *, verbose: bool = False) -> list[str]:
    """The lines that stand on a terminal of that width after the events."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    progress = Progress(*_columns(width), console=console, expand=True, auto_refresh=False)
    bars = Bars(progress, verbose=verbose)
    for event in events:
        bars(event)
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
        bars = Bars(progress)
        for event in (ExchangeStarted("train", 3, 10, SITES), SiteLost(SITES[0], "no-answer"), RoundDiscarded(3, "too-long")):
            bars(event)
    assert "round 3: harbour did not count (no-answer)" in out.getvalue()
    assert "round 3 is not used: too-long" in out.getvalue()


def test_verbose_says_who_answered() -> None:
    """Whoever waits for the last of ten hospitals wants to know for which."""
    console = Console(file=(out := io.StringIO()), width=80)
    with Progress(*_columns(80), console=console) as progress:
        bars = Bars(progress, verbose=True)
        bars(ExchangeStarted("open", 0, 0, SITES))
        bars(SiteAnswered(SITES[1]))
    assert re.search(r"opening: north answered after \d+\.\d s", out.getvalue())


def test_a_resumed_run_says_where_it_goes_on() -> None:
    """Until the first round ends there was nothing beside the bar, and it looked like a new run."""
    (line,) = shown(80, [ExchangeStarted("train", 4, 10, SITES)])
    assert "3/10" in line


def test_a_log_gets_a_line_for_each_round() -> None:
    """A bar in a file is a screen of control characters, or nothing until the end."""
    out = io.StringIO()
    lines = Lines(out)
    for event in [*whole_run(), SiteLost(SITES[0], "no-answer")]:
        lines(event)
    told = out.getvalue().splitlines()
    assert told[0] == "Opening  hospitals prepare their data"
    assert "Learning 10/10  loss 0.412  AUC 0.971" in told
    assert told[-1] == "  alone: harbour did not count (no-answer)"
    assert len(told) == 1 + 1 + 10 + 1 + 1 and "\x1b" not in out.getvalue()


NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from wardround.hub.notices import ExchangeStarted, RoundFinished, Score, SiteLost
from wardround.simulation.progress import in_notebook, watching
InteractiveShell.instance()
assert not in_notebook()  # a shell in a terminal
InteractiveShell.instance().kernel = object()  # what tells the kernel of a notebook
with capture_output() as captured, watching(None) as listener:
    for number in (1, 2):
        listener(ExchangeStarted("train", number, 2, ("north",)))
        listener(RoundFinished(number, 2, 1.0, 0.4123, Score("AUC", 0.9712), {}))
    listener(SiteLost("north", "<script>"))
assert captured.stdout == captured.stderr == ""
print(captured.outputs[-1].data["text/html"])
"""


@pytest.mark.slow
def test_a_notebook_shows_one_text_that_is_replaced() -> None:
    """A hundred rounds are one paragraph below the cell, and nothing goes to standard output."""
    pytest.importorskip("IPython")
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Learning 2/2  loss 0.412  AUC 0.971" in done.stdout and "&lt;script&gt;" in done.stdout


def test_nothing_is_shown_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that calls simulate must find its own standard output and error as they were."""
    assert not sys.stderr.isatty()
    for wish in (None, False):
        with watching(wish) as listener:
            assert listener is silent
    with watching(True) as listener:
        listener(ExchangeStarted("open", 0, 0, SITES))
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("Opening")


def test_a_listener_hears_of_every_event_beside_the_display() -> None:
    """Whoever draws progress himself gets what the display got."""
    heard: list[Notice] = []
    for shown_too in (True, False):
        with watching(shown_too, also=heard.append) as listener:
            for event in whole_run():
                listener(event)
    assert heard == [*whole_run(), *whole_run()]
