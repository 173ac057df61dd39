"""What a private study costs each hospital's patients as its rounds go by, worked out as often as the machine has time for it."""

import time

from wardround.plan.plan import Plan
from wardround.plan.pricing import price_of_plan
from wardround.privacy.accounting import bill
from wardround.values.canonical import finite_or_none

SHARE = 20.0
"""The accounting takes at most one part in so many of a run's time."""


class Spending:
    """The epsilon of one study at its delta, after each round. None of a study that is not private, and where it has no bound."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._next = plan, 0.0

    def whole(self) -> float | None:
        """Of the whole study."""
        return None if self._plan.private is None else finite_or_none(price_of_plan(self._plan.private).epsilon)

    def after(self, rounds: int, *, last: bool) -> float | None:
        """After so many rounds, each charged once. None too where it was worked out a moment ago; of the last round never."""
        plan, delta, began = self._plan.private, self._plan.study.privacy.delta, time.monotonic()
        if plan is None or delta is None or (began < self._next and not last):
            return None
        epsilon = bill(plan.event, rounds * plan.events_a_round, (delta,)).epsilons[delta]
        ended = time.monotonic()
        self._next = ended + SHARE * (ended - began)
        return finite_or_none(epsilon)
