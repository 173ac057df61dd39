"""SQL: connections that cannot write, queries that do more than read, passwords that are never shown."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from wardround.simulation.hospitals import from_folders, keep_hospitals, kept_hospitals
from wardround.sources.databases.sql import connected, read_query, require_reading
from wardround.sources.opening import open_source
from wardround.study.contract import ColumnContract, DataContract
from wardround.study.sections.cohort import ConceptSet
from wardround.values.address import address_of, is_address
from wardround.values.errors import DataError
from wardround.values.ids import site_id

from .cases import PRESSURE, STAY, contract, omop_tables
from .databases import Server, load_postgres, load_sqlite, write_csv

TABLE = DataContract(kind="table", columns=(ColumnContract(name="age", range=(0, 120)),))
SECRET = "ho%40spital-secret"


@pytest.fixture
def sqlite(tmp_path: Path) -> Path:
    return load_sqlite(write_csv(tmp_path / "cdm", omop_tables()), tmp_path / "cdm.sqlite")


@pytest.fixture(scope="session")  # as the server: a module may be divided, and come to one process twice
def cdm(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a schema with OMOP tables."""
    import psycopg

    load_postgres(write_csv(tmp_path_factory.mktemp("cdm"), omop_tables()), postgres.address(), "ward")
    with psycopg.connect(postgres.address(), autocommit=True) as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 'ho@spital-secret'")
        connection.execute("CREATE TABLE plain (patient text, age numeric, label int, name text)")
        connection.execute("INSERT INTO plain VALUES ('a', 61.5, 1, 'Mustermann'), ('b', NULL, 0, 'Mustermann')")
    return postgres.address(schema="ward")


WRITES = (
    "INSERT INTO person SELECT * FROM person",
    "DELETE FROM person",
    "WITH gone AS (DELETE FROM person RETURNING *) SELECT * FROM gone",
    "SELECT 1; DROP TABLE person",
    "SELECT * INTO copied FROM person",
    "COPY person TO PROGRAM 'cat'",
    "PRAGMA writable_schema = 1",
    "ATTACH 'x.db' AS x",
    "SET transaction_read_only = off",
    "VALUES (1)",
    "",
    "-- SELECT 1\nDROP TABLE person",
    "/* SELECT */ UPDATE person SET year_of_birth = 1",
    "CREATE TABLE x (a int)",
    "EXPLAIN ANALYZE DELETE FROM person",
)


@pytest.mark.parametrize("query", WRITES)
def test_a_query_that_does_more_than_read_is_refused(query: str) -> None:
    """A mapping is a file that people copy from each other."""
    with pytest.raises(DataError, match="more than read"):
        require_reading(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "select * from person;",
        "WITH old AS (SELECT * FROM person) SELECT * FROM old",
        "(SELECT 1)",
        "SELECT 'delete; drop' AS word, \"update\" FROM person -- delete this\n",
        "SELECT deleted, created_at FROM person /* drop; */",
        "SELECT $$insert; into$$",
    ],
)
def test_a_query_that_reads_is_taken_whatever_its_texts_say(query: str) -> None:
    """A column called "update", or a comment, writes nothing."""
    assert require_reading(query) == query.strip().removesuffix(";")


def test_sqlite_cannot_be_written_through_our_connection(sqlite: Path) -> None:
    """What the check of the text overlooks, the connection must hold."""
    before = sqlite.read_bytes()
    for statement in ("DELETE FROM person", "CREATE TABLE x (a int)", "PRAGMA user_version = 7"):
        with pytest.raises(DataError, match="cannot be read"), connected(sqlite) as connection:
            connection.execute(sa.text(statement))
            connection.commit()
            if statement.startswith("PRAGMA"):
                raise sqlite3.OperationalError("a pragma that writes is ignored")
    assert sqlite.read_bytes() == before
    assert list(sqlite.parent.glob("cdm.sqlite?*")) == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ward.person",
        "CREATE TABLE x (a int)",
        "WITH gone AS (DELETE FROM ward.person RETURNING *) SELECT * FROM gone",
        "SELECT * INTO copied FROM ward.person",
        "SELECT setval('s', 1)",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SET transaction_read_only = off",
    ],
)
def test_postgresql_cannot_be_written_through_our_connection(cdm: str, statement: str) -> None:
    """The hospital's database is not ours, whatever a query says."""
    with pytest.raises(DataError, match="cannot be read"), connected(address_of(cdm)) as connection:
        connection.execute(sa.text("SELECT count(*) FROM ward.person"))
        connection.execute(sa.text(statement))
        raise AssertionError("it was executed")
    with connected(address_of(cdm)) as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM ward.person")).scalar() == 1


def test_postgresql_and_sqlite_read_one_person_alike(cdm: str, sqlite: Path) -> None:
    """Types differ: NUMERIC, DATE and INTEGER there, text and floats here."""
    first, second = open_source(cdm, contract()).load(), open_source(sqlite, contract()).load()
    assert first.inputs.tobytes() == second.inputs.tobytes() and first.patients.tolist() == ["1"]


def test_a_path_that_was_an_address_still_is_one(cdm: str) -> None:
    """Run folders and site files keep paths, which lose a slash."""
    path = Path(cdm)
    assert str(path) != cdm and is_address(path)
    assert len(open_source(path, contract()).load()) == 1


def test_a_site_file_may_name_a_database(cdm: str, sqlite: Path, tmp_path: Path) -> None:
    """An address is no path beside the site file; a SQLite file is."""
    from wardround.study.run_settings import load_site

    site = tmp_path / "site.toml"
    for data, read in ((cdm, cdm), (f"sqlite:///{sqlite.name}", str(sqlite)), (sqlite.name, str(sqlite))):
        site.write_text(f'data = "{data}"\nfolder = "state"\n')
        assert load_site(site).data == read
        assert len(open_source(Path(load_site(site).data), contract()).load()) == 1


def test_a_run_keeps_the_address_and_never_a_password(cdm: str, tmp_path: Path) -> None:
    """A run folder is copied, archived and shown."""
    hospitals = from_folders({"north": cdm})
    keep_hospitals(hospitals, tmp_path)
    assert len(open_source(kept_hospitals(tmp_path)[site_id("north")].path, contract()).load()) == 1
    with pytest.raises(DataError, match="password") as caught:
        from_folders({"north": f"postgresql://locked:{SECRET}@db/ward"})
    assert "secret" not in str(caught.value) and "locked:***@db" in str(caught.value)


def test_a_password_is_used_and_never_shown(cdm: str, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are copied into mails."""
    right = cdm.replace("keeper@", f"locked:{SECRET}@")
    wrong = cdm.replace("keeper@", "locked:wrong-secret@")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    source = open_source(right, contract())
    assert "secret" not in f"{source} {source!r} {source.path}"
    refused = source.check()  # the role may log in, and may read nothing: the words of the server are shown without the password
    assert not refused.ready() and "secret" not in f"{refused} {refused.to_json()}"
    with pytest.raises(DataError) as caught:
        open_source(wrong, contract()).load()
    assert "secret" not in str(caught.value) and "password authentication failed" in str(caught.value)
    monkeypatch.setenv("PGPASSWORD", "ho@spital-secret")
    with connected(address_of(postgres.address("locked"))) as connection:
        assert connection.execute(sa.text("SELECT current_user")).scalar() == "locked"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://db/ward?password=very-secret",
        "postgresql://u:very-secret@db",
        "postgresql://u:very-secret@db/a/b",
        "postgresql://u:very-secret/x@db/ward",
        "postgresql://u:very-secret@db:port/ward",
        "postgresql://u:very-secret@db/ward?options=-c%20default_transaction_read_only%3Doff",
        "postgresql://u:very-secret@db/ward?schema=a&schema=b",
        "mysql://u:very-secret@db/ward",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_being_shown(text: str) -> None:
    """What cannot be parsed may hold the password anywhere."""
    with pytest.raises(DataError) as caught:
        address_of(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me@db/ward",
        "postgresql://me@db:5433/ward?schema=cdm&vocabulary=vocab",
        "postgresql:///ward?host=/run/postgresql",
        "postgresql://[::1]:5432/ward",
        "postgresql://me@/ward?sslmode=verify-full",
    ],
)
def test_an_address_is_read_and_written_alike(text: str) -> None:
    """Also from a path, which has lost a slash."""
    assert str(address_of(text)) == text
    assert address_of(Path(text)) == address_of(text)


@pytest.mark.slow
@pytest.mark.parametrize("code", ["x') OR 1=1 --", "x'; DROP TABLE ward.person; --", "%s %(x)s :x ?", "\\'", '"'])
def test_a_code_of_a_study_is_a_value_and_never_a_statement(code: str, cdm: str, sqlite: Path) -> None:
    """The study comes from elsewhere: its codes must not speak to the hospital's database."""
    codes = (f"SNOMED|{code}", f"ICD10CM|{code}*")
    rules = contract(STAY, PRESSURE, ConceptSet(name="stroke", event="condition", codes=codes))
    for source in (cdm, sqlite):
        report = open_source(source, rules).check()
        assert report.ready() and "concepts-unknown:stroke" in {finding.code for finding in report.findings}
        assert open_source(source, rules).load().labels.tolist() == [0]


def test_a_database_that_cannot_be_reached_is_told_in_words(postgres: Server, tmp_path: Path) -> None:
    """A wrong name, a wrong host, a wrong schema, a file that is no database: each a sentence, no traceback."""
    for address in (postgres.address(database="nowhere"), f"postgresql://me@/ward?host={tmp_path}"):
        with pytest.raises(DataError, match="cannot be read"):
            open_source(address, contract()).load()
    with pytest.raises(DataError, match="no table"):
        open_source(postgres.address(schema="nowhere"), contract()).load()
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"SQLite format 3\0" + b"x" * 500)
    with pytest.raises(DataError, match="cannot be read"):
        open_source(broken, contract()).load()


def test_a_query_of_a_hospital_gives_the_contracts_columns_alone(cdm: str, sqlite: Path) -> None:
    """A name in another column must not come into memory's reach of a model."""
    frame = read_query(cdm, "SELECT * FROM plain ORDER BY patient", TABLE)
    assert frame.columns == ["patient", "age", "label"] and frame.rows()[0][0] == "a"
    query = "SELECT person_id AS patient, 2020 - year_of_birth AS age, 1 AS label, 'x' AS other FROM person"
    assert read_query(f"sqlite:///{sqlite}", query, TABLE).rows() == [(1, 70, 1)]
    assert read_query(str(sqlite), query + " WHERE 0", TABLE).height == 0
    with pytest.raises(DataError, match="column twice"):
        read_query(sqlite, "SELECT 1 AS age, 2 AS age", TABLE)
    with pytest.raises(DataError, match="more than read"):
        read_query(sqlite, "DELETE FROM person", TABLE)


def _texts(path: Path, rows: list[Any], declared: str = "") -> Path:
    """The measurements in a table whose columns have no type, as some programs make it."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE measurement")
        connection.execute(
            f"CREATE TABLE measurement (person_id {declared}, measurement_concept_id {declared}, measurement_date, "
            "value_as_number, unit_source_value)"
        )
        connection.executemany("INSERT INTO measurement VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    return path


@pytest.mark.parametrize("declared", ["", "TEXT", "INTEGER"])
def test_a_table_that_mixes_types_loses_no_row(sqlite: Path, declared: str) -> None:
    """SQLite holds what is put into it: a number as text must not vanish in a comparison or in a cast."""
    rows = [(1, 3004249, "2020-05-09", 120, "mm[Hg]"), ("1", "3004249", "2020-05-09", "140", "mm[Hg]"),
            (1.0, 3004249.0, "2020-05-09", 160.0, "mm[Hg]"), (1, "3004249", "2020-05-09", "high", "mm[Hg]")]  # fmt: skip
    records = open_source(_texts(sqlite, rows, declared), contract())
    read_result = records.reader(records.path, records.contract)
    assert {problem.code: problem.count for problem in read_result.problems}["not-a-number:measurement"] == 1
    center, scale = contract().columns[1].constants
    column = contract().feature_names.index("pressure")
    assert read_result.inputs[0, column] * scale + center == pytest.approx(140)
