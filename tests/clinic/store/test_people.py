"""Accounts: passwords, the second factor, sessions, roles; and what an attacker tries at each."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import text

from wardround.clinic.store.database import Store, sqlite_url
from wardround.clinic.store.people import FAILURES, IDLE_S, LOCK_S, PASSWORD_STAGE_S, SESSION_S, People, new_password
from wardround.values.errors import RunError

PASSWORD = "seven quiet herons"


@dataclass
class Desk:
    """Accounts at a clock that a test sets."""

    folder: Path
    now: list[float] = field(default_factory=lambda: [1_800_000_000.0])

    def __post_init__(self) -> None:
        self.store = Store(sqlite_url(self.folder / "clinic.db"), lambda: self.now[0])
        self.people = People(self.store, self.folder)

    def whole(self, name: str = "anna") -> str:
        """Logs in to the end, and sets the second factor up where it is not yet."""
        session = self.people.login(name, PASSWORD)
        assert session is not None
        if name not in self.secrets:
            shown = self.people.second_secret(session)
            assert shown is not None
            self.secrets[name] = shown[0]
        self.now[0] += 60
        second = self.people.second_step(session, self.code(name))
        assert second is not None
        return second

    def code(self, name: str = "anna") -> str:
        return pyotp.TOTP(self.secrets[name]).at(int(self.now[0]))

    @property
    def secrets(self) -> dict[str, str]:
        return self.__dict__.setdefault("_secrets", {})


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    made.people.add("root", "administrator", PASSWORD, actor="test")
    made.people.add("anna", "doctor", PASSWORD, actor="test")
    yield made
    made.store.close()


def test_two_steps_lead_in_and_each_has_a_session_of_its_own(desk: Desk) -> None:
    """An id that somebody planted before the login must be worth nothing after it: session fixation."""
    first = desk.people.login("anna", PASSWORD)
    assert desk.people.person(first).stage == "password"
    secret, uri = desk.people.second_secret(first)
    assert uri.startswith("otpauth://totp/") and secret in uri
    second = desk.people.second_step(first, pyotp.TOTP(secret).at(int(desk.now[0])))
    assert second != first and desk.people.person(second).stage == "whole" and desk.people.person(first) is None


def test_the_secret_of_the_second_factor_lies_encrypted(desk: Desk) -> None:
    """A copy of the database alone opens nothing."""
    desk.whole()
    secret = desk.secrets["anna"]
    for path in desk.folder.glob("clinic.db*"):
        assert secret.encode() not in path.read_bytes() and PASSWORD.encode() not in path.read_bytes()
    (desk.folder / "second-factor.key").write_bytes(b"x" * 32)
    people = People(desk.store, desk.folder)
    with pytest.raises(RunError, match="another key"):
        people.second_step(people.login("anna", PASSWORD), "000000")


def test_a_code_is_good_once_and_only_now(desk: Desk) -> None:
    """Whoever looks over her shoulder must not get in with it."""
    desk.whole()
    session = desk.people.login("anna", PASSWORD)
    used = desk.code()
    assert desk.people.second_step(session, used) is None
    assert desk.people.second_secret(session) is None  # it is set up, and is shown to nobody again
    old = pyotp.TOTP(desk.secrets["anna"]).at(int(desk.now[0]) - 300)
    for wrong in (old, "", "abcdef", "１２３４５６", "1234567", "000 000 0"):
        assert desk.people.second_step(session, wrong) is None
    desk.now[0] += 60
    assert desk.people.person(session) is not None


def test_wrong_passwords_make_an_account_wait_ever_longer(desk: Desk) -> None:
    """Guessing must cost more time than anybody has; the right password opens nothing meanwhile."""
    for _ in range(FAILURES):
        assert desk.people.login("anna", "wrong " + PASSWORD) is None
    assert desk.people.login("anna", PASSWORD) is None
    desk.now[0] += LOCK_S + 1
    assert desk.people.login("anna", "wrong again, sorry") is None
    desk.now[0] += LOCK_S + 1
    assert desk.people.login("anna", PASSWORD) is None  # the second pause is twice as long
    desk.now[0] += LOCK_S
    assert desk.people.login("anna", PASSWORD) is not None


def test_wrong_codes_count_as_wrong_passwords(desk: Desk) -> None:
    """A million codes are few: who has the password must not try them all."""
    desk.whole()
    session = desk.people.login("anna", PASSWORD)
    desk.now[0] += 60
    for _ in range(FAILURES):
        assert desk.people.second_step(session, "000000") is None
    assert desk.people.second_step(session, desk.code()) is None and desk.people.login("anna", PASSWORD) is None


@pytest.mark.slow
def test_a_name_that_nobody_has_takes_as_long_as_one_that_somebody_has(desk: Desk) -> None:
    """Else a list of names shows who works here."""
    times = {}
    for name in ("anna", "zoe"):
        desk.people.login(name, "not the password")
        began = time.process_time()
        for _ in range(3):
            desk.people.login(name, "not the password")
        times[name] = time.process_time() - began
    assert 0.5 < times["zoe"] / times["anna"] < 2.0


@pytest.mark.parametrize(("pause", "lives"), [(IDLE_S - 1, True), (IDLE_S + 1, False)])
def test_a_session_ends_when_nobody_uses_it(desk: Desk, pause: float, lives: bool) -> None:
    """A screen that was left."""
    session = desk.whole()
    desk.now[0] += pause
    assert (desk.people.person(session) is not None) is lives


def test_a_session_ends_at_the_end_of_a_day_and_a_first_step_much_sooner(desk: Desk) -> None:
    """Also one that is used."""
    session = desk.whole()
    steps = int(SESSION_S // (IDLE_S / 2)) + 1
    alive = []
    for _ in range(steps):
        desk.now[0] += IDLE_S / 2
        alive.append(desk.people.person(session) is not None)
        desk.store.note("test", "waits")  # what was written later is written now
    assert all(alive[:-2]) and not alive[-1]
    first = desk.people.login("anna", PASSWORD)
    desk.now[0] += PASSWORD_STAGE_S + 1
    assert desk.people.person(first) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda people: people.change("anna", actor="root", active=False),
        lambda people: people.change("anna", actor="root", role="auditor"),
        lambda people: people.set_password("anna", "another good one", actor="root"),
        lambda people: people.reset_second_factor("anna", actor="root"),
    ],
)
def test_what_is_taken_from_an_account_is_taken_from_its_sessions(desk: Desk, change) -> None:
    """Whoever left the hospital this morning must not read until the evening."""
    session = desk.whole()
    change(desk.people)
    assert desk.people.person(session) is None


def test_logging_out_ends_the_session_at_the_server(desk: Desk) -> None:
    """A cookie that was copied before must not live on."""
    session = desk.whole()
    desk.people.logout(session)
    assert desk.people.person(session) is None


def test_the_last_administrator_stays(desk: Desk) -> None:
    """Else nobody could add one."""
    for values in ({"active": False}, {"role": "doctor"}):
        with pytest.raises(RunError, match="no administrator"):
            desk.people.change("root", actor="root", **values)


@pytest.mark.parametrize("name", ["", "a" * 65, "an na", "änna", "anna\n", "../anna", "<b>", "'; DROP TABLE people; --"])
def test_names_that_cannot_be_are_refused(desk: Desk, name: str) -> None:
    """They stand in logs and on pages."""
    with pytest.raises(RunError, match="name"):
        desk.people.add(name, "doctor", PASSWORD, actor="root")


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaaaaaa", "anna anna anna", "x" * 201])
def test_passwords_that_are_guessed_are_refused(desk: Desk, password: str) -> None:
    """Length and variety; no rule that makes people write it down."""
    with pytest.raises(RunError, match="password"):
        desk.people.set_password("anna", password, actor="root")


def test_keys_of_machines_open_until_they_are_revoked(desk: Desk) -> None:
    """The secret is shown once; the database has its hash alone."""
    secret = desk.people.add_key("pacs", actor="root")
    assert desk.people.machine(secret) == "pacs" and desk.people.machine(secret + "x") is None and desk.people.machine("") is None
    assert all(secret.encode() not in path.read_bytes() for path in desk.folder.glob("clinic.db*"))
    with pytest.raises(RunError, match="a key called"):
        desk.people.add_key("pacs", actor="root")
    desk.people.revoke_key("pacs", actor="root")
    assert desk.people.machine(secret) is None


def test_everything_that_changes_an_account_stands_in_the_audit_without_a_secret(desk: Desk) -> None:
    """Who let whom in is the first question after a loss."""
    drawn = new_password()
    desk.people.set_password("anna", drawn, actor="root")
    desk.people.login("anna", "wrong password here")
    desk.people.login("MARKER-unknown-name", drawn)
    with desk.store.reading() as connection:
        lines = connection.execute(text("SELECT actor, action, subject FROM audit")).all()
    assert [line.action for line in lines] == ["user-added", "user-added", "password-set", "login-refused", "login-refused"]
    assert not any(drawn in str(line) or "MARKER" in str(line) for line in lines)
