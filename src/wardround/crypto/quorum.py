"""How many sites a masked sum needs, so that no two sets of sites can both be opened (docs/spec/masked-sum.md, 1.4 and 11.1)."""

from dataclasses import dataclass

from wardround.values.errors import StudyError
from wardround.values.ids import SiteId

LARGEST = 250  # every site makes a share of every pair's seed to every site: 36 n^2 bytes each


def smallest_threshold(sites: int, collusion: int) -> int:
    """The smallest t with 2 t > n + c and t - c >= 2. It may be larger than n: then these sites cannot do it.

    >>> [smallest_threshold(n, 1) for n in (2, 3, 4, 5, 10)]
    [3, 3, 3, 4, 6]
    """
    return max((sites + collusion) // 2 + 1, collusion + 2)


@dataclass(frozen=True)
class Quorum:
    """sites: the study's approved list, sorted. threshold: t, contributions and answers that open a sum. collusion: c, sites that
    may work together with the coordinator. Raises StudyError where 2 t > n + c, t - c >= 2 or t <= n does not hold."""

    sites: tuple[SiteId, ...]
    threshold: int
    collusion: int = 1

    def __post_init__(self) -> None:
        n, t, c = len(self.sites), self.threshold, self.collusion
        if list(self.sites) != sorted(set(self.sites)):
            raise ValueError("the approved sites must be sorted and hold no name twice")
        if n > LARGEST:
            raise StudyError("Too many sites for one masked sum", expected=f"at most {LARGEST}", found=str(n))
        if smallest_threshold(n, c) > n:
            raise StudyError(
                f"{n} sites cannot hide one contribution from the coordinator together with {c} of them",
                expected=f"at least {_fewest_sites(c)} sites for summation.collusion = {c}",
                found=f"{n} ({', '.join(self.sites[:5])})",
                hint=_mend(n),
            )
        if not smallest_threshold(n, c) <= t <= n:
            raise StudyError(
                "The threshold does not protect the sites",
                expected=f"{smallest_threshold(n, c)} to {n} for {n} sites and summation.collusion = {c}",
                found=f"summation.threshold = {t}",
                hint="leave summation.threshold out for the smallest that protects",
            )

    def point(self, site: SiteId) -> int:
        """Where the site's shares lie: its place in the list, from 1."""
        return self.sites.index(site) + 1

    @property
    def witnesses(self) -> int:
        """Signatures, its own among them, without which a site that may have forgotten what it said does not speak: at most
        n - t honest sites did not answer with it then, and c lie, so one who did is among the signers (spec, 3.6)."""
        return max(self.threshold, len(self.sites) + self.collusion + 2 - self.threshold)

    @property
    def losses(self) -> int:
        """How many sites a sum survives without."""
        return len(self.sites) - self.threshold


def _fewest_sites(collusion: int) -> int:
    return next(n for n in range(2, LARGEST) if smallest_threshold(n, collusion) <= n)


def _mend(sites: int) -> str:
    if sites < 2:
        return 'one site has nobody to hide among: set summation.mode = "plain"'
    if sites == 2:
        return (
            "with two sites each can take its own part from the sum and has the other's; if that is accepted, set "
            'summation.collusion = 0 (the coordinator still sees only the sum), or summation.mode = "plain"'
        )
    return "take more sites or lower summation.collusion"
