"""What simulated hospitals wrote in their logs: why one did not take part, and which numbers were not finite.

What a hospital says in full stays in its log, since it may quote records. In a simulation the log lies in the run folder.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardround.hub.notices import ExchangeStarted, Listener, Notice, SiteLost
from wardround.hub.run_folder import RunFolder
from wardround.hub.summing import READ_LOGS
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.log import LOG

NUMBERS = ("diverged", "loss")
"""Codes of lines that tell of numbers which are not finite. They change no answer, so that no answer tells of them."""

_NAMED = 3
"""Of a hundred hospitals that stumble over one thing, a few tell enough."""


def numbers_notes(run_folder: Path) -> list[str]:
    """A sentence for each hospital whose numbers were not finite at times, with the last line of its log about it.

    The person at this machine holds these hospitals' data. Between hospitals each reads its own log alone.
    """
    notes = []
    for site_folder in sorted(path for path in (run_folder / "sites").glob("*") if path.is_dir()):
        lines = [line for line in _lines(site_folder / LOG) if line.get("code") in NUMBERS]
        if lines:
            times = "once" if len(lines) == 1 else f"{len(lines)} times"
            notes.append(f"{site_folder.name}: numbers were not finite {times}. {lines[-1]['text']}")
    return notes


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError):
        return []


class Losses:
    """Between a run and its listener: keeps which hospitals the exchange at hand has lost, and the word for it."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.lost: dict[SiteId, str] = {}

    def __call__(self, event: Notice) -> None:
        match event:
            case ExchangeStarted():
                self.lost.clear()
            case SiteLost(site, code):
                self.lost[site] = code
        self._listener(event)


@contextmanager
def naming_logs(folder: RunFolder, losses: Losses) -> Iterator[None]:
    """An EngineError of the block names the log of each hospital that was lost. Its notes, which a traceback shows and the
    command line does not, quote the last line."""
    try:
        yield
    except EngineError as error:
        if not losses.lost:
            raise
        more = error.hint not in ("", READ_LOGS)  # it says more than where to read
        hint = error.hint if more else _hint(folder, losses)
        told = EngineError(error.what, expected=error.expected, found=error.found, hint=hint)
        for site in losses.lost:
            if text := _last_line(folder, site):
                told.add_note(f"{site}: {text}")
        raise told from error


def _hint(folder: RunFolder, losses: Losses) -> str:
    logs = [str(path) for site in losses.lost if (path := folder.site(site) / LOG).is_file() and path.stat().st_size]
    if logs:
        names = " and ".join([*logs[:_NAMED], *([f"{len(logs) - _NAMED} more"] if len(logs) > _NAMED else [])])
        return f"read why in {names}, mend it, and run again with --resume"
    return (
        "the hospitals wrote no log, so look at this machine: its disk may be full, its memory used up, or the deadline short; "
        "then run again with --resume"
    )


def _last_line(folder: RunFolder, site: SiteId) -> str:
    try:
        lines = (folder.site(site) / LOG).read_text("utf-8").splitlines()
        return str(json.loads(lines[-1])["text"])
    except (OSError, ValueError, LookupError):
        return ""
