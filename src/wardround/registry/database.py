"""One database: opening it, checking its schema, and transactions that two processes can share.

SQLite: write-ahead log, so readers do not wait for writers; a writer takes its lock at the start of its transaction and waits
up to 30 s for another's. What only SQLite knows stays on this page, behind the name of the dialect.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, ProgrammingError
from sqlalchemy.orm import Session

from wardround.registry.tables import SCHEMA, Base, SchemaVersion
from wardround.values.errors import MissingExtraError, RegistryError

WAIT_S = 30
_ATTEMPTS = 5

Answer = TypeVar("Answer")


class Database:
    """The registry's tables at one URL. Create with `open_database`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def name(self) -> str:
        """The URL without its password, for messages."""
        return self._engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        self._engine.dispose()

    def read(self, work: Callable[[Session], Answer]) -> Answer:
        """`work` on one consistent view of the tables."""
        with _named(self.name), Session(self._engine) as session:
            return work(session)

    def write(self, work: Callable[[Session], Answer]) -> Answer:
        """`work` in one transaction: all of it or none.

        Where another process has just inserted the same key, `work` runs again and sees that row; it must be repeatable.
        """
        for attempt in range(_ATTEMPTS):
            try:
                with _named(self.name), Session(self._engine.execution_options(writes=True)) as session, session.begin():
                    return work(session)
            except _Collision as error:
                if attempt == _ATTEMPTS - 1:
                    raise _broken(self.name, str(error.__cause__)) from error
        raise AssertionError("unreachable")


class _Collision(Exception):
    """Another process has inserted the same key first."""


def open_database(url: str | URL) -> Database:
    """The database at an SQLAlchemy URL; its tables are made where it is empty.

    Raises RegistryError where it cannot be opened, is damaged, is something else than a registry, or was written by a newer
    version; MissingExtraError where the driver is not installed.
    """
    database = Database(_engine(_parse(url)))
    try:
        with _alone(database._engine.url):
            database.write(_prepare)
            if database._engine.dialect.name == "sqlite":
                _use_write_ahead_log(database)
    except BaseException:
        database.close()
        raise
    return database


def sqlite_url(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


def _parse(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise RegistryError(
            "The registry's address cannot be read", expected="a folder, or postgresql://user@host/name"
        ) from error
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _engine(url: URL) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    settings: dict[str, Any] = {"connect_args": {"timeout": WAIT_S}} if sqlite else {}
    try:
        engine = create_engine(url, poolclass=NullPool, **settings)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"The driver for {url.drivername} is not installed",
            found=f"no module {error.name}",
            hint="pip install 'wardround[postgresql]'",
        ) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise RegistryError(f"A registry cannot live in {url.drivername}", expected="sqlite or postgresql") from error
    if sqlite:
        event.listen(engine, "connect", _settle_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _settle_sqlite(connection: Any, _: object) -> None:
    """Python's own implicit BEGIN is switched off, so that `_begin_sqlite` decides; a commit reaches the disk."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that reads first and then writes can fail at once, without waiting: so writers lock at the start."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _use_write_ahead_log(database: Database) -> None:
    """The setting stays with the file. It cannot be made inside a transaction, so it bypasses SQLAlchemy's."""
    try:
        raw = database._engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode = WAL").close()
        finally:
            raw.close()
    except sqlite3.Error as error:
        raise _broken(database.name, str(error)) from error


@contextlib.contextmanager
def _alone(url: URL) -> Iterator[None]:
    """Changing SQLite's journal does not wait for other processes, so first steps are taken one process at a time."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        yield
        return
    try:
        lock = FileLock(f"{url.database}.lock", timeout=WAIT_S)
        lock.acquire()
    except Timeout as error:
        raise _broken(url.database, f"another process has held it for {WAIT_S} s") from error
    except OSError as error:
        raise _broken(url.database, error.strerror or type(error).__name__) from error
    try:
        yield
    finally:
        lock.release()


def _prepare(session: Session) -> None:
    connection = session.connection()
    tables = set(inspect(connection).get_table_names())
    if not tables:
        try:
            Base.metadata.create_all(connection)
        except ProgrammingError as error:  # PostgreSQL: another process has just made the same tables
            raise _Collision from error
        session.add(SchemaVersion(version=SCHEMA))
        return
    version = session.scalar(select(SchemaVersion.version)) if SchemaVersion.__tablename__ in tables else None
    location = connection.engine.url.render_as_string(hide_password=True)
    if version is None or not set(Base.metadata.tables) <= tables:
        raise RegistryError(f"{location} is a database, but not a registry", hint="choose another folder or an empty database")
    if version > SCHEMA:
        raise RegistryError(
            f"The registry at {location} was written by a newer version of Wardround",
            expected=f"schema {SCHEMA} or older",
            found=f"schema {version}",
            hint="update Wardround, or choose another registry",
        )
    _require_columns(connection, location)


def _require_columns(connection: Connection, location: str) -> None:
    """A registry of an earlier build is noticed when it is opened, not when the first model of a night's run is to go in."""
    for name, table in Base.metadata.tables.items():
        columns = {column["name"] for column in inspect(connection).get_columns(name)}
        if missing := sorted({column.name for column in table.columns} - columns):
            raise RegistryError(
                f"The registry at {location} was made by an earlier build of Wardround",
                expected=f"a table {name} with {', '.join(missing)}",
                found=f"a table {name} without",
                hint="move registry.db and the models folder beside it away; the run folders keep every model",
            )


@contextlib.contextmanager
def _named(location: str) -> Iterator[None]:
    """The database's own errors as ours."""
    try:
        yield
    except IntegrityError as error:
        raise _Collision from error
    except DBAPIError as error:
        raise _broken(location, str(error.orig)) from error


def _broken(location: str, reason: str) -> RegistryError:
    return RegistryError(
        f"The registry at {location} cannot be used",
        found=reason.strip().splitlines()[0] if reason.strip() else "an unknown fault",
        hint="check that it exists and is yours to write, or set WARDROUND_HOME to a folder that is; a damaged registry is "
        "restored from a backup, or set aside and filled again by registering the run folders",
    )
