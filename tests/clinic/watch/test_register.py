"""The register: which model answered which case, who has seen it; labels for a later study; old rows that go."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DatabaseError

from tests.clinic.watch.made_weeks import DAY_S, NOW, accepted_record, add_cases, clock
from wardround.clinic.place.clinic_place import SETTINGS, ClinicPlace, ClinicSettings
from wardround.clinic.place.watch_settings import RetentionSection
from wardround.clinic.store.cases import note_view, say_opinion, withdraw
from wardround.clinic.store.database import Store, first_broken_line, sqlite_url
from wardround.clinic.store.people import People
from wardround.clinic.store.tables import answers, audit, audit_cuts, cases, feedback, figures, views
from wardround.clinic.watch.labels import HEADER as LABELS
from wardround.clinic.watch.labels import label_table
from wardround.clinic.watch.register import HEADER, Filter, register, register_csv
from wardround.clinic.watch.retention import delete_old, old_rows
from wardround.values.errors import RunError


@pytest.fixture
def clinic(tmp_path: Path) -> ClinicPlace:
    return ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))


@pytest.fixture
def store(clinic: ClinicPlace) -> Iterator[Store]:
    with Store(sqlite_url(clinic.path / "clinic.db"), clock=clock) as opened:
        yield opened


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_which_model_answered_and_who_has_seen_it(clinic: ClinicPlace, store: Store) -> None:
    """By model, patient, person and day."""
    people = People(store, clinic.path)
    anna = people.add("anna", "doctor", "a long enough password", actor="test")
    one, other = accepted_record(), accepted_record(created="2026-10-01T00:00:00+00:00")
    ids = add_cases(store, one, 3, patients=["p1", "p2", "p3"])
    older = add_cases(store, other, 2, seed=5, given=NOW - 40 * DAY_S, patients=["p1"])
    add_cases(store, other, 1, seed=6, shadow=True, patients=["p9"])
    note_view(store, ids[0], anna.id if hasattr(anna, "id") else anna, "anna")
    note_view(store, ids[0], anna.id if hasattr(anna, "id") else anna, "anna")
    lines = register(store)
    assert len(lines) == 6 and [line.given for line in lines] == sorted((line.given for line in lines), reverse=True)
    assert [line.shown for line in lines].count(False) == 1
    assert {line.case for line in register(store, Filter(patient="p1"))} == {ids[0], *older}
    assert {line.case for line in register(store, Filter(until=NOW - 30 * DAY_S))} == set(older)
    assert len(register(store, Filter(model=one.model[:8]))) == 6 and not register(store, Filter(model="%"))
    (seen,) = register(store, Filter(seen_by="anna"))
    assert seen.case == ids[0] and [name for name, _ in seen.seen] == ["anna"]
    withdraw(store, "p1", actor="data")
    table = rows_of(register_csv(register(store)))
    assert list(table[0]) == list(HEADER) and sum(row["withdrawn"] == "yes" for row in table) == 3


def test_no_cell_is_a_formula(store: Store) -> None:
    """A sender's name or a comment is somebody else's text, and auditors open tables in spreadsheets."""
    record = accepted_record()
    (case_id,) = add_cases(store, record, 1, cannot_tell=0, unusual=0, patients=["p1"])
    store.write(lambda connection: connection.execute(text("UPDATE cases SET sender = '=cmd|x'")).rowcount)
    say_opinion(store, case_id, "1" * 32, "anna", "disagree", '=HYPERLINK("http://x")\n"quoted", 阴影')
    (row,) = rows_of(register_csv(register(store)))
    assert row["sender"] == "'=cmd|x"
    (labelled,) = rows_of(label_table(store).text)
    assert labelled["comment"] == '\'=HYPERLINK("http://x")\n"quoted", 阴影'


def test_labels_are_what_doctors_say(store: Store) -> None:
    """Never what the model says: where doctors differ, and where it could not tell, there is none."""
    record = accepted_record()
    ids = add_cases(store, record, 30, seed=8, cannot_tell=0, unusual=0)
    unsure = add_cases(store, record, 1, seed=9, cannot_tell=1.0, unusual=0)
    with store.reading() as connection:
        said = {row.case_id: row.verdict for row in connection.execute(select(answers))}
    doctors = ("1" * 32, "2" * 32)
    for number, case_id in enumerate(ids[:20]):
        say_opinion(store, case_id, doctors[0], "anna", "agree" if number % 2 else "disagree", f"word {number}")
    say_opinion(store, ids[0], doctors[1], "bea", "agree", "")  # differs
    say_opinion(store, ids[1], doctors[1], "bea", "agree", "")
    say_opinion(store, ids[2], doctors[0], "anna", "agree", "")  # thought again
    say_opinion(store, unsure[0], doctors[0], "anna", "agree", "")
    table = label_table(store)
    found = {row["case"]: row for row in rows_of(table.text)}
    assert (table.cases, table.differing, table.undecided, table.withdrawn) == (19, 1, 1, 0)
    assert list(rows_of(table.text)[0]) == list(LABELS) and ids[0] not in found and not set(ids[20:]) & set(found)
    for number, case_id in enumerate(ids[1:20], 1):
        agrees = number % 2 == 1 or number == 2
        assert (
            found[case_id]["label"] == str(int((said[case_id] == "positive") == agrees))
            and found[case_id]["after_model"] == "yes"
        )
    assert found[ids[1]]["doctors"] == "2" and found[ids[3]]["comment"] == "word 3"


def set_retention(clinic: ClinicPlace, **days: int) -> None:
    lines = "\n".join(f"{name} = {value}" for name, value in days.items())
    (clinic.path / SETTINGS).write_text(f'hospital = "St Anna"\n[retention]\n{lines}\n')
    (clinic.path / SETTINGS).chmod(0o600)


def count(store: Store, table: object) -> int:
    with store.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar() or 0


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("everything", [False, True])
def test_old_rows_go_and_the_chain_stays_whole(clinic: ClinicPlace, everything: bool) -> None:
    """Twice, since the second cut begins where the first ended; also where every line is old."""
    set_retention(clinic, case_days=30, audit_days=20)
    ticks = Clock()
    with Store(sqlite_url(clinic.path / "clinic.db"), clock=ticks) as store:
        record = accepted_record()
        old = add_cases(store, record, 4, given=NOW, cannot_tell=0, unusual=0)
        say_opinion(store, old[0], "1" * 32, "anna", "agree", "")
        note_view(store, old[0], "1" * 32, "anna")
        (clinic.path / "films").mkdir()
        (clinic.path / "films" / f"{old[0]}.npz").write_bytes(b"a film")
        assert delete_old(clinic, store).cases == () and count(store, audit) == 2
        ticks.now += 31 * DAY_S
        add_cases(store, record, 2, seed=3, given=ticks.now)
        if not everything:
            store.note("anna", "case-seen", "x")
        assert set(old_rows(store, clinic.settings.retention).cases) == set(old) and count(store, cases) == 6
        done = delete_old(clinic, store)
        assert set(done.cases) == set(old) and done.lines == 2
        assert [count(store, table) for table in (cases, answers, figures, views, feedback)] == [2, 2, 2, 0, 0]
        assert not list((clinic.path / "films").iterdir()) and first_broken_line(store) is None
        with store.reading() as connection:
            numbers = [row.number for row in connection.execute(select(audit.c.number).order_by(audit.c.number))]
        assert numbers == list(range(3, 3 + len(numbers))) and len(numbers) == (2 if everything else 3)
        ticks.now += 31 * DAY_S
        delete_old(clinic, store)
        store.note("anna", "case-seen", "y")
        assert first_broken_line(store) is None and count(store, audit_cuts) == 2 and count(store, cases) == 0
    with Store(sqlite_url(clinic.path / "clinic.db"), clock=ticks) as again:
        again.note("anna", "case-seen", "z")
        assert first_broken_line(again) is None


def test_nothing_goes_where_nothing_is_said(clinic: ClinicPlace, store: Store) -> None:
    """Evidence is kept unless a person decides otherwise."""
    add_cases(store, accepted_record(), 3, given=NOW - 4000 * DAY_S)
    assert delete_old(clinic, store) == old_rows(store, RetentionSection()) and count(store, cases) == 3


def test_a_cut_that_the_chain_does_not_state_is_a_break(store: Store) -> None:
    """Whoever may write to the database could note a cut and delete what it hides."""
    for number in range(5):
        store.note("anna", "case-seen", str(number))
    with store.reading() as connection:
        row = connection.execute(select(audit).where(audit.c.number == 3)).one()
        with pytest.raises(DatabaseError, match="append-only"):
            connection.execute(text("DELETE FROM audit WHERE number <= 3"))
    forged = {"number": 3, "sha256": row.sha256, "at": NOW}

    def forge(connection):
        connection.execute(insert(audit_cuts), forged)
        connection.execute(text("DELETE FROM audit WHERE number <= 3"))

    store.write(forge)
    assert first_broken_line(store) == 4


def test_a_broken_chain_is_not_tidied_away(clinic: ClinicPlace) -> None:
    """It is evidence of whoever broke it."""
    set_retention(clinic, audit_days=1)
    ticks = Clock()
    with Store(sqlite_url(clinic.path / "clinic.db"), clock=ticks) as store:
        for number in range(4):
            store.note("anna", "case-seen", str(number))
        store.write(lambda connection: connection.execute(text("DROP TRIGGER audit_update")).rowcount)
        store.write(lambda connection: connection.execute(text("UPDATE audit SET actor = 'x' WHERE number = 2")).rowcount)
        ticks.now += 3 * DAY_S
        with pytest.raises(RunError, match="broken at line 2"):
            delete_old(clinic, store)
        assert count(store, audit) == 4
