"""What a private study costs each hospital's patients as its rounds go by, worked out as often as the machine has time for it."""

import time

from wardround.plan.pricing import price_of, private_plan_of
from wardround.privacy.accounting import bill
from wardround.study.declaration import Study
from wardround.values.canonical import finite_or_none

SHARE = 20.0
"""The accounting takes at most one part in so many of a run's time."""


class Spending:
    """The epsilon of one study at its delta, after each round. None of a study that is not private, and where it has no bound."""

    def __init__(self, study: Study) -> None:
        self._study, self._next = study, 0.0

    def whole(self) -> float | None:
        """Of the whole study."""
        return finite_or_none(price_of(self._study).epsilon) if self._study.privacy.private else None

    def after(self, rounds: int, *, last: bool) -> float | None:
        """After so many rounds, each charged once. None too where it was worked out a moment ago; of the last round never."""
        privacy, began = self._study.privacy, time.monotonic()
        if not privacy.private or privacy.delta is None or (began < self._next and not last):
            return None
        plan = private_plan_of(self._study)
        epsilon = bill(plan.event, rounds * plan.events_a_round, (privacy.delta,)).epsilons[privacy.delta]
        ended = time.monotonic()
        self._next = ended + SHARE * (ended - began)
        return finite_or_none(epsilon)
