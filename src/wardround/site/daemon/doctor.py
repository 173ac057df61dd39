"""What a hospital's administrator would look at when something does not work: this machine, its folder, its line, its hub.

Each check is a function that returns findings, good ones too. Nothing is contacted but the hub, and the proxy on the way to it.
"""

import importlib.metadata
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from wardround.site.daemon.data_sets import DataSet, DataSets
from wardround.site.daemon.finding import Finding
from wardround.site.daemon.home import SiteHome
from wardround.site.daemon.hub_record import HubRecord
from wardround.site.daemon.joining import Joined, status
from wardround.site.daemon.line_checks import look_at_line
from wardround.values.address import is_address, sqlite_path
from wardround.values.errors import WardroundError
from wardround.values.version import __version__

LEAST_FREE = 2 << 30
"""Bytes of free disk space below which a study of large models may stop."""
_OLDEST = (3, 11)
_NETWORK = ("flwr", "httpx")
_STANDINGS = {
    "confirmed": ("good", "the hub has confirmed this hospital as {name}: its login is accepted", ""),
    "waiting": (
        "warning",
        "the hub waits for a person to compare the words of {name}: {words}",
        "compare the eight words with the hub by telephone; it then runs `wardround hub confirm {name}`",
    ),
    "revoked": ("fault", "the hub has revoked {name}", "ask the hub for the cause, and for a new invitation"),
}


def examine(home: SiteHome, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> list[Finding]:
    """Every finding, in the order in which they are mended best: this machine first, then the line, the hub and the data sets."""
    findings = [look_at_python(), *look_at_packages(), look_at_disk(home.path)]
    record = _record(home)
    if isinstance(record, Finding):
        return [*findings, record, *look_at_data(home)]
    line = look_at_line(record.connection)
    findings += line
    if all(finding.level != "fault" for finding in line):
        findings += look_at_hub(home, clock)
    return [*findings, *look_at_data(home)]


def look_at_python() -> Finding:
    """Whether this Python is one that Wardround is for."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _OLDEST:
        return Finding("Python", "fault", f"Python {version} is too old", "install Python 3.11 or later")
    return Finding("Python", "good", f"Python {version}")


def look_at_packages() -> list[Finding]:
    """Versions of what talks to the hub."""
    findings = [Finding("version", "good", f"wardround {__version__}")]
    for name in _NETWORK:
        try:
            findings.append(Finding("version", "good", f"{name} {importlib.metadata.version(name)}"))
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding("version", "fault", f"{name} is not installed", "pip install 'wardround[network]'"))
    return findings


def look_at_disk(folder: Path) -> Finding:
    """Whether there is room for what a study keeps in the hospital's folder, and whether it can be written at all."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("disk", "fault", f"{folder} cannot be looked at ({error.strerror})", "choose a folder on a local disk")
    text = f"{free / 2**30:.1f} GiB free at {folder}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("disk", "fault", f"{folder} cannot be written by this user", "run as the user that joined the hub")
    if free < LEAST_FREE:
        return Finding("disk", "warning", text, f"free some space: {LEAST_FREE >> 30} GiB are enough for most studies")
    return Finding("disk", "good", text)


def look_at_hub(home: SiteHome, clock: Callable[[], int]) -> list[Finding]:
    """How this hospital stands at its hub, and whether both clocks agree. The line has to be sound."""
    try:
        joined = status(home, clock=clock)
    except WardroundError as error:
        return [Finding("hub", "fault", error.what, error.hint)]
    level, text, mend = _STANDINGS.get(joined.state, ("warning", "{name} has asked, and heard nothing yet", "run join again"))
    standing = Finding("hub", level, text, mend)  # type: ignore[arg-type]
    return [_filled(standing, joined), _clock(joined)]


def look_at_data(home: SiteHome) -> list[Finding]:
    """Whether each registered data set can be read by this user. Its records are looked at when a study is reviewed."""
    try:
        sets = DataSets(home.data_file).all()
    except WardroundError as error:
        return [Finding("data", "fault", error.what, error.hint)]
    if not sets:
        return [Finding("data", "warning", "no data set is registered", "wardround site data add NAME PATH")]
    return [_data_set(name, one) for name, one in sets.items()]


def _record(home: SiteHome) -> HubRecord | Finding:
    try:
        return HubRecord.required(home)
    except WardroundError as error:
        return Finding("hub", "fault", error.what, error.hint)


def _filled(finding: Finding, joined: Joined) -> Finding:
    names = {"name": joined.name, "words": joined.words}
    return Finding(finding.check, finding.level, finding.text.format(**names), finding.mend.format(**names))


def _clock(joined: Joined) -> Finding:
    seconds = joined.ahead_ms / 1000
    text = f"this machine's clock is {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} the hub's"
    if joined.clock_is_off:
        return Finding("clock", "fault", text, "set it by a time server; the hub lets in 5 s ahead and 300 s behind at most")
    return Finding("clock", "good", text)


def _data_set(name: str, one: DataSet) -> Finding:
    file, mapping = sqlite_path(one.data), one.mapping
    if file is None and is_address(one.data):
        return Finding("data", "good", f"{name} is a database, which is looked at when a study is reviewed")
    path = file or Path(one.data)
    unreadable = [str(each) for each in (path, *([Path(mapping)] if mapping else [])) if not _is_readable(each)]
    if unreadable:
        return Finding(
            "data", "fault", f"{name}: {' and '.join(unreadable)} cannot be read", "mount it, or give this user the right to read"
        )
    return Finding("data", "good", f"{name} can be read")


def _is_readable(path: Path) -> bool:
    """Tried, since rights alone do not say it: a share may have gone."""
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            with path.open("rb") as file:
                file.read(1)
    except OSError:
        return False
    return True
