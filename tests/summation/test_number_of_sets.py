"""How many sets a coordinator can have opened over a whole study: each site counts what any site saw.

docs/spec/masked-sum.md, 11.7. A model without a line of cryptography. A site remembers (k, S): the number of changes and the set
when it spoke last. To open a set takes t - c honest sites; the coordinator and the colluding ones say what they like. Each of
those read the same order, so that all of them speak with the same number k, which none of them may find too small:

    k >= k_i, and k > k_i where the set is another than S_i         k <= the changes that the study allows

Of all numbers the smallest leaves most for later, and more honest sites than t - c would only remember more.
"""

from collections.abc import Callable
from itertools import combinations

import pytest

from .test_masked_views import ALLOWED, World, ids

Memory = tuple[tuple[int, int], ...]  # (k, S) of each honest site; (0, 0) before it spoke
Rule = Callable[[Memory, tuple[int, ...], int], Memory]


def together(memory: Memory, speakers: tuple[int, ...], opened: int) -> Memory:
    """What the order says of the changes binds everybody who reads it."""
    number = max(memory[site][0] + (memory[site][1] not in (0, opened)) for site in speakers)
    return tuple((number, opened) if site in speakers else one for site, one in enumerate(memory))


def each_alone(memory: Memory, speakers: tuple[int, ...], opened: int) -> Memory:
    """Each site counts the changes that it saw itself, as before."""
    after = list(memory)
    for site in speakers:
        number, last = memory[site]
        after[site] = number + (last not in (0, opened)), opened
    return tuple(after)


def most_sets(world: World, changes: int, rule: Rule) -> int:
    """The largest number of different sets that can be opened, by walking through every memory that can be reached."""
    honest = world.n - world.c
    all_sets = [opened for opened in range(1 << world.n) if opened.bit_count() >= world.t]
    moves = [
        (number, opened, speakers)
        for number, opened in enumerate(all_sets)
        for speakers in combinations([site for site in range(honest) if opened >> site & 1], world.t - world.c)
    ]
    start: tuple[Memory, int] = (((0, 0),) * honest, 0)
    reached, waiting, most = {start}, [start], 0
    while waiting:
        memory, seen = waiting.pop()
        most = max(most, seen.bit_count())
        for number, opened, speakers in moves:
            after = rule(memory, speakers, opened)
            following = after, seen | 1 << number
            if max(k for k, _ in after) <= changes and following not in reached:
                reached.add(following)
                waiting.append(following)
    return most


WALKS = [(world, changes) for world in ALLOWED for changes in (0, 1, 2, 3)]
LONGEST = (World(5, 3, 0), 3)
"""293,857 memories: half a minute."""


@pytest.mark.permission
@pytest.mark.parametrize(
    ("world", "changes"),
    [
        pytest.param(*walk, marks=[pytest.mark.slow, pytest.mark.many] * (walk == LONGEST), id=f"{ids(walk[0])}-{walk[1]}")
        for walk in WALKS
    ],
)
def test_a_study_opens_at_most_one_set_more_than_it_allows_changes(world: World, changes: int) -> None:
    """The number of the page: max_set_changes + 1 sets, seen together, or all there are."""
    sets = sum(1 for opened in range(1 << world.n) if opened.bit_count() >= world.t)
    assert most_sets(world, changes, together) == min(changes + 1, sets)


def test_counted_by_each_site_alone_it_would_be_more() -> None:
    """Teeth: four hospitals, three needed, one change allowed. Two honest ones of three need not see what the third saw."""
    world = World(4, 3, 1)
    assert (most_sets(world, 1, each_alone), most_sets(world, 1, together)) == (3, 2)


@pytest.mark.permission
@pytest.mark.parametrize("world", ALLOWED, ids=ids)
def test_any_two_openings_have_an_honest_site_in_common(world: World) -> None:
    """So two opened sets with the same number of changes are the same set, for every n, t and c that 1.4 allows: the site that
    spoke in both would have asked for a larger number. Numbers run from 0 to max_set_changes."""
    honest = range(world.n - world.c)
    for one in combinations(honest, world.t - world.c):
        for other in combinations(honest, world.t - world.c):
            assert set(one) & set(other)
