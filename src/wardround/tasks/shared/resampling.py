"""Intervals by drawing anew from counts: a seeded multinomial bootstrap, shifted so that its mean is the estimate."""

import hashlib
import math

import numpy as np

from wardround.tasks.intervals import UNDEFINED
from wardround.tasks.protocol import Floats, Interval
from wardround.tasks.sums import Counts
from wardround.values.randomness import generator


def drawn_again(counts: Counts, replicates: int) -> Counts:
    """(replicates, *shape): as many records drawn from the counts' own shares. Seeded by the counts: the same for the same."""
    flat = counts.reshape(-1)
    rng = generator("bootstrap", hashlib.sha256(np.ascontiguousarray(flat).astype("<i8").tobytes()).hexdigest())
    filled = np.flatnonzero(flat)
    drawn = np.zeros((replicates, flat.size), np.int64)
    if len(filled):
        drawn[:, filled] = rng.multinomial(int(flat.sum()), flat[filled] / flat.sum(), size=replicates)
    return drawn.reshape(replicates, *counts.shape)


def ends_of(replicates: Floats, estimate: float, low: float = 0.0, high: float = 1.0) -> Interval:
    """The middle 95 % of an estimate's replicates, within [low, high]. Replicates that are no number say nothing."""
    kept = replicates[np.isfinite(replicates)]
    if math.isnan(estimate) or not len(kept):
        return UNDEFINED
    down, up = np.clip(np.percentile(kept, (2.5, 97.5)) - kept.mean() + estimate, low, high)
    return float(min(down, estimate)), float(max(up, estimate))
