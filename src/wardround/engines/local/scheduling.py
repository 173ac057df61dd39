"""Whose turn it is: in which order sites start, and how many work at a time on the cores there are.

Longest first fills the cores best (Graham, SIAM J. Appl. Math. 1969, LPT). Where that leaves a core idle for long, as with three
equal sites on two cores, all work at once and the operating system divides the cores between them.
"""

from collections.abc import Mapping, Sequence

from wardround.values.ids import SiteId

WASTE = 1.15
"""Longest-first may take this many times what evenly filled cores would, before sharing them is the better way."""


BRIEF = 0.1
"""An exchange of less than this part of the last one's time is another kind of work, such as a signature or a share of a masked
sum, and says nothing about how long the next training takes."""


def next_duration(last_s: float, took_s: float) -> float:
    """How long a site will take, after an exchange that took `took_s`. last_s: what was expected before it; 0 for nothing."""
    return took_s if took_s >= BRIEF * last_s else last_s


def starting_order(
    sites: Sequence[SiteId], seconds: Mapping[SiteId, float], cores: int, at_once: int
) -> tuple[list[SiteId], int]:
    """The order to start in, and how many at a time (1 to at_once). seconds: what each site took the last time, if it is known.

    >>> starting_order([SiteId("a"), SiteId("b"), SiteId("c")], {SiteId("a"): 2, SiteId("b"): 3, SiteId("c"): 5}, 2, 3)
    (['c', 'b', 'a'], 2)
    >>> starting_order([SiteId("a"), SiteId("b"), SiteId("c")], {SiteId("a"): 1, SiteId("b"): 1, SiteId("c"): 1}, 2, 3)
    (['a', 'b', 'c'], 3)
    """
    order = sorted(sites, key=lambda site: (-seconds.get(site, 0.0), site))
    if at_once <= cores or not all(site in seconds for site in sites):
        return order, at_once
    loads = [0.0] * cores
    for site in order:
        loads[loads.index(min(loads))] += seconds[site]
    even = max(sum(loads) / cores, seconds[order[0]])
    return order, cores if max(loads) <= WASTE * even else at_once
