"""Charging, budgets, releases: nothing leaves uncounted, and no budget is exceeded."""

import math
import os
import re
from pathlib import Path

import pytest

from wardround.privacy.accounting import epsilon
from wardround.privacy.events import Event
from wardround.privacy.ledger.ledger import Ledger
from wardround.privacy.ledger.state import Status
from wardround.values.errors import RefusedError

from .charges import DELTA, EPSILON, EVENT, OTHER, ROOM, SITE, charge_many, refused


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

    @pytest.mark.slow
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
