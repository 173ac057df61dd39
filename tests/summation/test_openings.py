"""Two openings of one study: what a coordinator learns of both is one set (docs/spec/masked-sum.md, 8.5 and 11.8).

The model of `test_masked_views`, with two names in place of one. Counts of an opening are the same in each, so that two opened
sets would show the number of records of a hospital. A site that only signed in the first may speak for another set in the second,
since the first may never open; one that answered speaks for the same set.
"""

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


def second_openings(world: World, answered: Answers, *, rule: bool) -> Iterator[frozenset[int]]:
    """What opens in a second one, over any cohort, where each site answers all that it may."""
    for cohort in subsets((1 << world.n) - 1):
        if cohort.bit_count() < world.t:
            continue
        choices = [
            [before] if before and rule else [0, *(world.sets_for(site, cohort) if cohort >> site & 1 else [])]
            for site, before in enumerate(answered)
        ]
        for shown in product(*choices):
            asked = [v for site, v in enumerate(shown) if cohort >> site & 1 and v and v & ~cohort == 0]
            able = (v for v in asked if certified(world, cohort, v, asked.count(v)))
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


@pytest.mark.parametrize("world", [World(3, 2, 0), World(4, 3, 1)], ids=ids)
def test_without_the_rule_the_second_opening_shows_one_hospital(world: World) -> None:
    """Teeth: all in the first, one less in the second, and the difference is its number of records."""
    assert any(
        broken(world, sets | later)
        for sets, answered in first_openings(world)
        for later in second_openings(world, answered, rule=False)
    )
