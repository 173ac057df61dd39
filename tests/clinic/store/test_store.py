"""The clinic's database: nothing is lost that was acknowledged, the audit cannot be changed unseen, both databases agree."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DatabaseError

from tests.sources.databases.conftest import postgres as postgres
from tests.sources.databases.databases import Server
from wardround.clinic.store.cases import (
    NewCase,
    answer_row,
    case_of,
    insert_cases,
    latest_cases,
    note_view,
    say_opinion,
    views_of,
    withdraw,
)
from wardround.clinic.store.database import Store, first_broken_line, sqlite_url
from wardround.clinic.store.tables import metadata
from wardround.values.errors import RunError

ANSWER = {
    "model": "a" * 64, "acceptance": "b" * 16, "probability": 0.7, "raw_probability": 0.9, "threshold": 0.5,
    "verdict": "positive", "reasons": [], "unusual": None, "moved": [],
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(sqlite_url(tmp_path / "clinic.db")) as opened:
        yield opened


def add(store: Store, patient: str = "") -> str:
    new_case = NewCase("page", "image", store.clock(), patient)
    rows = [new_case.row()], [answer_row(new_case.id, ANSWER, store.clock())]
    store.write(lambda connection: insert_cases(connection, *rows), ("anna", "case-answered", new_case.id))
    return new_case.id


def walk(store: Store) -> None:
    """Everything that the clinic does with its database."""
    case_id = add(store, "p1")
    add(store, "p2")
    note_view(store, case_id, "1" * 32, "anna")
    say_opinion(store, case_id, "1" * 32, "anna", "disagree", "Ein Schatten, kein Infiltrat. 阴影")
    case = case_of(store, case_id)
    assert case is not None and case.answer == ANSWER and case.opinions[0][1] == "disagree" and len(views_of(store, case_id)) == 1
    assert [one.id for one in latest_cases(store)][-1] == case_id and case_of(store, "0" * 32) is None
    assert withdraw(store, "p1", actor="data") == [(case_id, "a" * 64)] and case_of(store, case_id).withdrawn
    assert first_broken_line(store) is None


def test_cases_answers_views_and_opinions_come_back_as_they_were(store: Store) -> None:
    """What a register shows must be what happened."""
    walk(store)


@pytest.mark.slow
def test_postgresql_does_the_same(postgres: Server) -> None:
    """A hospital's database people have PostgreSQL; the same steps, the same audit."""
    url = postgres.address().replace("postgresql://", "postgresql+psycopg://")
    with Store(url) as opened:
        walk(opened)
        with opened.reading() as connection, pytest.raises(DatabaseError, match="append-only"):
            connection.execute(text("DELETE FROM audit"))
    with Store(url) as again:
        assert first_broken_line(again) is None and len(latest_cases(again)) == 1  # the other patient withdrew


def test_the_steps_of_the_migration_lead_to_the_tables_of_the_program(tmp_path: Path) -> None:
    """A column that only a new clinic has would fail at an old one, in the middle of a day."""
    url = sqlite_url(tmp_path / "clinic.db")
    Store(url).close()
    with create_engine(url).connect() as connection:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert set(metadata.tables) < set(inspect(connection).get_table_names())
    assert (tmp_path / "clinic.db").stat().st_mode & 0o077 == 0


def test_answers_of_before_other_questions_keep_their_numbers_and_opinions(tmp_path: Path) -> None:
    """The step takes three columns apart; a lost probability, or an opinion of no answer, would be a lost record."""
    from alembic import command
    from alembic.config import Config

    url, config = sqlite_url(tmp_path / "clinic.db"), Config()
    config.set_main_option("script_location", str(files("wardround.clinic.store").joinpath("migrations")))
    with create_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for statement in (
            "INSERT INTO cases VALUES ('c', 1.0, 'page', 'image', '', '', '', '[]', '', '', 0, 0)",
            "INSERT INTO answers VALUES ('a', 'c', 1.0, 'm', 'r', 0.25, 0.125, 0.5, 'negative', '{}', 0)",
            "INSERT INTO feedback VALUES (1, 'c', 'a', 'anna', 2.0, 'agree', '')",
        ):
            connection.execute(text(statement))
    with Store(url) as opened, opened.reading() as connection:
        row = connection.execute(text("SELECT probability, raw_probability, threshold, verdict FROM answers")).one()
        assert tuple(row) == (0.25, 0.125, 0.5, "negative")
        assert connection.execute(text("SELECT count(*) FROM feedback JOIN answers ON answer_id = answers.id")).scalar() == 1


def test_a_later_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """An old program that writes into new tables spoils them."""
    url = sqlite_url(tmp_path / "clinic.db")
    Store(url).close()
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RunError, match="later version"):
        Store(url)


def test_the_audit_takes_no_change(store: Store) -> None:
    """Also not from a program that has the file open; and what a person does to the file itself shows in the chain."""
    for number in range(5):
        store.note("anna", "case-seen", str(number))
    for command in ("UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"):
        with store.reading() as connection, pytest.raises(DatabaseError, match="append-only"):
            connection.execute(text(command))


@pytest.mark.parametrize(
    "command",
    ["UPDATE audit SET actor='x' WHERE number=3", "DELETE FROM audit WHERE number=3", "UPDATE audit SET at=0 WHERE number=3"],
)
def test_a_line_that_was_changed_behind_the_program_is_named(tmp_path: Path, command: str) -> None:
    """Whoever owns the machine can take the trigger away, but cannot mend the chain after it unseen."""
    url = sqlite_url(tmp_path / "clinic.db")
    with Store(url) as opened:
        for number in range(5):
            opened.note("anna", "case-seen", str(number))
    with create_engine(url).begin() as connection:
        for word in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER audit_{word}"))
        connection.execute(text(command))
    with Store(url) as again:
        assert first_broken_line(again) == 3


def test_writes_of_many_threads_are_one_chain_and_each_is_told_its_own_fate(store: Store) -> None:
    """A job that fails is undone alone; those that were committed with it stay."""
    failures, ids = [], []

    def failing(connection):
        insert_cases(connection, [NewCase("page", "image", 0.0, id="f" * 32).row()], [])
        raise ValueError("of this one only")

    def work(number: int) -> None:
        for turn in range(20):
            if (number + turn) % 4 == 0:
                try:
                    store.write(failing, ("anna", "never", ""))
                except ValueError:
                    failures.append(number)
            else:
                ids.append(add(store))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 40 and len(set(ids)) == 120
    assert case_of(store, "f" * 32) is None and first_broken_line(store) is None
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit WHERE action = 'never'")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM cases")).scalar() == 120


WRITER = """
import sys
from tests.clinic.store.test_store import add
from wardround.clinic.store.database import Store, sqlite_url
from pathlib import Path
store = Store(sqlite_url(Path(sys.argv[1])))
while True:
    print(add(store), flush=True)
"""


@pytest.mark.slow
def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    """Twenty kills at any instant: each acknowledged case is there with its answer, and the chain is whole."""
    acknowledged: list[str] = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for kill in range(20):
        command = [sys.executable, "-c", WRITER, str(tmp_path / "clinic.db")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            lines = [child.stdout.readline().strip() for _ in range(3 + kill)]
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().splitlines()
        acknowledged += [line for line in (*lines, *rest) if len(line) == 32]
    with Store(sqlite_url(tmp_path / "clinic.db")) as opened:
        assert len(acknowledged) > 100 and first_broken_line(opened) is None
        assert all(case_of(opened, case_id) is not None for case_id in acknowledged)


def test_two_processes_write_one_chain(tmp_path: Path) -> None:
    """An administrator adds a user at the command line while the clinic is up."""
    url = sqlite_url(tmp_path / "clinic.db")
    with Store(url) as one, Store(url) as other:
        for number in range(20):
            (one, other)[number % 2].note("anna", "case-seen", str(number))
        threads = [threading.Thread(target=add, args=(one_of,)) for one_of in (one, other) * 10]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert first_broken_line(one) is None and len(latest_cases(other)) == 20
