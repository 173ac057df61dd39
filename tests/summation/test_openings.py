"""Two openings of one study: what a coordinator learns of both is one set (docs/spec/masked-sum.md, 8.5 and 11.8).

The model of `test_masked_views`, with two names in place of one. Counts of an opening are the same in each, so that two opened
sets would show the number of records of a hospital. A site that only signed in the first may speak for another set in the second,
since the first may never open; one that answered speaks for the same set.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest

from .test_masked_views import ALLOWED, World, all_views, broken, certified, ids, opened, possible, subsets

Answers = tuple[int, ...]  # the set that each site answered in the first opening; 0: none


def first_openings(world: World) -> Iterator[tuple[frozenset[int], Answers]]:
    """What opens in a first opening, and who had answered what: one for all that differ by the names of honest sites."""
    seen = set()
    for cohort in world.cohorts:
        for _, views in all_views(world, cohort):
            if not possible(world, cohort, views):
                continue
            told = dict(zip(world.honest(cohort), views, strict=True))
            answered = tuple(told[site][0] if site in told and told[site][1] else 0 for site in world.honest(-1))
            sets = opened(world, cohort, tuple(sorted(v for v in answered if v)))
            if sets and (sets, answered) not in seen:
                seen.add((sets, answered))
                yield sets, answered


def second_openings(
    world: World, answered: Answers, *, rule: bool, forgetful: int = -1, witnesses: int = 0
) -> Iterator[frozenset[int]]:
    """What opens in a second one, over any cohort, where each site answers all that it may. forgetful: a site that does not
    remember what it answered, and answers only where so many sign."""
    for cohort in subsets((1 << world.n) - 1):
        if cohort.bit_count() < world.t:
            continue
        choices = [
            [before]
            if before and rule and site != forgetful
            else [0, *(world.sets_for(site, cohort) if cohort >> site & 1 else [])]
            for site, before in enumerate(answered)
        ]
        for shown in product(*choices):
            asked = {site: v for site, v in enumerate(shown) if cohort >> site & 1 and v and v & ~cohort == 0}
            signers = Counter(asked.values())
            able = [
                v
                for site, v in asked.items()
                if certified(world, cohort, v, signers[v])
                and (site != forgetful or signers[v] + (v & world.colluding).bit_count() >= witnesses)
            ]
            if sets := opened(world, cohort, tuple(sorted(able))):
                yield sets


@pytest.mark.permission
@pytest.mark.parametrize("world", ALLOWED, ids=ids)
def test_two_openings_open_at_most_one_set(world: World) -> None:
    """The number of records of each hospital is told over one set at most, whatever the coordinator says of the first opening."""
    openings = 0
    for sets, answered in first_openings(world):
        openings += 1
        for later in second_openings(world, answered, rule=True):
            assert not broken(world, sets | later), (answered, sets, later)
    assert openings


@pytest.mark.permission
@pytest.mark.parametrize("world", ALLOWED, ids=ids)
def test_also_where_one_site_lost_its_memory_between_them(world: World) -> None:
    """It answers before w witnesses only, who are done with the first opening; with t of them two sets would open somewhere."""
    least = max(world.t, world.n + world.c + 2 - world.t)
    for sets, answered in first_openings(world):
        for forgetful, _ in enumerate(answered):
            for later in second_openings(world, answered, rule=True, forgetful=forgetful, witnesses=least):
                assert not broken(world, sets | later), (answered, forgetful, sets, later)


def test_without_witnesses_a_lost_memory_opens_a_second_set() -> None:
    """Teeth: of three hospitals two open the first, and one of them forgets; it opens the second with the third."""
    world = World(3, 2, 0)
    assert any(
        broken(world, sets | later)
        for sets, answered in first_openings(world)
        for later in second_openings(world, answered, rule=True, forgetful=0)
    )


@pytest.mark.parametrize("world", [World(3, 2, 0), World(4, 3, 1)], ids=ids)
def test_without_the_rule_the_second_opening_shows_one_hospital(world: World) -> None:
    """Teeth: all in the first, one less in the second, and the difference is its number of records."""
    assert any(
        broken(world, sets | later)
        for sets, answered in first_openings(world)
        for later in second_openings(world, answered, rule=False)
    )
