"""A site's own log: one line of JSON for each thing that happened, readable by this user only.

    log.first.ndjson   the first FILE_BYTES of all, kept for good: what began it is not pushed out by what followed
    log.before.ndjson  the lines before those in log.ndjson
    log.ndjson         the latest lines

Together they never hold more than three times FILE_BYTES. Writing never raises: a refusal must leave the site, and what it says
must not depend on whether a line could be written. What could not be written is named on the site's standard error.
"""

import json
import os
import stat
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from wardround.values.printable import printable
from wardround.values.private_files import CHECKED, open_unfollowed

LOG = "log.ndjson"
FIRST, BEFORE = "log.first.ndjson", "log.before.ndjson"
FILE_BYTES = 1 << 20
TEXT_LIMIT = 4000
_CODE_LIMIT = 60
_HEAD = 1000  # of a long text; the rest of the limit is its end, where a traceback says what went wrong


def write_log(folder: Path, code: str, text: str) -> None:
    """Appends a line to the log in `folder`. An error's text may quote records."""
    try:
        line = _line(code, text)
        _make_room(folder, len(line))
        _append(folder / LOG, line)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        if sys.stderr is not None:  # else print would take standard output, which belongs to messages
            with suppress(OSError, ValueError):
                print(f"{folder / LOG} cannot be written ({why}); left out: {code[:_CODE_LIMIT]}", file=sys.stderr, flush=True)


def shortened(text: str) -> str:
    """A text of at most TEXT_LIMIT characters besides a note of how many were left out: its beginning and its end."""
    if len(text) <= TEXT_LIMIT:
        return text
    return f"{text[:_HEAD]} … {len(text) - TEXT_LIMIT} characters left out … {text[_HEAD - TEXT_LIMIT :]}"


def _line(code: str, text: str) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"time": now, "code": code[:_CODE_LIMIT], "text": shortened(text)}).encode() + b"\n"


def _make_room(folder: Path, more: int) -> None:
    """A full file becomes the first, which stays, or the one before, which is replaced."""
    log = folder / LOG
    with suppress(FileNotFoundError):
        status = log.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_size + more > FILE_BYTES:
            log.replace(folder / (BEFORE if os.path.lexists(folder / FIRST) else FIRST))


def _append(path: Path, line: bytes) -> None:
    """The whole line or none: half a line of a full disk would spoil the next."""
    descriptor = open_unfollowed(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        if CHECKED:
            os.fchmod(descriptor, 0o600)  # another user's file refuses this
        if os.write(descriptor, line) < len(line):
            os.ftruncate(descriptor, status.st_size)
            raise OSError(0, "the disk is full")
    finally:
        os.close(descriptor)


def last_lines(folder: Path, number: int) -> list[str]:
    """The last lines of the log in `folder`, as "time code: text", each text's first line only."""
    try:
        lines = (folder / LOG).read_text("utf-8", errors="replace").splitlines()[-number:]
    except OSError:
        return []
    return [_shown(line) for line in lines]


def _shown(line: str) -> str:
    """A line for a person; as it stands where it is damaged. What others chose in it does nothing to the terminal."""
    try:
        entry = json.loads(line)
        return printable(f"{entry['time']} {entry['code']}: {''.join(str(entry['text']).splitlines()[:1])}")
    except (ValueError, LookupError, TypeError):
        return printable(line)
