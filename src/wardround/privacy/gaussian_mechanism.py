"""The mechanism of a noised sum: bound, round, add one share of integer noise, wrap. The grid is the noise's own (`NoiseGrid`).

    site:         patients' clipped gradients, summed; or (w_k - reference), shortened to the clip norm  ->  words
    coordinator:  total words  ->  sum of the values, and the noise of all shares

Guarantee: that of the Gaussian mechanism with the grid's multiplier, for one patient (or one site) more or less in the sum,
against whoever knows all shares but `noise_grid.honest` of them. Nothing else of the contribution leaves: no weight, no count.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.privacy.noise_grid import NoiseGrid
from wardround.values.blockwise import add_weighted
from wardround.values.contribution import Contribution
from wardround.values.tree import Bundle, Shapes, Tree, flatten, size_of, unflatten


@dataclass(frozen=True)
class NoisedFrame:
    """What both ends know of a noised sum. part, shapes: the one kind of values in it. weight: the public number that the values
    of all sites stand for. shortens: whether a site's own values are one unit, to be shortened to the clip norm."""

    part: str
    shapes: Shapes
    noise_grid: NoiseGrid
    weight: int
    shortens: bool

    def __post_init__(self) -> None:
        if size_of(self.shapes) != self.noise_grid.size:
            raise ValueError(f"a grid for {self.noise_grid.size} values does not hold {size_of(self.shapes)}")

    @property
    def words(self) -> str:
        return f"{self.part}/words"

    @property
    def layout(self) -> dict[str, tuple[str, int]]:
        """Message arrays: name -> (dtype, length)."""
        return {self.words: (f"uint{self.noise_grid.bits}", self.noise_grid.size)}


def protect_noised(contribution: Contribution, reference: Bundle, frame: NoisedFrame) -> Tree:
    """The words of one contribution. Its weight and its counts stay at home.

    Values that are not finite count as nothing: a refusal would say something of the data that nobody paid for."""
    vector = flatten(contribution.values[frame.part])
    if frame.part in reference:
        # A site's values come multiplied by its weight; under privacy every site weighs the same.
        vector = vector / contribution.weight - flatten(reference[frame.part])
    if not np.isfinite(vector).all():
        vector = np.zeros_like(vector)
    if frame.shortens:
        vector = shortened(vector, frame.noise_grid.clip_norm)
    return {frame.words: frame.noise_grid.encode(vector)}


def reveal_noised(total: Tree, reference: Bundle, frame: NoisedFrame, weight: int) -> Contribution:
    """The sum of contributions and noise that the total of words stands for. weight: what those who were counted stand for."""
    sums = unflatten(frame.noise_grid.decode(total[frame.words]), frame.shapes)
    for name, array in reference.get(frame.part, {}).items():
        add_weighted(sums[name], array, weight)
    return Contribution({frame.part: sums}, weight)


def shortened(vector: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    """The vector, scaled down where it is longer. The margin covers the rounding of the length and of the product, so that the
    result is no longer than `max_update_norm` in exact arithmetic too."""
    length = float(np.linalg.norm(vector))
    return vector if length <= longest * (1 - 2.0**-30) else vector * (longest / length * (1 - 2.0**-30))
