"""Room that a study asks for at its opening is kept for it, and given back."""

from wardround.privacy.accounting import affordable
from wardround.privacy.ledger.ledger import Ledger
from wardround.privacy.ledger.state import Status

from .charges import DELTA, EPSILON, EVENT, ROOM, charge_many, refused


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
