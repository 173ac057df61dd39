"""What both ends of a sum know beforehand: names, shapes, bounds and words. It also bounds the size of every message."""

from dataclasses import dataclass, field

from wardround.privacy.fixed_point import Grid, WordBits
from wardround.values.tree import Shapes, size_of

COUNT_LIMIT = 2**52  # per site and count; 10,000 sites times this overflows 63 bits, so `Frame` checks the product


@dataclass(frozen=True)
class Frame:
    """real: names and shapes of the values of each part. counts: names and shapes of the exact counts. sites: K, the cohort's
    size. weight: N, the total weight of all sites, >= 1 where there are real parts. clip: bound of one value (see Grid).
    max_update_norm: largest Euclidean length of one site's change of a part from its reference; None for no limit."""

    sites: int
    real: dict[str, Shapes] = field(default_factory=dict)
    counts: Shapes = field(default_factory=dict)
    weight: int = 0
    clip: float = 4.0
    bits: WordBits = 32
    max_update_norm: float | None = None

    def __post_init__(self) -> None:
        if "counts" in self.real:
            raise ValueError('a real part may not be called "counts"')
        if self.real and self.weight < 1:
            raise ValueError("real parts need the total weight of all sites")
        _ = self.grid  # refuses bounds, words and numbers of sites that do not fit

    @property
    def grid(self) -> Grid:
        return Grid(self.clip, self.sites, self.bits)

    @property
    def count_limit(self) -> int:
        return min(COUNT_LIMIT, (2**63 - 1) // self.sites)

    @property
    def layout(self) -> dict[str, tuple[str, int]]:
        """Message arrays: name -> (dtype, length)."""
        layout = {f"{part}/words": (f"uint{self.bits}", size_of(shapes)) for part, shapes in sorted(self.real.items())}
        if self.counts:
            layout["counts/words"] = ("uint64", size_of(self.counts))
        return layout
