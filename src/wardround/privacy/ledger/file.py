"""Where a ledger lies: one SQLite file of chained entries, a lock and a receipt of the last entry beside it, a witness elsewhere.

    <name>            the entries; each holds the SHA-256 over the one before it and its own content
    <name>.lock       held while entries are read or written; a killed process lets go of it
    <name>.receipt    number and hash of the last entry and what was spent by then, written after each commit
    the witness       number and hash of the last entry, in another folder (`witness_of`): written after the receipt

A commit is on the disk when `append` returns. SQLite's rollback journal is truncated and synced (TRUNCATE, FULL) instead of the
faster write-ahead log: between two charges the ledger then is one file, which any backup copies whole; it works on a network
drive; and nothing stays open in a process that forks. The receipt comes after the commit, so a crash leaves a ledger that is
newer than its receipt, never older. A ledger older than its receipt was restored from a backup. A receipt knows its own place on
the disk (`durable.place_of`), so a folder that was copied or restored as a whole is noticed too. Where even the places
come back, as with a file system's snapshot or a kept hard link, the witness still tells, unless it was brought back as well.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from filelock import Timeout

from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.durable import place_of, sweep, write_atomic
from wardround.values.errors import RefusedError
from wardround.values.home import default_home
from wardround.values.private_files import make_private, private_lock, private_status, read_private

WAIT_S = 120.0
_RECEIPT_LIMIT = 1 << 26
_WITNESS_LIMIT = 200
_POLL_S = 0.002
GENESIS = "0" * 64
_SCHEMA = """CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, content TEXT NOT NULL, chain TEXT NOT NULL)"""


@dataclass(frozen=True)
class LedgerEntry:
    """number: from 1, without gaps. at: UTC, ISO 8601. chain: SHA-256 over the chain of the entry before and all of this one."""

    number: int
    at: str
    kind: str
    content: Mapping[str, Any]
    chain: str


@dataclass(frozen=True)
class Receipt:
    """What the ledger held at least. spent: as in a "restored" entry. moved: it does not lie where it was written."""

    number: int
    chain: str
    spent: tuple[Mapping[str, Any], ...]
    moved: bool = False


@dataclass(frozen=True)
class Witness:
    """Number and chain of the last entry, as another folder holds them."""

    number: int
    chain: str


def witness_of(path: Path) -> Path:
    """Where the witness of a hospital's ledger lies: in this user's own folder, by the ledger's path."""
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    return default_home() / "counters" / f"ledger-{name[:32]}"


def link(before: str, number: int, at: str, kind: str, content: Mapping[str, Any]) -> LedgerEntry:
    """The entry that follows the one whose chain is `before`."""
    return LedgerEntry(number, at, kind, content, sha256_hex(canonical_json([before, number, at, kind, content])))


class Page:
    """The entries, for one holder of the lock, in one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def last(self) -> int:
        (number,) = self._connection.execute("SELECT coalesce(max(number), 0) FROM entries").fetchone()
        return int(number)

    def chain_at(self, number: int) -> str:
        """Empty where there is no such entry."""
        if number == 0:
            return GENESIS
        row = self._connection.execute("SELECT chain FROM entries WHERE number = ?", (number,)).fetchone()
        return "" if row is None else str(row[0])

    def after(self, number: int, before: str) -> Iterator[LedgerEntry]:
        """The entries after `number`, whose chain is `before`, each proved to follow the last."""
        rows = self._connection.execute(
            "SELECT number, at, kind, content, chain FROM entries WHERE number > ? ORDER BY 1", (number,)
        )
        for entry_number, at, kind, content, chain in rows:
            try:
                entry = link(before, entry_number, at, kind, json.loads(content))
            except (TypeError, ValueError):
                raise damaged() from None
            if entry_number != number + 1 or entry.chain != chain:
                raise damaged()
            number, before = entry_number, chain
            yield entry

    def append(self, entries: Iterable[LedgerEntry]) -> None:
        """All of them or none, durable when it returns; it ends the transaction."""
        rows = [(one.number, one.at, one.kind, canonical_json(one.content).decode(), one.chain) for one in entries]
        self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")


class LedgerFile:
    """A ledger's place. Every method may be called from any thread or process; `alone` lets in one at a time."""

    def __init__(self, path: Path, witness: Path | None = None) -> None:
        self.path, self._witness = path, witness
        self._lock = path.with_name(f"{path.name}.lock")
        self._receipt = path.with_name(f"{path.name}.receipt")
        for name in (path.name, self._receipt.name):
            sweep(path.parent, name)

    @property
    def keeps_witness(self) -> bool:
        return self._witness is not None

    @property
    def is_there(self) -> bool:
        return self.path.exists() or self._receipt.exists()

    @contextlib.contextmanager
    def alone(self) -> Iterator[Page]:
        """The entries as they are, while nobody else reads or writes. What was not appended is rolled back."""
        with self._named():
            make_private(self.path.parent)
            with private_lock(self._lock).acquire(timeout=WAIT_S, poll_interval=_POLL_S):
                if private_status(self.path) is None:
                    write_atomic(self.path, b"", private=True)  # SQLite gives its journal the same rights
                connection = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
                try:
                    if not {"entries"}.issuperset(name for (name,) in connection.execute("SELECT name FROM sqlite_master")):
                        raise damaged()  # another program's database
                    connection.execute("PRAGMA journal_mode = TRUNCATE")
                    connection.execute("PRAGMA synchronous = FULL")
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute(_SCHEMA)
                    yield Page(connection)
                finally:
                    connection.close()

    def receipt(self) -> Receipt | None:
        """None where there is none. Raises RefusedError(code="ledger") for one that was changed."""
        text = read_private(self._receipt, _RECEIPT_LIMIT)
        if text is None:
            return None
        try:
            value = json.loads(text)
            proof = value.pop("sha256")
            moved = bool(value["place"]) and value["place"] != place_of(self._receipt)
            receipt = Receipt(int(value["number"]), str(value["chain"]), tuple(value["spent"]), moved)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise damaged() from None
        if proof != sha256_hex(canonical_json(value)):
            raise damaged()
        return receipt

    def write_receipt(self, number: int, chain: str, spent: list[Mapping[str, Any]]) -> None:
        def content(file_place: str) -> list[bytes]:
            value = {"number": number, "chain": chain, "spent": spent, "place": file_place}
            return [canonical_json({**value, "sha256": sha256_hex(canonical_json(value))}), b"\n"]

        write_atomic(self._receipt, content, private=True)

    def witness(self) -> Witness | None:
        """None where there is none. Raises RefusedError(code="ledger") for a file that holds something else."""
        text = None if self._witness is None else read_private(self._witness, _WITNESS_LIMIT)
        if text is None:
            return None
        number, _, chain = text.decode("ascii", "replace").strip().partition(" ")
        if not number.isdecimal() or not chain:
            raise RefusedError(
                f"{self._witness} does not say how far the ledger {self.path} is",
                expected="the number and the hash of an entry",
                hint=f"see that the ledger is the latest one, then: rm {quote(str(self._witness))}",
                code="ledger",
            )
        return Witness(int(number), chain)

    def write_witness(self, number: int, chain: str) -> None:
        if self._witness is not None:
            write_atomic(self._witness, f"{number} {chain}\n".encode(), private=True)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except Timeout:
            raise RefusedError(
                f"The ledger {self.path} was in use for {WAIT_S:.0f} s",
                hint="find the process that holds it; a step that was not charged was not computed",
                code="ledger-busy",
            ) from None
        except sqlite3.OperationalError as error:
            raise RefusedError(
                f"The ledger {self.path} cannot be read or written",
                found=str(error),
                hint="make room on the disk, or give this user the right to write there; nothing leaves uncharged",
                code="ledger-busy",
            ) from error
        except sqlite3.DatabaseError as error:
            raise damaged() from error


def damaged() -> RefusedError:
    return RefusedError(
        "The privacy ledger was changed from outside, or is damaged",
        expected="entries of which each one proves the one before",
        hint="bring back the ledger's latest backup and read docs/ledger.md; do not delete it",
        code="ledger",
    )
