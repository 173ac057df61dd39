"""Gradient canaries under the shared noise: patients whose clipped gradient is one axis, at its full length.

    canaries --dealt to the honest sites, drawn by Poisson--> sums of axes --protect--> words --step--> total
                                                          colluding sites' words --taken out--> total --reveal--> views

The words, their sum and the decoding are the study's own (`privacy.mechanism`, `summation.plain`). The masks of the masked sum
cancel in the total, which is all that its coordinator opens, so that the total of words in the clear is the same view.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.crypto.secret_draws import SecretDraws
from wardround.privacy.gaussian_mechanism import NoisedFrame
from wardround.privacy.mechanism import protect, reveal
from wardround.privacy.noise_grid import NoiseGrid
from wardround.summation.plain import Collecting, Replies, SumOpened, step
from wardround.values.contribution import Contribution
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree

PART, VALUES = "gradient", "all"


@dataclass(frozen=True)
class SharedNoise:
    """A noised sum of the fewest sites that may be counted, the first few of which work for the adversary. honest: the others,
    as many as the grid's `honest`."""

    noise_grid: NoiseGrid
    colluding: int = 0

    @property
    def sites(self) -> tuple[SiteId, ...]:
        return tuple(SiteId(f"site-{number:03}") for number in range(self.colluding + self.noise_grid.honest))

    @property
    def honest(self) -> tuple[SiteId, ...]:
        return self.sites[self.colluding :]

    @property
    def frame(self) -> NoisedFrame:
        return NoisedFrame(PART, {VALUES: (self.noise_grid.size,)}, self.noise_grid, 1, shortens=False)

    def seen(self, sums: Mapping[SiteId, NDArray[np.float64]]) -> NDArray[np.float64]:
        """What the coordinator and the colluding sites make of one opened total. sums: by honest site, before any noise."""
        words = self.words(sums)
        opened, _ = step(Collecting(self.sites, self.frame.layout, len(self.sites)), Replies(words))
        if not isinstance(opened, SumOpened):
            raise EngineError("the audited sum did not open")
        return self.unveiled(opened.total, words)

    def words(self, sums: Mapping[SiteId, NDArray[np.float64]]) -> dict[SiteId, Tree]:
        """What each site sends, before any mask."""
        return {site: _words(sums.get(site, np.zeros(self.noise_grid.size)), self.frame) for site in self.sites}

    def unveiled(self, total: Tree, words: Mapping[SiteId, Tree]) -> NDArray[np.float64]:
        """An opened total without the words of the colluding sites, as values."""
        name = self.frame.words
        rest = total[name].copy()
        for site in self.sites[: self.colluding]:
            rest -= words[site][name]
        return np.asarray(reveal({name: rest}, {}, self.frame, 1).values[PART][VALUES])


@dataclass(frozen=True)
class GradientCanaries:
    """As many canaries as the grid has values: canary i is C times axis i, at an honest site that it always stays at."""

    noise: SharedNoise
    steps: int = 1
    rate: float = 1.0

    @property
    def size(self) -> int:
        return self.noise.noise_grid.size

    def __call__(self, included: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
        clip_norm, honest = self.noise.noise_grid.clip_norm, self.noise.honest
        for number in range(self.steps):
            sign = 1.0 if number % 2 == 0 else -1.0
            drawn = sign * clip_norm * (included & SecretDraws().chosen(self.size, self.rate))
            sums = {site: np.where(np.arange(self.size) % len(honest) == at, drawn, 0.0) for at, site in enumerate(honest)}
            yield sign * self.noise.seen(sums) / clip_norm


def _words(sums: NDArray[np.float64], frame: NoisedFrame) -> Tree:
    return protect(Contribution({PART: {VALUES: sums}}, 1), {}, frame, _no_key)


def _no_key(part: str) -> bytes:
    raise AssertionError(f"a noised sum rounds {part} with no key")
