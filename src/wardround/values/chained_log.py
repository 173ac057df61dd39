"""A log that cannot be changed unseen: each line holds the hash of the line before it, and its own hash is the log's head.

    {"before": H(line before), "code": .., "facts": {..}, "number": n, "text": .., "time": ..}      head = (n, H(this line))

Whoever has heard a head can tell later whether the log still leads to it: a line that was changed, taken out or put in leads to
another head, and a log that was cut or restored does not reach it. Heads go to the other side with every message.

    log/current.ndjson   the latest lines
    log/000001.ndjson    full files, in order; the chain goes on from one to the next

A line is on the disk before `append` returns. Half a line, which a crash left, was never a line: it is cut off, with a note.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.disk_faults import mend_of
from wardround.values.durable import sync_folder
from wardround.values.errors import RunError
from wardround.values.log import shortened
from wardround.values.printable import printable, printable_lines
from wardround.values.private_files import open_unfollowed, private_folder, private_lock, read_private

CURRENT = "current.ndjson"
FILE_BYTES = 8 << 20
START = "0" * 64
"""What the first line holds as the hash of the line before it."""
_LOCK = "log.lock"
_LINE_BYTES = 1 << 20
_TAIL_BYTES = 2 * _LINE_BYTES


@dataclass(frozen=True)
class Head:
    """Where a log stands. entries: how many lines it has. sha256: of its last line; START of an empty log."""

    entries: int = 0
    sha256: str = START


@dataclass(frozen=True)
class Entry:
    """One line. time: ISO 8601, UTC, by this machine's clock. code: a short fixed word. text: for a person. facts: numbers,
    hashes and names, as JSON holds them."""

    number: int
    time: str
    code: str
    text: str
    before: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> bytes:
        return canonical_json(asdict(self)) + b"\n"


class ChainedLog:
    """The log in one folder. Several processes may append; each line is whole and in the chain.

    Raises RunError where the folder or a file of it is open to other users, or cannot be written: what is not logged is not done.
    """

    def __init__(self, folder: Path, *, file_bytes: int = FILE_BYTES) -> None:
        self.folder, self._file_bytes = folder, file_bytes
        private_folder(folder, signs=(CURRENT, _LOCK))
        self._lock = private_lock(folder / _LOCK)

    @property
    def head(self) -> Head:
        with self._lock:
            return self._mended()

    def append(self, code: str, text: str, **facts: Any) -> Head:
        """Adds a line, durably. The head after it."""
        with self._lock:
            head = self._mended()
            return self._added(head, code, text, facts)

    def entries(self, start: int = 1) -> Iterator[Entry]:
        """The lines from number `start` on, as they are on the disk. RunError at a line that is none."""
        for path in log_files(self.folder):
            if path.stem.isdecimal() and int(path.stem) < start:
                continue  # its name is the number of its last line
            for entry in _entries(path):
                if entry.number >= start:
                    yield entry

    def _added(self, head: Head, code: str, text: str, facts: Mapping[str, Any]) -> Head:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = Entry(head.entries + 1, now, code, printable_lines(shortened(text)), head.sha256, facts).line()
        if len(line) > _LINE_BYTES:
            raise ValueError("a line of the log is too long")  # facts are a few numbers and names
        try:
            self._make_room(len(line), head)
            _write_durably(self.folder / CURRENT, line)
        except OSError as error:
            raise RunError(
                f"The log {self.folder / CURRENT} cannot be written",
                found=error.strerror or "",
                hint=f"{mend_of(error) or 'look at the folder'}; nothing is done that cannot be logged",
            ) from error
        return Head(head.entries + 1, sha256_hex(line))

    def _mended(self) -> Head:
        """Where the log stands, after cutting off half a line."""
        current = self.folder / CURRENT
        tail = _tail(current)
        lost = len(tail) - (tail.rfind(b"\n") + 1)
        if lost:
            with current.open("rb+") as file:
                file.truncate(current.stat().st_size - lost)
        head = self._last_head(tail[: len(tail) - lost])
        if lost:
            head = self._added(head, "log-mended", f"{lost} bytes of an unfinished line were cut off.", {"bytes": lost})
        return head

    def _last_head(self, tail: bytes) -> Head:
        lines = tail.splitlines(keepends=True)
        if lines:
            return _head_of(lines[-1], self.folder / CURRENT)
        full = log_files(self.folder)[:-1] if (self.folder / CURRENT).exists() else log_files(self.folder)
        if not full:
            return Head()
        return _head_of(_tail(full[-1]).splitlines(keepends=True)[-1], full[-1])

    def _make_room(self, more: int, head: Head) -> None:
        """A full file keeps its lines under the number of its last one."""
        current = self.folder / CURRENT
        if current.exists() and current.stat().st_size + more > self._file_bytes:
            current.replace(self.folder / f"{head.entries:012d}.ndjson")
            sync_folder(self.folder)  # or a crash could leave a new file whose lines follow none


@dataclass(frozen=True)
class LogCheck:
    """What following a chain showed. problem: the first fault, in words; empty where the chain is whole. heads: number of each
    line -> its hash."""

    head: Head
    problem: str
    heads: Mapping[int, str]


def verify(folder: Path) -> LogCheck:
    """Follows the chain of a log from its first line to its last."""
    try:
        return follow((path.name, path.read_bytes()) for path in log_files(folder))
    except OSError as error:
        return LogCheck(Head(), f"{error.filename} cannot be read ({error.strerror})", {})


def follow(files: Iterable[tuple[str, bytes]]) -> LogCheck:
    """Follows the chain through files of a log, by name and content, in the order of their lines."""
    head = Head()
    heads: dict[int, str] = {}
    for name, data in files:
        for line in data.splitlines(keepends=True):
            if problem := _fault(line, head):
                return LogCheck(head, f"{name}, after line {head.entries}: {problem}", heads)
            head = Head(head.entries + 1, sha256_hex(line))
            heads[head.entries] = head.sha256
    return LogCheck(head, "", heads)


def read_entries(data: bytes) -> Iterator[Entry]:
    """The lines of a file whose chain was followed. ValueError at one that is none."""
    return (_entry(line) for line in data.splitlines(keepends=True))


def log_files(folder: Path) -> list[Path]:
    """The log's files in the order of their lines."""
    full = sorted(path for path in folder.glob("*.ndjson") if path.stem.isdecimal())
    current = folder / CURRENT
    return [*full, *([current] if current.exists() else [])]


def _fault(line: bytes, head: Head) -> str:
    try:
        entry = _entry(line)
        written = entry.line()
    except (ValueError, RecursionError):  # numbers that are none, halves of signs, lists in lists without end
        return "a line that is no entry of a log"
    if written != line:
        return "a line that is not written as a log writes it"
    if entry.number != head.entries + 1:
        return f"line {entry.number} follows"
    return "" if entry.before == head.sha256 else "the next line belongs to another chain: one was changed, left out or put in"


def _entries(path: Path) -> Iterator[Entry]:
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            try:
                yield _entry(line)
            except ValueError as error:
                raise RunError(
                    f"{path} is damaged",
                    found=printable(line[:80].decode("utf-8", "replace")),
                    hint="bring it back from a backup",
                ) from error


def _entry(line: bytes) -> Entry:
    try:
        value = json.loads(line)
        entry = Entry(**value)
    except (TypeError, RecursionError) as error:
        raise ValueError("not an entry") from error
    texts = (entry.time, entry.code, entry.text, entry.before)
    if type(entry.number) is not int or not isinstance(entry.facts, dict) or not all(isinstance(text, str) for text in texts):
        raise ValueError("not an entry")
    return entry


def _head_of(line: bytes, path: Path) -> Head:
    try:
        return Head(_entry(line).number, sha256_hex(line))
    except ValueError as error:
        raise RunError(
            f"The last line of {path} is no line of a log",
            hint="bring the log back from a backup; or move its folder away, and a new log begins, which the other side will see",
        ) from error


def _tail(path: Path) -> bytes:
    """The end of a file: at least its last line. Empty where there is no file."""
    if read_private(path, 0) is None:
        return b""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read()


def _write_durably(path: Path, line: bytes) -> None:
    """The whole line or none."""
    descriptor = open_unfollowed(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        size = os.fstat(descriptor).st_size
        if os.write(descriptor, line) < len(line):
            os.ftruncate(descriptor, size)
            raise OSError(28, "the disk is full")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
