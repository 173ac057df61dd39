"""A model's score becomes a probability that is true at one hospital: maps with none, one, two or many numbers.

identity     p = sigmoid(z)
temperature  p = sigmoid(a z)                      C. Guo et al., ICML 2017
platt        p = sigmoid(a z + b)                  J. Platt, Advances in Large Margin Classifiers (2000)
isotonic     p rises with z, straight lines between knots     B. Zadrozny and C. Elkan, KDD 2002
"""

from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from wardround.study.sections.section import Section
from wardround.tasks.binary.score_sums import probability
from wardround.tasks.protocol import Floats

MapName = Literal["identity", "temperature", "platt", "isotonic"]


class LocalMap(Section):
    """From scores before the sigmoid to probabilities; never falling.

    >>> LocalMap(name="platt", slope=2.0, offset=-1.0).probabilities(np.array([0.5])).tolist()
    [0.5]
    """

    name: MapName = Field(default="identity", description="Which of the maps it is.")
    slope: float = Field(default=1.0, ge=0, description="Of temperature and platt; 1 elsewhere.")
    offset: float = Field(default=0.0, description="Of platt; 0 elsewhere.")
    knots: tuple[tuple[float, float], ...] = Field(default=(), description="Of isotonic: scores and their probabilities, rising.")

    @model_validator(mode="after")
    def _numbers_belong_to_the_map(self) -> "LocalMap":
        if (self.slope != 1 and self.name not in ("temperature", "platt")) or (self.offset != 0 and self.name != "platt"):
            raise ValueError(f"{self.name} has no slope or offset of its own")
        if bool(self.knots) != (self.name == "isotonic"):
            raise ValueError("knots are of isotonic, and it has some")
        if any(not (one[0] < other[0] and one[1] <= other[1]) for one, other in pairwise(self.knots)):
            raise ValueError("knots rise")
        if any(not 0 <= knot[1] <= 1 for knot in self.knots):
            raise ValueError("a knot's probability is from 0 to 1")
        return self

    def probabilities(self, scores: NDArray[np.floating]) -> Floats:
        """Of scores (n,)."""
        values = np.asarray(scores, np.float64)
        if self.knots:
            x, y = np.array(self.knots).T
            return np.asarray(np.interp(values, x, y), np.float64)
        return probability(self.slope * values + self.offset)

    def scores(self, scores: NDArray[np.floating]) -> Floats:
        """The calibrated probabilities as scores, for sums; those of 0 and 1 are large and finite."""
        if not self.knots:
            return np.asarray(self.slope * np.asarray(scores, np.float64) + self.offset)
        chance = np.clip(self.probabilities(scores), 1e-12, 1 - 1e-12)
        return np.asarray(np.log(chance) - np.log1p(-chance))
