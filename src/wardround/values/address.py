"""Addresses of databases: how they are told from paths, and shown without a password.

    postgresql://user@host/name?schema=cdm      sqlite:///folder/file.sqlite

A `Path` made from an address has lost a slash after the colon; both spellings are read. Needs no library, so that a command line
can ask about any text.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from wardround.values.errors import DataError

_ADDRESS = re.compile(r"(?P<backend>postgresql|postgres|sqlite)(?:\+\w+)?:/+(?P<rest>.*)", re.DOTALL)
_OTHER_ADDRESS = re.compile(
    r"[A-Za-z][\w+.\-]+:/+|(?:postgres|postgresql)/|(?:.*\s)?(?:host|dbname|user|password)\s*=", re.DOTALL
)
_SETTINGS = frozenset({"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "service", "connect_timeout", "passfile"})
"""What libpq may be told in the address. Its `options` could switch off what makes the connection read-only."""


@dataclass(frozen=True)
class Address:
    """A PostgreSQL database. Its text never shows the password.

    settings: for libpq. schema: of the tables of OMOP; None for the user's own. vocabulary: of the concepts; None for the same.
    """

    user: str
    host: str
    port: int | None
    database: str
    settings: tuple[tuple[str, str], ...] = ()
    schema: str | None = None
    vocabulary: str | None = None
    password: str | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        user = f"{self.user}{':***' if self.password is not None else ''}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        more = [*self.settings, *(pair for pair in (("schema", self.schema), ("vocabulary", self.vocabulary)) if pair[1])]
        query = "&".join(f"{name}={value}" for name, value in more)
        return f"postgresql://{user}{self.host}{port}/{self.database}{'?' if query else ''}{query}"


def is_address(text: str | Path) -> bool:
    """Whether a text names a database and no path.

    >>> is_address("postgresql://me@db/ward"), is_address(Path("postgresql://me@db/ward")), is_address("data/ward.csv")
    (True, True, False)
    """
    return _ADDRESS.match(str(text)) is not None


def is_other_address(text: str | Path) -> bool:
    """Whether a text is written as an address or as a driver's settings, though none that is read.

    >>> is_other_address("mysql://me@db/ward"), is_other_address("host=db dbname=ward"), is_other_address("C:/ward.csv")
    (True, True, False)
    """
    return not is_address(text) and _OTHER_ADDRESS.match(str(text)) is not None


def sqlite_path(text: str | Path) -> Path | None:
    """The file that a sqlite address names; None for any other text, and for a Path: it has lost the slashes that matter.

    >>> sqlite_path("sqlite:///ward.db"), sqlite_path("sqlite:////data/ward.db").as_posix()
    (PosixPath('ward.db'), '/data/ward.db')
    """
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///(?P<path>[^?#]+)", text) if isinstance(text, str) else None
    return Path(match["path"]) if match else None


def address_of(text: str | Path) -> Address:
    """The PostgreSQL database of an address. DataError where it cannot be read, which never shows the text: it may hold a
    password."""
    match = _ADDRESS.fullmatch(str(text))
    if match is None or match["backend"] == "sqlite":
        raise _unreadable("it does not begin with postgresql://; a SQLite file is named by sqlite:///FILE or by its path")
    rest, _, query = match["rest"].partition("?")
    before, slash, database = rest.rpartition("/")
    if not database or "/" in before or re.search("[:@]", database):
        raise _unreadable("it names no database, or more than one")
    account, _, server = before.rpartition("@") if slash else ("", "", "")
    user, colon, password = account.partition(":")
    host, port = _server(server)
    settings = _settings(query)
    return Address(
        unquote(user),
        host,
        port,
        unquote(database),
        tuple((name, value) for name, value in settings.items() if name in _SETTINGS),
        settings.get("schema"),
        settings.get("vocabulary"),
        unquote(password) if colon else None,
    )


def without_password(text: str | Path, keeper: str) -> str:
    """The address as `keeper` may keep it. DataError where it holds a password: what is kept is copied, archived and shown."""
    address = address_of(text)
    if address.password is not None:
        raise DataError(
            f"The address of the database holds a password, which {keeper} would keep",
            found=str(address),
            hint="leave it out, and put it into ~/.pgpass or PGPASSWORD",
        )
    return str(address)


def other_address() -> DataError:
    """The error of an address of another kind, which it does not show: it may hold a password."""
    return DataError(
        "This is no address of a database that is read",
        expected="postgresql://USER@HOST/DATABASE, sqlite:///FILE, or a path",
        hint="write it so; of another database, export the tables as CSV or Parquet and name their folder",
    )


def _server(server: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:\[\]]*)(?::(\d{1,5}))?", server)
    if match is None:
        raise _unreadable("its host cannot be read; brackets go around an IPv6 address, and % signs for an @ or : in a password")
    return match[1], int(match[2]) if match[2] else None


def _settings(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    settings = dict(pairs)
    if unknown := sorted(settings.keys() - _SETTINGS - {"schema", "vocabulary"}):
        raise _unreadable(f"it sets {', '.join(unknown)}, which is none of {', '.join(sorted(_SETTINGS))}, schema, vocabulary")
    if len(pairs) != len(settings):
        raise _unreadable("it sets something twice")
    return settings


def _unreadable(reason: str) -> DataError:
    return DataError(
        "The address of the database cannot be read",
        expected="postgresql://USER@HOST/DATABASE, also with ?schema=NAME",
        found=reason,
        hint="correct it; the password stands in ~/.pgpass or in PGPASSWORD",
    )
