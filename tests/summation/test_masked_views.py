"""Every combination of views for three, four and five sites: at most one set opens (docs/spec/masked-sum.md, 11.1).

A model of knowledge, without a line of cryptography. The last c sites and the coordinator are the adversary; every honest site of
the cohort is shown one set of counted sites, or none, signs it, and answers it where the certificate allows. What the answers
reveal is counted in shares:

    views --certificate--> answers --rule 7.4--> shares --t of one dealing--> own masks and pair seeds --> sums that open

Every honest site counts as having contributed and every certified answer as read: less would only be less knowledge. Sets of
sites are bit masks. Honest sites are alike, so that of all the views that differ by renaming them one stands for all.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, combinations_with_replacement, product
from math import comb, factorial, prod

import pytest

View = tuple[int, bool]  # the one set that a site was shown, and whether it answered it or only signed; (0, False): shown none
NONE: View = (0, False)


@dataclass(frozen=True)
class World:
    """n sites of which the last c collude, the threshold t, and the rules that hold; without the flags, those of the page."""

    n: int
    t: int
    c: int
    certificate: bool = True  # 8.2: less than the cohort opens only against t signatures
    counted_owners_only: bool = True  # 7.4: of a seed between counted and lost, only the dealing of the counted end is revealed

    @property
    def colluding(self) -> int:
        return (1 << self.n) - (1 << self.n - self.c)

    @property
    def cohorts(self) -> list[int]:
        """All cohorts but for names: the first honest sites, and the first of the colluding."""
        mixed = product(range(self.n - self.c + 1), range(self.c + 1))
        return [(1 << k) - 1 | (1 << m) - 1 << self.n - self.c for k, m in mixed if k + m >= self.t]

    def honest(self, sites: int) -> list[int]:
        return [i for i in range(self.n - self.c) if sites >> i & 1]

    def sets_for(self, site: int, cohort: int) -> list[int]:
        """What the site may be shown (8.2)."""
        return [v for v in subsets(cohort) if v >> site & 1 and v.bit_count() >= self.t]


ALLOWED = [World(n, t, c) for n in (3, 4, 5) for c in range(n) for t in range(c + 2, n + 1) if 2 * t > n + c]
ids = "n{0.n}-t{0.t}-c{0.c}".format


@cache
def subsets(sites: int) -> list[int]:
    return [v for v in range(1, sites + 1) if v & ~sites == 0]


def certified(world: World, cohort: int, v: int, signers: int) -> bool:
    """Whether v may be answered when so many honest sites have signed it: it is the whole cohort, or t sites of it signed."""
    return not world.certificate or v == cohort or signers + (v & world.colluding).bit_count() >= world.t


def possible(world: World, cohort: int, views: tuple[View, ...]) -> bool:
    """Whether everybody who answered could."""
    signers = Counter(v for v, _ in views)
    return all(certified(world, cohort, v, signers[v]) for v, answered in views if answered)


@cache
def opened(world: World, cohort: int, answered: tuple[int, ...]) -> frozenset[int]:
    """The smallest sets of honest sites whose sums become known when these sets were answered, each by one honest site.

    A combination of masked words, with coefficient a_i for site i, is known if every b_i with a_i != 0 is, and if a_i = a_j for
    every pair of honest sites whose seed is not known. So the known sums are made of the components of the graph of unknown
    seeds, those in which every own mask is known.
    """
    needed = world.t - (cohort & world.colluding).bit_count()  # the adversary holds its own shares of every dealing
    honest = world.honest(cohort)

    def pair_known(i: int, j: int) -> bool:
        by_i = sum(v >> i & 1 and not v >> j & 1 for v in answered)
        by_j = sum(v >> j & 1 and not v >> i & 1 for v in answered)
        return max(by_i, by_j) >= needed if world.counted_owners_only else by_i + by_j >= needed

    component = {i: 1 << i for i in honest}
    for i, j in combinations(honest, 2):
        if component[i] != component[j] and not pair_known(i, j):
            joined = component[i] | component[j]
            component |= dict.fromkeys(world.honest(joined), joined)
    own = sum(1 << i for i in honest if sum(v >> i & 1 for v in answered) >= needed)
    return frozenset(sites for sites in component.values() if sites & ~own == 0)


def all_views(world: World, cohort: int) -> Iterator[tuple[int, tuple[View, ...]]]:
    """Every way to show sets to the honest sites of the cohort, one for all that differ by names, with their number."""
    choices: dict[tuple[bool, int], list[list[View]]] = {(False, 0): []}
    for site in world.honest(cohort):
        choices[False, 0].append([NONE])
        for answered, size in product((False, True), range(world.t, cohort.bit_count() + 1)):
            sets = [(v, answered) for v in world.sets_for(site, cohort) if v.bit_count() == size]
            choices.setdefault((answered, size), []).append(sets)
    sites = len(world.honest(cohort))
    for kinds in combinations_with_replacement(choices, sites):
        alike = factorial(sites) // prod(factorial(number) for number in Counter(kinds).values())
        for views in product(*(choices[kind][number] for number, kind in enumerate(kinds))):
            yield alike, views


def answers(views: tuple[View, ...]) -> tuple[int, ...]:
    return tuple(sorted(v for v, answered in views if answered))


def broken(world: World, sets: frozenset[int]) -> bool:
    """Whether two sets opened, or one with fewer than t - c honest sites. (What opens has no other members: those are known.)"""
    return len(sets) > 1 or any(v.bit_count() < world.t - world.c for v in sets)


def attacks(world: World, cohort: int) -> Iterator[tuple[tuple[View, ...], frozenset[int]]]:
    """The views that break the claim, with what they open."""
    for _, views in all_views(world, cohort):
        if possible(world, cohort, views):
            sets = opened(world, cohort, answers(views))
            if broken(world, sets):
                yield views, sets


@pytest.mark.parametrize("world", ALLOWED, ids=ids)
def test_at_most_one_set_opens_and_it_holds_enough_honest_sites(world: World) -> None:
    """The claim itself. The numbers show that nothing was left out: choices of one site to the power of the honest sites."""
    for cohort in world.cohorts:
        seen, opens = 0, 0
        for alike, views in all_views(world, cohort):
            seen += alike
            if not possible(world, cohort, views):
                continue
            sets = opened(world, cohort, answers(views))
            opens += bool(sets)
            assert not broken(world, sets), (cohort, views)
            assert sets <= {v & ~world.colluding for v in answers(views)}, (cohort, views)
        size = cohort.bit_count()
        choices = 1 + 2 * sum(comb(size - 1, others - 1) for others in range(world.t, size + 1))
        assert seen == choices ** len(world.honest(cohort))
        assert opens


def test_every_threshold_of_the_page_was_walked_through() -> None:
    """All n, t and c that section 1.4 allows, and the number of views of the largest world, by hand: 23 choices, 5 sites."""
    assert len(ALLOWED) == 16
    assert sum(alike for alike, _ in all_views(World(5, 3, 0), 0b11111)) == 23**5


@pytest.mark.slow
def test_up_to_five_sites_a_set_opens_only_with_t_minus_c_answers_of_honest_sites() -> None:
    """11.1 as it is written, "so at least t - c honest sites answered V", holds for n = 3, 4, 5."""
    for world in ALLOWED:
        for cohort in world.cohorts:
            for _, views in all_views(world, cohort):
                told = Counter(answers(views))
                if possible(world, cohort, views) and max(told.values(), default=0) < world.t - world.c:
                    assert not opened(world, cohort, answers(views))


@pytest.mark.slow
def test_with_six_sites_answers_for_two_sets_add_up_to_the_sum_of_all_honest_sites() -> None:
    """11.1 says that this "helps with neither set"; with n = 6, t = 4, c = 1 it does, once, and harmlessly.

    A answers U; B to E sign V = U without the colluding F, and two of them answer. Three honest answers and F's own shares make
    four of every own mask, no seed of a pair is needed, and the sum of A to E opens: the honest part of both sets, of which
    neither has t - c = 3 honest answers.
    """
    world, everybody = World(6, 4, 1), 0b111111
    opened_sets = set()
    for cohort in world.cohorts:
        for _, views in all_views(world, cohort):
            if possible(world, cohort, views):
                told = answers(views)
                sets = opened(world, cohort, told)
                assert not broken(world, sets)
                if sets and max(Counter(told).values()) < world.t - world.c:
                    opened_sets.add((cohort, told, sets))
    assert opened_sets == {(everybody, (0b011111, 0b011111, everybody), frozenset({0b011111}))}


# --- Two orders for one sum: two attempts, or one attempt of which the coordinator sent two orders ------------------------------


def after_two_orders(world: World, cohorts: tuple[int, int], shown: tuple[tuple[int, int], ...]) -> frozenset[int]:
    """What opens when each site signs and answers what it was shown in either order (0: nothing), wherever it can.

    The words are the same in both orders and the masks are not, so that what is known is what either order opens. Nobody needs to
    answer the first order after the second: whatever is signed and answered in the first can be so before anybody goes on.
    """
    sets: frozenset[int] = frozenset()
    for number, cohort in enumerate(cohorts):
        asked = [views[number] for site, views in enumerate(shown) if cohort >> site & 1 and views[number]]
        able = (v for v in asked if v & ~cohort == 0 and certified(world, cohort, v, asked.count(v)))
        sets |= opened(world, cohort, tuple(sorted(able)))
    return sets


def all_pairs(world: World, cohorts: tuple[int, int]) -> Iterator[tuple[int, tuple[tuple[int, int], ...]]]:
    """Every way to show each site one set for both orders, one for all that differ by the names of sites in the same cohorts."""
    groups: dict[tuple[int, int], list[int]] = {}
    for site in world.honest(-1):
        groups.setdefault((cohorts[0] >> site & 1, cohorts[1] >> site & 1), []).append(site)
    sizes = range(world.n + 1)

    def sets(site: int, size: int) -> list[int]:
        either = {v for cohort in cohorts if cohort >> site & 1 for v in world.sets_for(site, cohort)}
        return [v for v in sorted({0} | either) if v.bit_count() == size]

    of_groups = product(*(combinations_with_replacement(sizes, len(group)) for group in groups.values()))
    for kinds in of_groups:
        alike = prod(factorial(len(kind)) // prod(map(factorial, Counter(kind).values())) for kind in kinds)
        placed = sorted(at for group, kind in zip(groups.values(), kinds, strict=True) for at in zip(group, kind, strict=True))
        for shown in product(*(sets(site, size) for site, size in placed)):
            yield alike, tuple((v, v) for v in shown)


def pairs_of_cohorts(world: World) -> Iterator[tuple[int, int]]:
    """The first but for names, the second any."""
    for first in world.cohorts:
        yield from ((first, second) for second in subsets((1 << world.n) - 1) if second.bit_count() >= world.t)


@pytest.mark.parametrize("world", [pytest.param(w, marks=[pytest.mark.slow] * (w == World(5, 3, 0))) for w in ALLOWED], ids=ids)
def test_two_orders_for_one_sum_open_at_most_one_set(world: World) -> None:
    """Another attempt, cohort or epoch must not be a second chance: words are the same, and two totals would be subtracted."""
    for cohorts in pairs_of_cohorts(world):
        seen = 0
        for alike, shown in all_pairs(world, cohorts):
            seen += alike
            assert not broken(world, after_two_orders(world, cohorts, shown)), (cohorts, shown)
        assert seen == prod(1 + number_of_sets(world, cohorts, site) for site in world.honest(-1))


def number_of_sets(world: World, cohorts: tuple[int, int], site: int) -> int:
    """How many sets a site may be shown in one order or the other: those of each, less those of both."""

    def within(sites: int) -> int:
        size = sites.bit_count() if sites >> site & 1 else 0
        return sum(comb(size - 1, others - 1) for others in range(world.t, size + 1))

    return within(cohorts[0]) + within(cohorts[1]) - within(cohorts[0] & cohorts[1])


@pytest.mark.parametrize("world", [w for w in ALLOWED if w.n == 3], ids=ids)
def test_two_orders_open_no_more_to_those_who_ask_less(world: World) -> None:
    """For three sites every way to sign only, to answer or to ask nothing in either order, instead of all that can be asked."""
    for cohorts in pairs_of_cohorts(world):
        did = [(0, 0)] + [(x, y) for x, y in product((0, 1, 2), repeat=2) if x or y]  # 0: nothing, 1: signed, 2: answered
        choices = [[(0, did[0])] + [(v, done) for v in either(world, cohorts, i) for done in did[1:]] for i in world.honest(-1)]
        for views in product(*choices):
            of_orders = [tuple((v, done[k] == 2) for v, done in views if done[k]) for k in (0, 1)]
            members = all(v & ~cohorts[k] == 0 for k in (0, 1) for v, done in views if done[k])
            if members and all(possible(world, cohorts[k], of_orders[k]) for k in (0, 1)):
                sets = frozenset().union(*(opened(world, cohorts[k], answers(of_orders[k])) for k in (0, 1)))
                assert not broken(world, sets)
                most = after_two_orders(world, cohorts, tuple((v, v) for v, _ in views))
                assert sets <= most


def either(world: World, cohorts: tuple[int, int], site: int) -> list[int]:
    return sorted({v for cohort in cohorts if cohort >> site & 1 for v in world.sets_for(site, cohort)})


# --- Teeth: each rule, switched off ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_the_certificate_five_sites_open_a_sum_of_two() -> None:
    """The attack of 11.2: two sites in all five views, the other three in no more than two of them."""
    world = World(5, 3, 0, certificate=False)
    openings = [(views, sets) for views, sets in attacks(world, 0b11111) if any(v.bit_count() < 3 for v in sets)]
    assert openings
    for views, sets in openings:
        told = answers(views)
        (pair,) = sets
        assert [sum(v >> i & 1 for v in told) for i in range(5) if pair >> i & 1] == [5, 5]
        assert all(sum(v >> i & 1 for v in told) <= 2 for i in range(5) if not pair >> i & 1)


def test_up_to_five_sites_only_that_world_needs_the_certificate() -> None:
    """So small tests of the code cannot show that the certificate is checked: the rule needs a test of its own."""
    weaker = [replace(world, certificate=False) for world in ALLOWED]
    assert [w for w in weaker if any(True for u in w.cohorts for _ in attacks(w, u))] == [World(5, 3, 0, certificate=False)]


def test_seeds_of_both_ends_and_no_certificate_strip_each_of_three_sites() -> None:
    """The three views of 11.2; with the dealings of the counted end only, as 7.4 has it, they open the sum of all three."""
    views = ((0b011, True), (0b110, True), (0b101, True))  # A is told {A, B}, B {B, C}, C {A, C}
    world = World(3, 2, 0, certificate=False, counted_owners_only=False)
    assert (views, frozenset({0b001, 0b010, 0b100})) in attacks(world, 0b111)
    assert opened(replace(world, counted_owners_only=True), 0b111, answers(views)) == {0b111}


TOO_SMALL = [World(n, t, c) for n in (3, 4, 5) for c in range(n) for t in range(c + 1, n + 1) if 2 * t <= n + c]


@pytest.mark.parametrize("world", TOO_SMALL, ids=ids)
def test_a_threshold_too_small_opens_two_sets_or_too_few_sites(world: World) -> None:
    """2 t <= n + c, with the certificate: the halves of the honest sites certify and open a set each."""
    assert any(len(sets) > 1 for cohort in world.cohorts for _, sets in attacks(world, cohort))


@pytest.mark.parametrize("world", [World(n, n, n - 1) for n in (3, 4, 5)], ids=ids)
def test_a_threshold_of_one_honest_site_opens_a_single_contribution(world: World) -> None:
    """t - c = 1 satisfies 2 t > n + c here, and the total is one hospital's words: why 1.4 also asks for t - c >= 2."""
    everybody = (1 << world.n) - 1
    assert 2 * world.t > world.n + world.c
    assert opened(world, everybody, (everybody,)) == {0b1}


def test_one_set_for_each_attempt_instead_of_each_sum_opens_two() -> None:
    """Why 8.2 counts over all attempts: all three in the first, two of them in the second, and the third is the difference."""
    shown = ((0b111, 0b011), (0b111, 0b011), (0b111, 0))
    assert after_two_orders(World(3, 2, 0), (0b111, 0b111), shown) == {0b111, 0b011}


@pytest.mark.parametrize("world", [w for w in ALLOWED if w.n < 5 or w.t - w.c < 4], ids=ids)
def test_one_site_that_forgot_its_set_opens_a_second_only_where_2t_is_n_plus_c_plus_1(world: World) -> None:
    """Why 3.6 matters: a restored site answers two sets, and where the rule of 1.4 has nothing to spare, two sets open.

    So a new epoch for a site without memory has to hold somebody else who remembers, which a roster of t need not: a roster of
    n + c + 2 - t always does.
    """

    def forgetful(cohorts: tuple[int, int]) -> Iterator[tuple[tuple[int, int], ...]]:
        first, second = ([0, *(world.sets_for(0, cohort) if cohort & 1 else [])] for cohort in cohorts)
        others = ([(v, v) for v in (0, *either(world, cohorts, site))] for site in world.honest(-1)[1:])
        return product(product(first, second), *others)

    any_broken = any(broken(world, after_two_orders(world, u, shown)) for u in pairs_of_cohorts(world) for shown in forgetful(u))
    assert any_broken == (2 * world.t == world.n + world.c + 1)


def test_three_sites_and_a_restored_one_show_the_difference_of_the_other_two() -> None:
    """The smallest case: A and B open {A, B}; A is restored; a roster of A and C remembers nothing; A and C open {A, C}."""
    shown = ((0b011, 0b101), (0b011, 0b011), (0b101, 0b101))
    assert after_two_orders(World(3, 2, 0), (0b011, 0b101), shown) == {0b011, 0b101}
