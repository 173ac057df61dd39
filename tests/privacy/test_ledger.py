"""The ledger: what is charged stays charged, and what is over the budget is refused, without a number."""

import json
import math
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wardround.privacy.accounting import affordable, epsilon
from wardround.privacy.events import Event
from wardround.privacy.ledger.ledger import Ledger, accept_restored
from wardround.privacy.ledger.state import Status
from wardround.values.errors import RefusedError

EVENT, OTHER, SITE = Event(10.0), Event(20.0), Event(10.0, unit="site")
EPSILON, DELTA = 2.0, 1e-5
ROOM = affordable(EVENT, EPSILON, DELTA)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "site" / "patients.ledger")


@pytest.fixture
def bounded(ledger: Ledger) -> Ledger:
    ledger.set_budget(EPSILON, DELTA)
    return ledger


def refused(code: str, step: Callable[[], object]) -> RefusedError:
    with pytest.raises(RefusedError) as found:
        step()
    assert found.value.code == code
    return found.value


def charge_many(ledger: Ledger, study: str, count: int, event: Event = EVENT) -> None:
    ledger.charge(study, "many", event, count)


class TestCharging:
    def test_its_epsilon_is_the_accountants(self, ledger: Ledger) -> None:
        """Over rounds, runs and studies together."""
        for study, event in (("a", EVENT), ("b", OTHER)):
            for release in range(4):
                ledger.charge(study, str(release), event)
        assert ledger.spent() == {EVENT: 4, OTHER: 4}
        assert ledger.epsilon_spent(delta=1e-6) == epsilon({EVENT: 4, OTHER: 4}, 1e-6)

    def test_the_same_release_twice_is_one_charge(self, ledger: Ledger) -> None:
        """A site that starts again after a crash asks again."""
        assert ledger.charge("s", "1", EVENT) == ledger.charge("s", "1", EVENT) == Status.RESERVED
        ledger.released("s", "1", "digest")
        assert ledger.charge("s", "1", EVENT) == Status.RELEASED, "the stored bytes are sent again"
        assert ledger.spent() == {EVENT: 1}

    @pytest.mark.parametrize(("event", "count"), [(OTHER, 1), (EVENT, 2), (SITE, 1)])
    def test_the_same_release_as_another_event_is_refused(self, ledger: Ledger, event: Event, count: int) -> None:
        """One of the two would not have been paid."""
        ledger.charge("s", "1", EVENT)
        refused("ledger-step", lambda: ledger.charge("s", "1", event, count))
        assert ledger.spent() == {EVENT: 1} and ledger.spent("site") == {}

    def test_a_release_may_consist_of_several_events(self, bounded: Ledger) -> None:
        """A round of local training is many noisy steps and one message."""
        bounded.charge("s", "1", EVENT, ROOM - 1)
        refused("budget", lambda: bounded.charge("s", "2", EVENT, 2))
        bounded.charge("s", "2", EVENT)
        assert bounded.spent() == {EVENT: ROOM}

    def test_units_are_apart(self, bounded: Ledger) -> None:
        """A patient's budget is not spent by what protects a whole hospital."""
        charge_many(bounded, "s", ROOM)
        bounded.charge("s", "x", SITE)
        bounded.set_budget(0.0, DELTA, "site")
        refused("budget", lambda: bounded.charge("s", "y", SITE))
        assert (bounded.spent(), bounded.spent("site")) == ({EVENT: ROOM}, {SITE: 1})

    def test_without_a_budget_all_is_recorded_and_nothing_refused(self, ledger: Ledger) -> None:
        """A simulation shows what it would have cost."""
        ledger.charge("s", "1", Event(0.0))
        assert ledger.epsilon_spent() == math.inf and ledger.balance().left is None and ledger.left(EVENT) is None

    def test_without_noise_no_budget_is_large_enough(self, bounded: Ledger) -> None:
        """An event without a guarantee is not a small one."""
        bounded.set_budget(1e6, DELTA)
        refused("budget", lambda: bounded.charge("s", "1", Event(0.0)))

    @pytest.mark.parametrize(
        ("study", "release", "count"), [("", "1", 1), ("s", "", 1), ("s", "x" * 201, 1), ("s", "1", 0), ("s", "1", -3)]
    )
    def test_a_charge_that_means_nothing_is_not_made(self, ledger: Ledger, study: str, release: str, count: int) -> None:
        """A negative count would be a refund."""
        with pytest.raises(ValueError):
            ledger.charge(study, release, EVENT, count)


class TestTheBudget:
    def test_the_stop_is_hard_and_exact(self, bounded: Ledger) -> None:
        """Every charge up to the budget, none beyond."""
        charge_many(bounded, "a", ROOM - 3)
        for release in range(3):
            bounded.charge("b", str(release), EVENT)
        refused("budget", lambda: bounded.charge("b", "3", EVENT))
        assert bounded.spent() == {EVENT: ROOM} and bounded.epsilon_spent() <= EPSILON
        assert bounded.left(EVENT) == 0

    def test_a_refusal_holds_no_number(self, bounded: Ledger, tmp_path: Path) -> None:
        """How much is left tells a coordinator what others have asked these patients."""
        error = refused("budget", lambda: charge_many(bounded, "s", 10**6))
        assert not re.search(r"\d", str(error)) and str(tmp_path) not in str(error)

    def test_a_smaller_event_may_still_fit(self, bounded: Ledger) -> None:
        """The budget is composed, not counted."""
        charge_many(bounded, "a", ROOM)
        refused("budget", lambda: bounded.charge("b", "1", EVENT))
        bounded.charge("b", "1", Event(1000.0))

    def test_a_raised_budget_admits_what_was_refused_and_a_lowered_one_refuses(self, bounded: Ledger) -> None:
        """What was learned of one budget must not answer for another."""
        charge_many(bounded, "a", ROOM)
        refused("budget", lambda: bounded.charge("a", "1", EVENT))
        bounded.set_budget(2 * EPSILON, DELTA)
        bounded.charge("a", "1", EVENT)
        bounded.set_budget(EPSILON / 2, DELTA)
        refused("budget", lambda: bounded.charge("a", "2", Event(1000.0)))
        assert bounded.balance().left == 0

    @pytest.mark.parametrize(("target", "delta"), [(-1.0, 1e-5), (math.inf, 1e-5), (math.nan, 1e-5), (1.0, 0.0), (1.0, 1.0)])
    def test_a_budget_that_means_nothing_is_not_set(self, ledger: Ledger, target: float, delta: float) -> None:
        """An infinite budget is none; whoever wants none sets none."""
        with pytest.raises(ValueError):
            ledger.set_budget(target, delta)


class TestPlanning:
    def test_a_study_that_does_not_fit_is_refused_at_its_opening(self, bounded: Ledger) -> None:
        """Not at step 40, when 39 have been paid for nothing."""
        refused("budget", lambda: bounded.plan("s", EVENT, ROOM + 1))
        assert bounded.history() == {}
        bounded.plan("s", EVENT, ROOM)

    def test_room_is_kept_for_its_study(self, bounded: Ledger) -> None:
        """Another study must not take what was promised."""
        bounded.plan("s", EVENT, ROOM)
        refused("budget", lambda: bounded.charge("other", "1", EVENT))
        refused("budget", lambda: bounded.plan("other", EVENT, 1))
        for release in range(ROOM):
            bounded.charge("s", str(release), EVENT)
        refused("budget", lambda: bounded.charge("s", "one more", EVENT))
        assert bounded.epsilon_spent() <= EPSILON

    def test_planning_twice_is_planning_once(self, bounded: Ledger) -> None:
        """A resumed study opens again."""
        bounded.plan("s", EVENT, ROOM)
        bounded.plan("s", EVENT, ROOM)
        refused("ledger-step", lambda: bounded.plan("s", EVENT, ROOM - 1))

    def test_closing_gives_back_what_was_not_used(self, bounded: Ledger) -> None:
        """A study that stopped early must not hold the room for ever."""
        bounded.plan("s", EVENT, ROOM)
        charge_many(bounded, "s", 5)
        bounded.close("s")
        bounded.close("s")
        bounded.plan("other", EVENT, ROOM - 5)
        refused("budget", lambda: bounded.plan("third", EVENT, 1))

    def test_a_closed_study_takes_nothing_new(self, bounded: Ledger) -> None:
        """Its room is gone; but bytes that were charged may still be sent again."""
        bounded.charge("s", "1", EVENT)
        bounded.close("s")
        refused("ledger-step", lambda: bounded.charge("s", "2", EVENT))
        refused("ledger-step", lambda: bounded.plan("s", EVENT, 1))
        assert bounded.charge("s", "1", EVENT) == Status.RESERVED
        bounded.released("s", "1", "digest")

    def test_more_than_the_plan_is_possible_where_the_budget_allows_it(self, bounded: Ledger) -> None:
        """Beyond its room a study stands in line with the others."""
        bounded.plan("s", EVENT, 3)
        bounded.plan("other", EVENT, ROOM - 5)
        charge_many(bounded, "s", 3)
        bounded.charge("s", "4", EVENT)
        bounded.charge("s", "5", EVENT)
        refused("budget", lambda: bounded.charge("s", "6", EVENT))

    def test_a_lowered_budget_stops_planned_charges_too(self, bounded: Ledger) -> None:
        """The last word is the data manager's."""
        bounded.plan("s", EVENT, ROOM)
        bounded.set_budget(EPSILON / 2, DELTA)
        allowed = affordable(EVENT, EPSILON / 2, DELTA)
        charge_many(bounded, "s", allowed)
        refused("budget", lambda: bounded.charge("s", "1", EVENT))

    def test_only_a_known_study_is_closed(self, ledger: Ledger) -> None:
        """A wrong name must not look like success."""
        refused("ledger-step", lambda: ledger.close("s"))


class TestReleasingAndCancelling:
    def test_nothing_leaves_uncharged(self, ledger: Ledger) -> None:
        """The order of steps is the guarantee."""
        refused("ledger-step", lambda: ledger.released("s", "1", "digest"))

    def test_the_same_bytes_may_leave_again_and_others_may_not(self, ledger: Ledger) -> None:
        """Two answers to one order, with fresh noise, are two releases."""
        ledger.charge("s", "1", EVENT)
        ledger.released("s", "1", "digest")
        ledger.released("s", "1", "digest")
        refused("ledger-step", lambda: ledger.released("s", "1", "other"))

    def test_a_cancelled_charge_is_taken_back_and_cannot_leave(self, bounded: Ledger) -> None:
        """Training failed before anything was stored."""
        charge_many(bounded, "s", ROOM)
        bounded.cancel("s", "many")
        assert bounded.spent() == {} and bounded.charges()["s", "many"].status == Status.CANCELLED
        refused("ledger-step", lambda: bounded.released("s", "many", "digest"))
        refused("ledger-step", lambda: bounded.cancel("s", "many"))
        assert bounded.charge("s", "many", OTHER) == Status.RESERVED

    def test_a_cancelled_charge_gives_its_study_the_room_back(self, bounded: Ledger) -> None:
        """Trying a step again must not fail for want of room."""
        bounded.plan("s", EVENT, ROOM)
        charge_many(bounded, "s", ROOM)
        bounded.cancel("s", "many")
        charge_many(bounded, "s", ROOM)

    def test_what_has_left_is_never_refunded(self, ledger: Ledger) -> None:
        """Nobody can call bytes back."""
        ledger.charge("s", "1", EVENT)
        ledger.released("s", "1", "digest")
        refused("ledger-step", lambda: ledger.cancel("s", "1"))
        refused("ledger-step", lambda: ledger.cancel("s", "unknown"))

    def test_only_the_process_that_charged_may_cancel(self, ledger: Ledger) -> None:
        """After a crash nobody knows whether the bytes were stored."""
        ledger.charge("s", "1", EVENT)
        refused("ledger-step", lambda: Ledger(ledger.path).cancel("s", "1"))
        again = Ledger(ledger.path)
        again.charge("s", "1", EVENT)
        refused("ledger-step", lambda: again.cancel("s", "1"))

    def test_a_forked_child_may_not_cancel_its_parents_charge(self, ledger: Ledger) -> None:
        """It is another process, with the same memory."""
        ledger.charge("s", "1", EVENT)
        if (child := os.fork()) == 0:
            try:
                ledger.cancel("s", "1")
            except RefusedError:
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        ledger.cancel("s", "1")


class TestTampering:
    def edit(self, path: Path, statement: str) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        connection.close()

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE entries SET content = replace(content, '10.0', '11.0') WHERE number = 2",
            "UPDATE entries SET at = '2020-01-01' WHERE number = 3",
            "UPDATE entries SET kind = 'cancelled' WHERE number = 3",
            "UPDATE entries SET content = 'x' WHERE number = 2",
            "DELETE FROM entries WHERE number = 2",
            "DELETE FROM entries WHERE number = 1",
        ],
    )
    def test_a_changed_entry_shows(self, ledger: Ledger, statement: str) -> None:
        """A ledger that can be edited in silence proves nothing."""
        for release in range(3):
            ledger.charge("s", str(release), EVENT)
        self.edit(ledger.path, statement)
        refused("ledger", lambda: Ledger(ledger.path))

    def test_entries_cut_off_at_the_end_show(self, ledger: Ledger) -> None:
        """The chain alone would not tell; the receipt does. Also to a process that has the ledger open."""
        for release in range(3):
            ledger.charge("s", str(release), EVENT)
        self.edit(ledger.path, "DELETE FROM entries WHERE number = 4")
        refused("ledger-restored", lambda: Ledger(ledger.path))
        refused("ledger-restored", lambda: ledger.charge("s", "4", EVENT))

    def test_a_changed_receipt_shows(self, ledger: Ledger) -> None:
        """Or it would be the easier thing to edit."""
        ledger.charge("s", "1", EVENT)
        receipt = ledger.path.with_name("patients.ledger.receipt")
        receipt.write_text(receipt.read_text().replace('"number":2', '"number":1'))
        refused("ledger", lambda: Ledger(ledger.path))

    def test_a_receipt_fits_no_other_ledger(self, ledger: Ledger, tmp_path: Path) -> None:
        """Two sites' files mixed up: both would look shorter than they are."""
        other = Ledger(tmp_path / "other" / "patients.ledger")
        for one in (ledger, other):
            one.charge("s", "1", EVENT)
        other.path.write_bytes(ledger.path.read_bytes())
        refused("ledger-restored", lambda: Ledger(other.path))

    def test_a_file_that_is_no_ledger_is_refused(self, tmp_path: Path) -> None:
        """Not written over."""
        path = tmp_path / "letter"
        path.write_bytes(b"Dear Sir or Madam, " * 100)
        refused("ledger", lambda: Ledger(path))
        assert path.read_bytes().startswith(b"Dear")

    def test_another_programs_database_is_refused(self, tmp_path: Path) -> None:
        """A wrong path must not add a table to somebody's data."""
        path = tmp_path / "registry.db"
        self.edit(path, "CREATE TABLE models (name TEXT)")
        before = path.read_bytes()
        refused("ledger", lambda: Ledger(path))
        assert path.read_bytes() == before

    def test_an_entry_of_a_newer_release_is_refused(self, ledger: Ledger) -> None:
        """What is not understood cannot be counted."""
        from wardround.privacy.ledger.file import LedgerFile, link

        with LedgerFile(ledger.path).alone() as page:
            page.append([link(page.chain_at(1), 2, "2030-01-01", "lent", {})])
        refused("ledger", lambda: ledger.charge("s", "1", EVENT))
        refused("ledger", lambda: ledger.spent())


class TestRestoring:
    @pytest.fixture
    def old(self, bounded: Ledger, tmp_path: Path) -> Ledger:
        """A ledger whose file is put back to where it had 3 of 8 charges."""
        for release in range(8):
            bounded.charge("s", str(release), EVENT)
            if release == 2:
                shutil.copy(bounded.path, tmp_path / "backup")
        shutil.copy(tmp_path / "backup", bounded.path)
        return bounded

    def test_an_older_ledger_is_refused(self, old: Ledger) -> None:
        """Five releases would be forgotten, and could be asked for again."""
        refused("ledger-restored", lambda: Ledger(old.path))
        refused("ledger-restored", lambda: old.charge("s", "9", EVENT))

    def test_a_person_may_accept_it_and_pays_what_the_receipt_knows(self, old: Ledger) -> None:
        """The lost charges count; and until somebody has thought about the budget, nothing is granted."""
        accepted = accept_restored(old.path)
        assert accepted.spent() == {EVENT: 8}
        assert {name: study.charged[EVENT] for name, study in accepted.history().items()} == {"s": 3, "(restored)": 5}
        assert accepted.balance().stopped and accepted.balance().left == 0 and accepted.left(EVENT) == 0
        refused("budget", lambda: accepted.charge("t", "1", EVENT))
        refused("budget", lambda: accepted.plan("t", EVENT, 1))
        accepted.set_budget(EPSILON, DELTA)
        assert accepted.charge("t", "1", EVENT) == Status.RESERVED
        assert Ledger(old.path).spent() == {EVENT: 9}

    def test_also_one_without_a_budget_is_stopped(self, ledger: Ledger) -> None:
        """Whether the lost entries held a budget is not known."""
        ledger.charge("s", "1", EVENT)
        ledger.path.unlink()
        refused("ledger-restored", lambda: Ledger(ledger.path))
        accepted = accept_restored(ledger.path)
        assert accepted.spent() == {EVENT: 1}
        refused("budget", lambda: accepted.charge("s", "2", EVENT))

    def test_a_folder_copied_as_a_whole_is_refused(self, ledger: Ledger, tmp_path: Path) -> None:
        """Ledger and receipt agree, and the original may have gone on."""
        ledger.charge("s", "1", EVENT)
        shutil.copytree(ledger.path.parent, tmp_path / "copy")
        copied = tmp_path / "copy" / ledger.path.name
        refused("ledger-restored", lambda: Ledger(copied))
        assert accept_restored(copied).spent() == {EVENT: 1}
        assert Ledger(ledger.path).spent() == {EVENT: 1}, "the original goes on"

    def test_a_lost_receipt_is_as_an_older_ledger(self, ledger: Ledger) -> None:
        """Otherwise deleting it would be the way around it."""
        ledger.charge("s", "1", EVENT)
        ledger.path.with_name("patients.ledger.receipt").unlink()
        refused("ledger-restored", lambda: Ledger(ledger.path))
        assert accept_restored(ledger.path).spent() == {EVENT: 1}

    def test_a_sound_ledger_cannot_be_accepted(self, ledger: Ledger) -> None:
        """It would be stopped for nothing."""
        ledger.charge("s", "1", EVENT)
        refused("ledger-step", lambda: accept_restored(ledger.path))

    def test_a_crash_between_commit_and_receipt_is_no_restored_backup(self, ledger: Ledger) -> None:
        """The ledger is newer than its receipt then; the next look writes it again."""
        from wardround.privacy.ledger.file import LedgerFile

        ledger.charge("s", "1", EVENT)
        pen, LedgerFile.write_receipt = LedgerFile.write_receipt, _crash  # type: ignore[assignment,method-assign]
        try:
            with pytest.raises(KeyboardInterrupt):
                ledger.charge("s", "2", EVENT)
        finally:
            LedgerFile.write_receipt = pen  # type: ignore[method-assign]
        assert Ledger(ledger.path).spent() == {EVENT: 2}
        assert json.loads(ledger.path.with_name("patients.ledger.receipt").read_text())["number"] == 3


def _crash(*_: object) -> None:
    raise KeyboardInterrupt


class TestSharing:
    def test_what_another_process_wrote_is_seen(self, bounded: Ledger) -> None:
        """Two studies at once, each in its own process, one budget."""
        other = Ledger(bounded.path)
        charge_many(other, "a", ROOM)
        refused("budget", lambda: bounded.charge("b", "1", EVENT))
        assert bounded.balance() == other.balance()

    def test_threads_share_a_ledger(self, bounded: Ledger) -> None:
        """Never one charge too many, and none lost."""

        def one(number: int) -> bool:
            try:
                bounded.charge("s", str(number), EVENT)
            except RefusedError as error:
                assert error.code == "budget"
                return False
            return True

        charge_many(bounded, "s", ROOM - 20)
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(one, range(40))) == 20
        assert Ledger(bounded.path).spent() == {EVENT: ROOM}

    def test_a_ledger_that_is_held_too_long_is_named(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        """Waiting for ever looks like a slow network."""
        from wardround.privacy.ledger import file as ledger_file

        monkeypatch.setattr(ledger_file, "WAIT_S", 0.05)
        other = ledger_file.LedgerFile(ledger.path)
        with other.alone():
            refused("ledger-busy", lambda: ledger.charge("s", "1", EVENT))


class AgainstAPlainAccount(RuleBasedStateMachine):
    """Any order of steps, against a dictionary: what is spent is what was charged and not cancelled, and within the budget."""

    def __init__(self) -> None:
        super().__init__()
        from tempfile import TemporaryDirectory

        self.folder = TemporaryDirectory()
        self.ledger = Ledger(Path(self.folder.name) / "ledger")
        self.ledger.set_budget(EPSILON, DELTA)
        self.charged: dict[tuple[str, str], tuple[Event, int]] = {}
        self.left: set[tuple[str, str]] = set()

    def teardown(self) -> None:
        self.folder.cleanup()

    studies = st.sampled_from(["a", "b"])
    releases = st.sampled_from(["1", "2", "3"])
    events = st.sampled_from([EVENT, OTHER])
    counts = st.integers(1, ROOM // 2)

    def attempt(self, step: Callable[[], object]) -> bool:
        try:
            step()
        except RefusedError as error:
            assert error.code in ("budget", "ledger-step")
            return False
        return True

    @rule(study=studies, event=events, count=counts)
    def plan(self, study: str, event: Event, count: int) -> None:
        self.attempt(lambda: self.ledger.plan(study, event, count))

    @rule(study=studies, release=releases, event=events, count=counts)
    def charge(self, study: str, release: str, event: Event, count: int) -> None:
        if self.attempt(lambda: self.ledger.charge(study, release, event, count)):
            assert self.charged.setdefault((study, release), (event, count)) == (event, count)

    @rule(study=studies, release=releases)
    def release(self, study: str, release: str) -> None:
        done = self.attempt(lambda: self.ledger.released(study, release, "digest"))
        assert done == ((study, release) in self.charged)
        if done:
            self.left.add((study, release))

    @rule(study=studies, release=releases)
    def cancel(self, study: str, release: str) -> None:
        done = self.attempt(lambda: self.ledger.cancel(study, release))
        assert not (done and (study, release) in self.left)
        if done:
            del self.charged[study, release]

    @rule(study=studies)
    def close(self, study: str) -> None:
        self.attempt(lambda: self.ledger.close(study))

    @rule()
    def start_again(self) -> None:
        self.ledger = Ledger(self.ledger.path)

    @invariant()
    def what_is_spent_is_what_was_charged(self) -> None:
        expected: dict[Event, int] = {}
        for event, count in self.charged.values():
            expected[event] = expected.get(event, 0) + count
        balance = self.ledger.balance()
        assert self.ledger.spent() == expected
        assert balance.spent <= balance.committed <= EPSILON


TestAnyOrder = pytest.mark.slow(AgainstAPlainAccount.TestCase)
TestAnyOrder.settings = settings(max_examples=10, stateful_step_count=15)
