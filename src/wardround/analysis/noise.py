"""What noise on sums does to figures that are made of them: how far they spread, and what a reader is told.

The spread is found by adding more noise of the same size, drawn from a fixed seed: the totals are public by then, so that the
draws are nobody's secret, and a resumed run gets the same intervals.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wardround.study.declaration import Study

Floats = NDArray[np.float64]
DRAWS = 200
_SEED = 2_026


def spread_of(figures: Callable[[Floats], Floats], sums: Floats, deviation: float) -> Floats:
    """(DRAWS, k): the k figures of sums (any shape) with more noise of that standard deviation on each number."""
    generator = np.random.default_rng(_SEED)
    return np.stack([figures(sums + generator.normal(0.0, deviation, sums.shape)) for _ in range(DRAWS if deviation > 0 else 2)])


def variances_of(figures: Callable[[Floats], Floats], sums: Floats, deviation: float) -> Floats:
    """(k,), what the noise adds to the variance of each figure. A draw in which a figure is not there says nothing of it."""
    drawn = spread_of(figures, sums, deviation)
    there = np.isfinite(drawn)
    counts = there.sum(axis=0)
    means = np.where(there, drawn, 0.0).sum(axis=0) / np.maximum(counts, 1)
    squares = np.where(there, (np.where(there, drawn, 0.0) - means) ** 2, 0.0).sum(axis=0)
    return np.where(counts > 1, squares / np.maximum(counts - 1, 1), np.nan)


def privacy_note(study: Study) -> str:
    """What a private study promises, as its page says it."""
    privacy = study.privacy
    if privacy.noise_multiplier == 0:
        return "No noise was added, and nothing is promised: privacy.noise_multiplier is 0."
    bound = "its noise multiplier decides epsilon" if privacy.epsilon is None else f"epsilon at most {privacy.epsilon:g}"
    return (
        f"Differentially private for one patient: {bound}, at delta {privacy.delta:g}, over the whole study. Of a patient with "
        "several rows the first one counts."
    )
