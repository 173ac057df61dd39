"""Several processes and threads, and any order of calls, against a plain account."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wardround.privacy.events import Event
from wardround.privacy.ledger.ledger import Ledger
from wardround.values.errors import RefusedError

from .charges import DELTA, EPSILON, EVENT, OTHER, ROOM, charge_many, refused


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
