"""What has still to reach an archive: one SQLite file, of this user alone. An object is in it until the archive has said that it
keeps it, and is sent to each node once by its SOP Instance UID.

    put --> waiting --sent--> sent (the content is erased; the UID stays, so that it is never sent again)
               ^  `--failed--> waiting, later: 10 s, 20 s, ... at most an hour. Nothing is ever given up or thrown away.

The objects name patients, as films do. They are on the disk from the answer until the archive has them, and nothing else of a
film is. A commit is on the disk when a method returns. Killed after an archive took an object and before this file says so, the
same bytes go out again under the same UID, which an archive keeps once.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wardround.clinic.dicom.results import ResultFile
from wardround.values.errors import RunError
from wardround.values.private_files import make_private, private_status

FIRST_WAIT_S, LONGEST_WAIT_S = 10.0, 3600.0
_LONGEST_WORDS = 200
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    node TEXT NOT NULL, uid TEXT NOT NULL, class TEXT NOT NULL, case_id TEXT NOT NULL, put REAL NOT NULL, content BLOB,
    sent REAL, attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, words TEXT NOT NULL DEFAULT '', PRIMARY KEY (node, uid));
CREATE INDEX IF NOT EXISTS waiting ON objects (node, due) WHERE sent IS NULL;
"""


@dataclass(frozen=True)
class Waiting:
    """An object on its way to a node."""

    file: ResultFile
    case_id: str
    attempts: int


@dataclass(frozen=True)
class Unsent:
    """What a node has not taken. since: when the oldest was put. words: of the last refusal, "" before the first attempt."""

    node: str
    objects: int
    attempts: int
    since: float
    words: str


class Outbox:
    """The file at a path. For several threads and processes. RunError where it cannot be used."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock = path, clock
        make_private(path.parent)
        if private_status(path) is None:
            path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        with self._writing() as connection:
            connection.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def put(self, node: str, case_id: str, files: Sequence[ResultFile]) -> int:
        """Keeps objects for a node, durably and all together. How many of them are new: one that was put before stays as it
        is."""
        now = self._clock()
        rows = [(node, one.sop_instance_uid, one.sop_class_uid, case_id, now, one.content, now) for one in files]
        with self._writing() as connection:
            before = connection.total_changes
            connection.executemany(
                "INSERT OR IGNORE INTO objects (node, uid, class, case_id, put, content, due) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )
            return connection.total_changes - before

    def due(self, node: str, most: int = 16) -> tuple[Waiting, ...]:
        """What is to be sent to a node now, the oldest first."""
        with self._writing() as connection:
            rows = connection.execute(
                "SELECT class, uid, content, case_id, attempts FROM objects WHERE node = ? AND sent IS NULL AND due <= ? "
                "ORDER BY put, rowid LIMIT ?",
                (node, self._clock(), most),
            ).fetchall()
        return tuple(Waiting(ResultFile(kind, uid, content), case, attempts) for kind, uid, content, case, attempts in rows)

    def sent(self, node: str, uid: str) -> None:
        """The node has it: its content is erased."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE objects SET sent = ?, content = NULL, words = '' WHERE node = ? AND uid = ?", (self._clock(), node, uid)
            )

    def failed(self, node: str, uid: str, words: str) -> None:
        """It stays, and is tried again later. words: why, without a value of the object."""
        with self._writing() as connection:
            (attempts,) = connection.execute("SELECT attempts FROM objects WHERE node = ? AND uid = ?", (node, uid)).fetchone()
            wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(attempts, 20))
            connection.execute(
                "UPDATE objects SET attempts = attempts + 1, due = ?, words = ? WHERE node = ? AND uid = ? AND sent IS NULL",
                (self._clock() + wait_s, words[:_LONGEST_WORDS], node, uid),
            )

    def again(self, node: str = "") -> int:
        """Makes everything that waits due now, of one node or of all: a person has mended what was wrong. How many objects."""
        with self._writing() as connection:
            return connection.execute(
                "UPDATE objects SET due = ? WHERE sent IS NULL AND (node = ? OR ? = '')", (self._clock(), node, node)
            ).rowcount

    def holds(self, node: str, uid: str) -> bool:
        """Whether an object was put, be it sent since or not."""
        with self._writing() as connection:
            return connection.execute("SELECT 1 FROM objects WHERE node = ? AND uid = ?", (node, uid)).fetchone() is not None

    def unsent(self) -> tuple[Unsent, ...]:
        """Each node with something that waits, by name."""
        with self._writing() as connection:
            rows = connection.execute(
                "SELECT node, count(*), max(attempts), min(put), max(words) FROM objects WHERE sent IS NULL "
                "GROUP BY node ORDER BY node"
            ).fetchall()
        return tuple(Unsent(*row) for row in rows)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction, for one thread."""
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = _connected(self.path)
                with self._connection:
                    yield self._connection
        except sqlite3.Error as error:
            raise RunError(
                f"The outbox {self.path} cannot be used",
                found=str(error)[:200],
                hint="look at the disk; nothing in it is thrown away",
            ) from error


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def outbox_path(folder: Path) -> Path:
    """In a clinic's folder."""
    return folder / "outbox" / "outbox.sqlite"
