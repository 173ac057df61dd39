"""Databases that speak SQL: SQLite files and PostgreSQL, through SQLAlchemy, over a connection that cannot write.

    Address or file --engine--> one read-only transaction --SELECT of named columns and codes--> frames

PostgreSQL keeps the transaction read-only, and all its answers from one moment; SQLite opens the file with mode=ro, query_only.
The text of a query given by a hospital is checked as well, but it is these that hold.
"""

import datetime
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGInspector
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from wardround.sources.databases.tables import READ_TABLES, RowFilter
from wardround.sources.progress import counting_rows
from wardround.study.contract import DataContract
from wardround.values.address import Address, address_of, sqlite_path
from wardround.values.errors import DataError, MissingExtraError

CONNECT_S = "15"
"""Seconds until a server that does not answer is given up, unless the address says otherwise."""
_OPTIONS = "-c default_transaction_read_only=on -c datestyle=ISO"
ROWS = 50_000
"""Rows that are fetched at once."""
LONGEST_LIST = 5_000
"""Codes that a SELECT names; with more, the whole table is read and compared here."""


def engine_for(database: Address | Path) -> sa.Engine:
    """An engine whose connections only read. MissingExtraError where the driver of PostgreSQL is not installed."""
    if isinstance(database, Path):
        return sa.create_engine("sqlite://", creator=lambda: _open_sqlite(database), poolclass=NullPool)
    url = URL.create(
        "postgresql+psycopg",
        database.user or None,
        database.password,
        database.host or None,
        database.port,
        database.database,
        query={"connect_timeout": CONNECT_S, **dict(database.settings), "options": _OPTIONS},
    )
    try:
        engine = sa.create_engine(url, poolclass=NullPool, isolation_level="REPEATABLE READ", hide_parameters=True)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "The driver for PostgreSQL is not installed",
            found=f"no module {error.name}",
            hint="pip install 'wardround[postgresql]'",
        ) from None
    return engine.execution_options(postgresql_readonly=True)


def _open_sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("BEGIN")  # all tables as they were at one moment
    return connection


@contextmanager
def connected(database: Address | Path) -> Iterator[sa.Connection]:
    """A connection for one reading. DataError where the database cannot be reached or does not answer."""
    engine = engine_for(database)
    reached = False
    try:
        with engine.connect() as connection:
            reached = True
            yield connection
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise DataError(
            f"The database {database} cannot be read", found=_words_of(error, database), hint=_mend(database, str(error), reached)
        ) from None
    finally:
        engine.dispose()


def _mend(database: Address | Path, words: str, reached: bool) -> str:
    if isinstance(database, Path) and "locked" in words:
        return "close the program that writes to the file, and try again"
    if isinstance(database, Path):
        return "copy the file again, or save it again with the program that wrote it: as it is, it is damaged or no SQLite"
    if not reached:
        return "check its name, its host and your rights; a password stands in ~/.pgpass or PGPASSWORD"
    return (
        "show these words to whoever keeps the database: a right to SELECT may be absent, or a value that cannot be read is there"
    )


def _words_of(error: Exception, database: Address | Path) -> str:
    """The first line of what the driver says, which could show a password only if the address held it."""
    text = str(getattr(error, "orig", None) or error).strip().partition("\n")[0][:300]
    secret = database.password if isinstance(database, Address) else None
    return text.replace(secret, "***") if secret else text


@dataclass(frozen=True)
class SqlTable:
    """spelled: its columns as the database writes them, by their names in lower case. numbers, texts: those declared so.

    days: those declared as dates or times, of which `zoned` are moments without a day of their own.
    """

    schema: str | None
    name: str
    spelled: dict[str, str]
    numbers: frozenset[str]
    texts: frozenset[str]
    days: frozenset[str] = frozenset()
    zoned: frozenset[str] = frozenset()

    def can_compare(self, row_filter: RowFilter) -> bool:
        """Whether the database would find every row: in a text column it holds '9201.0' and 9201 apart."""
        declared = self.numbers if all(isinstance(value, int) for value in row_filter.values) else self.texts
        return len(row_filter.values) <= LONGEST_LIST and declared.issuperset(row_filter.columns)


@dataclass(frozen=True)
class SqlTables:
    """The tables of one connection, by their names in lower case."""

    connection: sa.Connection
    tables: dict[str, SqlTable]

    def columns(self, table: str) -> frozenset[str] | None:
        return frozenset(self.tables[table].spelled) if table in self.tables else None

    def batches(self, table: str, columns: tuple[str, ...], row_filter: RowFilter | None = None) -> Iterator[pl.DataFrame]:
        yield from _frames(self.connection, self._select(self.tables[table], columns, row_filter), columns)

    def _select(self, table: SqlTable, columns: tuple[str, ...], row_filter: RowFilter | None) -> sa.Select[Any]:
        """Days are asked for as text: a driver refuses infinity, or a year before 1, without a word of where it stands."""
        if unclear := sorted(table.zoned & set(columns)):
            raise _moments(table.name.casefold(), unclear)
        cells: dict[str, sa.ColumnClause[Any]] = {column: sa.column(name) for column, name in table.spelled.items()}
        source = sa.table(table.name, *cells.values(), schema=table.schema)
        asked = (sa.cast(cells[column], sa.Text) if column in table.days else cells[column] for column in columns)
        select = sa.select(*(cell.label(column) for cell, column in zip(asked, columns, strict=True))).select_from(source)
        if row_filter is None or not table.can_compare(row_filter):
            return select
        values = sorted(row_filter.values)
        return select.where(sa.or_(*(cells[column].in_(values) for column in row_filter.columns)))


def _moments(table: str, columns: Sequence[str]) -> DataError:
    return DataError(
        f"The table {table} has times with a time zone where days are promised: {', '.join(columns)}",
        expected="dates, or times without a zone: of which day a moment is depends on the zone in which it is read",
        hint=f"make a view of the table, named {table}, in a schema of its own and name that with ?schema=NAME; in it "
        f"({columns[0]} AT TIME ZONE 'Europe/Berlin')::date AS {columns[0]}, with the hospital's own zone",
    )


def tables_of(connection: sa.Connection, *schemas: str | None) -> SqlTables:
    """OMOP's tables and views in the schemas; the first schema that has one wins. DataError where two differ by case only."""
    inspector = sa.inspect(connection)
    tables: dict[str, SqlTable] = {}
    for schema in dict.fromkeys(schemas):
        own = [*inspector.get_table_names(schema), *inspector.get_view_names(schema), *_of_postgresql(inspector, schema)]
        lower = [name.casefold() for name in own]
        for name in own:
            if name.casefold() in READ_TABLES and lower.count(name.casefold()) > 1:
                text = f"Two tables of the database are called {name.casefold()}"
                raise DataError(text, hint="name their schema with ?schema=NAME, or rename one")
            if name.casefold() in READ_TABLES:
                tables.setdefault(name.casefold(), _described(inspector, name, schema))
    return SqlTables(connection, tables)


def _of_postgresql(inspector: sa.Inspector, schema: str | None) -> list[str]:
    """Materialised views, and tables of another server."""
    if not isinstance(inspector, PGInspector):
        return []
    return [*inspector.get_materialized_view_names(schema), *inspector.get_foreign_table_names(schema)]


def _described(inspector: sa.Inspector, name: str, schema: str | None) -> SqlTable:
    columns = inspector.get_columns(name, schema)
    spelled = {column["name"].casefold(): column["name"] for column in columns}
    if len(spelled) != len(columns):
        raise DataError(f"The table {name.casefold()} has two columns that differ by case only", hint="read a view that has one")
    numbers, texts, days = (
        frozenset(column["name"].casefold() for column in columns if isinstance(column["type"], kind))
        for kind in ((sa.Integer, sa.Numeric), sa.String, (sa.Date, sa.DateTime))
    )
    zoned = frozenset(column["name"].casefold() for column in columns if getattr(column["type"], "timezone", False))
    return SqlTable(schema, name, spelled, numbers, texts, days, zoned)


def _frames(connection: sa.Connection, statement: sa.Executable, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    streamed = connection.execution_options(stream_results=True, yield_per=ROWS)
    with streamed.execute(statement) as result:
        for rows in result.partitions():
            yield pl.DataFrame([_series(name, cells) for name, cells in zip(columns, zip(*rows, strict=True), strict=True)])


_OF_POLARS = frozenset({bool, int, float, str, datetime.date, datetime.datetime, datetime.time, datetime.timedelta, list, bytes})
"""What the drivers give that polars holds as it is. A Decimal may be NaN, at which polars stops the whole program."""


def _series(name: str, cells: Sequence[Any]) -> pl.Series:
    """A column as the driver gives it; of other or mixed types each cell as text, so that none is lost."""
    kinds = {type(cell) for cell in cells} - {type(None)}
    zoned = kinds == {datetime.datetime} and any(cell is not None and cell.tzinfo is not None for cell in cells)
    if len(kinds) <= 1 and kinds <= _OF_POLARS and not zoned:
        try:
            return pl.Series(name, cells, strict=True)
        except (TypeError, pl.exceptions.PolarsError, OverflowError):
            pass
    return pl.Series(name, [None if cell is None else str(cell) for cell in cells], dtype=pl.String)


_COMMENT_OR_TEXT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|drop|alter|create|truncate|grant|revoke|copy|call|do|set|reset|vacuum|attach|detach|pragma|"
    r"replace\s+into|into|lock|execute|prepare|begin|commit|rollback)\b",
    re.IGNORECASE,
)


def require_reading(query: str) -> str:
    """The query without a closing semicolon. DataError where it is anything else than one SELECT, also after WITH."""
    bare = _COMMENT_OR_TEXT.sub(" ", query).strip().removesuffix(";").strip()
    first = re.match(r"\(*\s*(select|with)\b", bare, re.IGNORECASE)
    forbidden = _WRITES.search(bare)
    if first is None or ";" in bare or forbidden is not None:
        raise DataError(
            "The query does more than read",
            expected="one SELECT statement, which may begin with WITH",
            found=f"the word {forbidden[0].upper()}" if forbidden else "another statement, or more than one",
            hint="write one SELECT; quote a column that has such a name",
        )
    return query.strip().removesuffix(";")


def read_query(url: str | Path, query: str, contract: DataContract, others: Iterable[str] = ()) -> pl.DataFrame:
    """The rows of a hospital's own query, with the columns that the contract names.

    Parameters
    ----------
    url : str or Path
        A SQLite file, `sqlite:///FILE`, or `postgresql://USER@HOST/DATABASE`.
    query : str
        One SELECT, which may begin with WITH.
    contract : DataContract
        Its columns, label, patient and site, and `split`, are kept; all but `others` are dropped.
    others : iterable of str
        Columns of the query that a hospital's mapping reads.

    Raises
    ------
    DataError
        Where the query does more than read, names a column twice, or the database does not answer.
    """
    statement = require_reading(query)
    path = sqlite_path(url)
    database = path if path is not None else url if isinstance(url, Path) or "://" not in url else address_of(url)
    names = {column.name for column in contract.columns}
    names |= {*contract.label.columns, contract.patient.column, contract.site.column, "split", *others}
    with connected(Path(database) if isinstance(database, str) else database) as connection:
        streamed = connection.execution_options(stream_results=True, yield_per=ROWS, no_parameters=True)
        with streamed.exec_driver_sql(statement) as result:
            columns = list(result.keys())
            if twice := sorted({name for name in columns if columns.count(name) > 1}):
                raise DataError(f"The query has a column twice: {', '.join(twice)}", hint="give one of them another name with AS")
            parts = [
                pl.DataFrame([_series(name, cells) for name, cells in zip(columns, zip(*rows, strict=True), strict=True)])
                for rows in counting_rows("query", result.partitions())
            ]
    kept = [name for name in columns if name in names]
    return _joined([part.select(kept) for part in parts], kept)


def _joined(parts: list[pl.DataFrame], names: list[str]) -> pl.DataFrame:
    """Parts of one table; a column that is text in one of them is text in all."""
    text = [name for name in names if any(part[name].dtype == pl.String for part in parts)]
    spelled = [part.with_columns(pl.col(name).cast(pl.String) for name in text) for part in parts]
    return pl.concat(spelled, how="vertical_relaxed") if spelled else pl.DataFrame(schema=dict.fromkeys(names, pl.String))
