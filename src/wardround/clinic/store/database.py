"""The clinic's database: opened, brought up to date, read by many threads and written by one.

    many threads --write(rows)--> queue --writer thread--> one transaction, one fsync --> all of them are told

A write returns when it is on the disk. Writes that wait are committed together (group commit): 16 clients cost one fsync, not 16.
Each may be refused alone: its part of the transaction is undone to a savepoint.
"""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from wardround.clinic.store.tables import audit, audit_cuts
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import RunError
from wardround.values.printable import printable
from wardround.values.private_files import make_private

T = TypeVar("T")
START = "0" * 64
HEAD = "0004"
"""The newest step of `migrations/versions`."""
CUT = "audit-cut"
"""The line that says up to which line, of which hash, older ones were deleted."""
_MOST_TOGETHER = 256


@dataclass
class _Job:
    work: Callable[[Connection], Any]
    lines: Sequence[tuple[str, str, str]]
    done: "Future[Any]"


class Store:
    """The database at a URL. Several processes may write: each transaction holds the audit alone, and goes on from its last line.

    Raises RunError where the database cannot be opened or is of a later version.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._engine = _engine(url)
        self._writing = self._engine.execution_options(writes=True)
        try:
            with self._writing.begin() as connection:
                _upgrade(connection)
        except SQLAlchemyError as error:
            raise _refused(url, error) from error
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="clinic-store", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Writes what waits, and ends."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
        self._engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with."""
        with self._engine.connect() as connection:
            yield connection

    def later(self, work: Callable[[Connection], T], *lines: tuple[str, str, str]) -> "Future[T]":
        """Runs `work` in the next transaction, with lines (actor, action, subject) for the audit; done when it is on the disk."""
        job: _Job = _Job(work, lines, Future())
        self._jobs.put(job)
        return job.done

    def write(self, work: Callable[[Connection], T], *lines: tuple[str, str, str]) -> T:
        """As `later`, and waits."""
        return self.later(work, *lines).result()

    def note(self, actor: str, action: str, subject: str = "") -> None:
        """A line of the audit alone. It is on the disk when this returns."""
        self.write(lambda _: None, (actor, action, subject))

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs, ends = [first], False
            with contextlib.suppress(queue.Empty):
                while len(jobs) < _MOST_TOGETHER and not ends:
                    job = self._jobs.get_nowait()
                    ends = job is None
                    jobs += [job] if job is not None else []
            self._together(jobs)
            if ends:
                return

    def _together(self, jobs: list[_Job]) -> None:
        """One transaction. What one job breaks is its own loss; what the disk breaks is everybody's."""
        results: list[tuple[_Job, Any, BaseException | None]] = []
        try:
            with self._writing.begin() as connection:
                if connection.dialect.name != "sqlite":
                    connection.execute(text("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE"))
                for job in jobs:
                    try:
                        with connection.begin_nested():
                            result = job.work(connection)
                        results.append((job, result, None))
                    except Exception as error:  # noqa: BLE001  told to whoever asked for the job
                        results.append((job, None, error))
                lines = [line for job, _, error in results if error is None for line in job.lines]
                if lines:
                    connection.execute(insert(audit), _chained(lines, *_head(connection), self.clock()))
        except SQLAlchemyError as error:
            for job in jobs:
                job.done.set_exception(_unwritten(error))
            return
        for job, result, refusal in results:
            if refusal is None:
                job.done.set_result(result)
            else:
                job.done.set_exception(refusal)


def _chained(lines: Sequence[tuple[str, str, str]], number: int, before: str, now: float) -> list[dict[str, Any]]:
    rows = []
    for actor, action, subject in lines:
        number += 1
        row = {
            "number": number,
            "at": now,
            "actor": actor[:80],
            "action": action[:40],
            "subject": subject[:200],
            "before": before,
        }
        before = line_hash(row)
        rows.append({**row, "sha256": before})
    return rows


def line_hash(row: Mapping[Any, Any]) -> str:
    """SHA-256 of a line of the audit, which the next line holds."""
    held = {name: row[name] for name in ("number", "at", "actor", "action", "subject", "before")}
    return sha256_hex(canonical_json(held))


def first_broken_line(store: Store) -> int | None:
    """Number of the first line of the audit that does not follow from the line before it; None where the chain is whole.

    Where old lines were deleted, the chain begins from the cut, which a later line of the chain itself must state.
    """
    with store.reading() as connection:
        return first_break(connection.execute(select(audit).order_by(audit.c.number)).mappings(), latest_cut(connection))


def first_break(lines: Iterable[Mapping[Any, Any]], cut: tuple[int, str] | None) -> int | None:
    """As `first_broken_line`, of lines from the first on that is kept."""
    number, before = cut or (0, START)
    stated = cut is None
    for row in lines:
        number += 1
        if row["number"] != number or row["before"] != before or line_hash(row) != row["sha256"]:
            return number
        before = row["sha256"]
        stated = stated or (cut is not None and (row["action"], row["subject"]) == (CUT, f"{cut[0]} {cut[1]}"))
    return None if stated else (cut or (0, ""))[0] + 1


def latest_cut(connection: Connection) -> tuple[int, str] | None:
    """Number and hash of the last line of the audit that was deleted; None where all are there."""
    row = connection.execute(select(audit_cuts).order_by(audit_cuts.c.number.desc()).limit(1)).one_or_none()
    return None if row is None else (row.number, row.sha256)


def audit_head(store: Store) -> tuple[int, str]:
    """Number and hash of the audit's last line: noted elsewhere, they show later that no line was cut off at the end."""
    with store.reading() as connection:
        return _head(connection)


def sqlite_url(path: Path) -> str:
    """The URL of a file, which is made for this user alone."""
    make_private(path.parent)
    if not path.exists():
        path.touch(mode=0o600)
    return f"sqlite:///{path}"


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        try:
            return create_engine(url, pool_pre_ping=True)
        except (SQLAlchemyError, ImportError) as error:
            raise _refused(url, error) from error
    engine = create_engine(url, connect_args={"timeout": 30}, json_serializer=json.dumps)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver would begin transactions late, after a savepoint
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")

    return engine


def _upgrade(connection: Connection) -> None:
    """Alembic is loaded where there is something to do: it takes 0.2 s."""
    with contextlib.suppress(DBAPIError):
        with connection.begin_nested():
            version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if version == HEAD:
            return
        if version is not None and version > HEAD:
            raise RunError(
                "The clinic's database was written by a later version of Wardround", expected=f"at most step {HEAD}",
                found=printable(str(version)), hint="use that version, or bring back the database of this one from a backup",
            )  # fmt: skip
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files("wardround.clinic.store").joinpath("migrations")))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _head(connection: Connection) -> tuple[int, str]:
    number = connection.execute(select(func.max(audit.c.number))).scalar()
    if number is None:
        return latest_cut(connection) or (0, START)
    return number, str(connection.execute(select(audit.c.sha256).where(audit.c.number == number)).scalar())


def _refused(url: str, error: Exception) -> RunError:
    return RunError(
        f"The clinic's database {url} cannot be used",
        found=printable(str(getattr(error, "orig", None) or error))[:200],
        hint="correct `database` in clinic.toml, or start the database",
    )


def _unwritten(error: Exception) -> RunError:
    return RunError(
        "The clinic's database could not be written, and nothing was done",
        found=printable(str(getattr(error, "orig", None) or error))[:200],
        hint="look at the disk and the database, and try again",
    )
