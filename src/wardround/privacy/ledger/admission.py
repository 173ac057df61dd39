"""Which counts of releases a budget admits, without composing them anew for each charge.

More releases never cost less. So where some counts are within the budget, all smaller ones are, and where some are above it, all
larger ones are. What was once computed answers most questions by comparing counts; 10,000 charges of one event cost one search.
"""

from collections.abc import Mapping

from wardround.privacy import accounting
from wardround.privacy.events import Event

Counts = Mapping[Event, int]
_KEPT = 32
_GRAINS = (64, 8, 1)
"""The other events' counts are rounded up to such a number where the budget has room for it, so that their next charges need no
search of their own. The last one asks for exactly what is needed."""


class Admission:
    """What is known of one budget. Not for two threads at once."""

    def __init__(self, epsilon: float, delta: float) -> None:
        self._epsilon, self._delta = epsilon, delta
        self._within: list[dict[Event, int]] = [{}]
        self._above: list[dict[Event, int]] = []

    def within_budget(self, counts: Counts) -> bool | None:
        """Whether these counts are within the budget; None where that must be computed (`learn`)."""
        if any(_covers(larger, counts) for larger in self._within):
            return True
        if any(_covers(counts, smaller) for smaller in self._above):
            return False
        return None

    def learn(self, counts: Counts, event: Event, hoped: Counts | None = None) -> None:
        """Compute enough for `within_budget(counts)` to answer. event: what is likely to be asked for again. hoped: larger counts
        that are likely to be within the budget and would answer this and what follows."""
        if hoped is not None and _covers(hoped, counts) and self._try(hoped):
            return
        for grain in _GRAINS:
            others = {other: count if other == event else -(-count // grain) * grain for other, count in counts.items()}
            if self._try(others):
                more = accounting.affordable(event, self._epsilon, self._delta, others)
                self._keep(self._within, {**others, event: others.get(event, 0) + more})
                if more < accounting.MOST_RELEASES:
                    self._keep(self._above, {**others, event: others.get(event, 0) + more + 1})
                return

    def _try(self, counts: Counts) -> bool:
        if (within := self.within_budget(counts)) is not None:
            return within
        within = accounting.epsilon(counts, self._delta) <= self._epsilon
        self._keep(self._within if within else self._above, dict(counts))
        return within

    @staticmethod
    def _keep(compared: list[dict[Event, int]], counts: dict[Event, int]) -> None:
        compared.append(counts)
        del compared[1:-_KEPT]


def _covers(larger: Counts, smaller: Counts) -> bool:
    return all(larger.get(event, 0) >= count for event, count in smaller.items())
