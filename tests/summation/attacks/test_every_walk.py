"""A coordinator that tries everything the wire allows, in any order: real site machines, random walks over four names.

    keys | order of any name, attempt, cohort, model, history of sets | sign any set | open any set with any signatures
      --each site counts--> one set a name; never two openable sets of one name; of all names together no more openable sets than
                            the changes that were approved, and one

The walk of `test_masked_views` is complete and has no code; this one is neither, and has the code.
"""

import random
from collections import defaultdict
from itertools import combinations

import pytest

from wardround.summation.masked.layout import sum_name
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Answer, ContributionMessage, Order

from ..masked_parties import Ring
from .parts import open_ask, sign_ask

Set = tuple[SiteId, ...]
STEPS = 60
CHANGES = 2


class Walk:
    """One coordinator that remembers all it was told. The last c sites collude: their words bind nobody."""

    def __init__(self, n: int, collusion: int, seed: int) -> None:
        self.draw = random.Random(seed)
        self.ring = Ring(n, collusion=collusion, seed=seed, set_changes=CHANGES)
        self.honest = self.ring.sites[: n - collusion]
        self.orders: list[bytes] = []
        self.contributed: dict[bytes, dict[SiteId, ContributionMessage]] = defaultdict(dict)
        self.signed: dict[tuple[bytes, Set], dict[SiteId, str]] = defaultdict(dict)
        self.spoken: dict[SiteId, dict[str, set[Set]]] = defaultdict(lambda: defaultdict(set))
        self.sets: list[Set] = []

    def subset(self, sites: Set) -> Set:
        least = min(len(sites), self.ring.quorum.threshold - self.draw.choice((0, 0, 1)))
        return tuple(sorted(self.draw.sample(sites, self.draw.randint(least, len(sites)))))

    def step(self) -> None:
        kind = self.draw.choices(("keys", "order", "sign", "open"), (1, 3, 4, 4))[0]
        if kind == "keys" or not self.ring.roster:
            self.ring.agree()
        elif kind == "order" or not self.orders:
            self._order()
        else:
            data = self.orders[self.draw.randrange(max(0, len(self.orders) - 3), len(self.orders))]
            counted = self.subset(_cohort(data))
            for site in counted:
                if self.draw.random() < 0.8:
                    (self._sign if kind == "sign" else self._open)(site, data, counted)

    def _order(self) -> None:
        data = self.ring.order(
            self.draw.choice((1, 2, 3, 4)),
            cohort=self.subset(self.ring.sites),
            attempt=self.draw.randint(1, 4),
            model=self.draw.choice((7, 7, 8)),
            sets=self._history(),
        )
        self.orders.append(data)
        for site in _cohort(data):
            answer = self.ring.send(site, data)
            if isinstance(answer, ContributionMessage):
                self.contributed[data][site] = answer

    def _history(self) -> tuple[int, Set] | None:
        """True, or whatever else the order could say of the sets so far."""
        if self.draw.random() < 0.6:
            return None
        return self.draw.randint(0, CHANGES), self.draw.choice([(), *self.sets])

    def _sign(self, site: SiteId, data: bytes, counted: Set) -> None:
        answer = self.ring.send(site, sign_ask(data, counted))
        if isinstance(answer, Answer):
            self.signed[data, counted][site] = answer.header.signature
            self._spoke(site, data, counted)

    def _open(self, site: SiteId, data: bytes, counted: Set) -> None:
        if not set(counted) <= self.contributed[data].keys():
            return
        every = self.signed[data, counted]
        signatures = {one: every[one] for one in self.draw.sample(sorted(every), self.draw.randint(0, len(every)))}
        if isinstance(self.ring.send(site, open_ask(data, self.contributed[data], site, counted, signatures)), Answer):
            self._spoke(site, data, counted)

    def _spoke(self, site: SiteId, data: bytes, counted: Set) -> None:
        message = from_bytes(data)
        assert isinstance(message, Order)
        sets = self.spoken[site][sum_name(message.header)]
        if counted not in sets:  # else a repeated message got the stored bytes
            sets.add(counted)
            self.sets.append(counted)


def _cohort(data: bytes) -> Set:
    message = from_bytes(data)
    assert isinstance(message, Order)
    return tuple(map(SiteId, message.header.cohort))


def check(walk: Walk) -> int:
    """How many names were spoken for, after all that every honest site keeps to was looked at."""
    quorum = walk.ring.quorum
    for site in walk.honest:
        assert all(len(sets) == 1 for sets in walk.spoken[site].values())
        assert walk.ring.members[site].state.set_changes <= CHANGES
    openable_sets: set[Set] = set()
    names = {name for site in walk.honest for name in walk.spoken[site]}
    for name in names:
        speakers: dict[Set, set[SiteId]] = defaultdict(set)
        for site in walk.honest:
            for counted in walk.spoken[site][name]:
                speakers[counted].add(site)
        openable = [counted for counted, sites in speakers.items() if len(sites) >= quorum.threshold - quorum.collusion]
        assert len(openable) <= 1
        openable_sets |= set(openable)
        assert all(not (speakers[one] & speakers[other]) for one, other in combinations(speakers, 2))
    assert len(openable_sets) <= CHANGES + 1
    return len(names)


WORLDS = [(3, 0), (3, 1), (4, 0), (4, 1), (5, 0), (5, 1), (5, 2)]


@pytest.mark.permission
@pytest.mark.parametrize(("n", "collusion"), WORLDS)
def test_whatever_is_asked_in_whatever_order_a_name_has_one_set(n: int, collusion: int) -> None:
    """A few walks in each world; the many are below."""
    assert sum(_walked(n, collusion, seed) for seed in range(3)) > 0


@pytest.mark.slow
@pytest.mark.permission
@pytest.mark.parametrize(
    ("n", "collusion"),
    [world if world == (3, 1) else pytest.param(*world, marks=pytest.mark.many) for world in WORLDS],
)
def test_in_many_walks_a_name_has_one_set(n: int, collusion: int) -> None:
    """Two hundred walks in each world."""
    assert sum(_walked(n, collusion, 100 + seed) for seed in range(200)) > 200


def _walked(n: int, collusion: int, seed: int) -> int:
    walk = Walk(n, collusion, seed)
    for _ in range(STEPS):
        walk.step()
    return check(walk)
