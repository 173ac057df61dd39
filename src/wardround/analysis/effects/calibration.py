"""How well predicted effects are calibrated: average effects by group of the prediction, and the slope of effects on predictions.

    ranked: counts of predicted effects in public cells --> groups of about the same size, none with few patients
    grouped: contrasts of scores by group --> the effect in each group

V. Chernozhukov, M. Demirer, E. Duflo, I. Fernandez-Val, NBER 24678 (2018): sorted group effects and the best linear predictor.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from wardround.analysis.effects.learners import LEARNERS
from wardround.analysis.effects.rows import EffectFrame, EffectRows, Floats, Integers, Order, Sums
from wardround.analysis.effects.rules import judged_order, with_effects
from wardround.privacy.bounded_arrays import Quantity

CELLS = 40
"""Cells that predicted effects are counted in, between three deviations below their mean and above; the outer two are open."""
GROUPS = 5
FARTHEST = 16.0
"""Deviations from the mean beyond which a predicted effect counts as being there, in the error of the slope."""


def ranked_order(frame: EffectFrame) -> dict[str, tuple[int, ...]]:
    """kinds: the learner of each arm. grid: first edge and width of its cells. slopes: as in `Slopes`."""
    others = len(frame.arms) - 1
    return {**judged_order(frame), "kinds": (others,), "grid": (others, 2), "slopes": (others, 4)}


def ranked_bounds(frame: EffectFrame) -> dict[str, Quantity]:
    others = len(frame.arms) - 1
    return {
        "cells": Quantity((others, CELLS)),
        "slope_squares": Quantity((others,), frame.largest_site * (2 * frame.score_limit * FARTHEST) ** 2),
    }


def ranked_sums(rows: EffectRows, order: Order, frame: EffectFrame) -> Sums:
    """Counts of predicted effects by cell, and the sum that the slope's robust error needs."""
    every, effects = with_effects(rows, order, frame)
    others = len(frame.arms) - 1
    cells, squares = np.zeros((others, CELLS), np.int64), np.zeros(others)
    for other in range(others):
        own = _chosen(effects, order, other)[every.kept]
        cells[other] = np.bincount(_cells_of(own, order["grid"][other]), minlength=CELLS)
        mean, deviation, intercept, slope = order["slopes"][other]
        away, limit = np.clip((own - mean) / deviation, -FARTHEST, FARTHEST), 2 * frame.score_limit
        left = np.clip(every.contrasts[every.kept, other] - intercept - slope * (own - mean), -limit, limit)
        squares[other] = np.sum(np.nan_to_num(left * away) ** 2)
    return {"cells": cells, "slope_squares": squares}


def _chosen(effects: Floats, order: Order, other: int) -> Floats:
    kind = int(np.clip(np.nan_to_num(order["kinds"][other]), 0, len(LEARNERS) - 1))
    return np.asarray(effects[kind, :, other])


def _cells_of(effects: Floats, grid: Floats) -> Integers:
    first, width = grid
    at = np.nan_to_num((effects - first) / width, nan=0.0, posinf=CELLS, neginf=0.0)
    return np.asarray(np.clip(np.floor(at), 0, CELLS - 1).astype(np.int64))


@dataclass(frozen=True)
class Slopes:
    """Contrasts on predicted effects. values (a - 1, 4): mean and deviation of effects, mean contrast, slope. n: patients."""

    values: Floats
    n: int

    @classmethod
    def of(cls, judged: Order, kinds: Integers, n: int) -> "Slopes":
        others = np.arange(len(kinds))
        effects, squares = judged["effects"][kinds, others] / n, judged["effect_squares"][kinds, others]
        contrasts = judged["contrasts"] / n
        spread = np.maximum(squares - n * effects**2, 0.0)
        shared = judged["contrast_effects"][kinds, others] - n * effects * contrasts
        varies = spread > 1e-9 * np.maximum(squares, 1e-300)
        slopes = np.where(varies, shared / np.where(varies, spread, 1.0), 0.0)
        deviations = np.where(varies, np.sqrt(spread / n), 0.0)
        return cls(np.stack([effects, deviations, contrasts, slopes], axis=1), n)

    def grid(self) -> Floats:
        """The first edge and the width of the cells (a - 1, 2)."""
        deviation = self.values[:, 1]
        width = np.where(deviation > 0, 6 * deviation / CELLS, 1.0)
        return np.stack([self.values[:, 0] - width * CELLS / 2, width], axis=1)


def group_edges(cells: Integers, fewest: int, groups: int = GROUPS) -> tuple[int, ...]:
    """Where groups of cells begin and end, of about the same number of patients, none with fewer than `fewest`.

    >>> group_edges(np.array([5, 5, 5, 5]), fewest=5, groups=2)
    (0, 2, 4)
    """
    total, edges, begun = int(cells.sum()), [0], 0
    counted = np.cumsum(cells)
    for at in range(len(cells) - 1):
        reached = counted[at] >= total * len(edges) / groups
        if reached and counted[at] - begun >= fewest and total - counted[at] >= fewest and len(edges) < groups:
            edges.append(at + 1)
            begun = int(counted[at])
    return (*edges, len(cells))


def grouped_order(frame: EffectFrame) -> dict[str, tuple[int, ...]]:
    """edges: the first cells of the groups, and the last one's end; groups that are not there are empty."""
    return {**ranked_order(frame), "edges": (len(frame.arms) - 1, GROUPS + 1)}


def grouped_bounds(frame: EffectFrame) -> dict[str, Quantity]:
    shape, n = (len(frame.arms) - 1, GROUPS), frame.largest_site
    score, width = frame.score_limit, frame.outcome_width
    return {
        "patients": Quantity(shape),
        "contrasts": Quantity(shape, n * 2 * score),
        "contrast_squares": Quantity(shape, n * 4 * score**2),
        "effects": Quantity(shape, n * width),
    }


def grouped_sums(rows: EffectRows, order: Order, frame: EffectFrame) -> Sums:
    """By group of predicted effects: patients, contrasts of scores and their squares, and the effects that were predicted."""
    every, effects = with_effects(rows, order, frame)
    sums = {
        name: np.zeros(quantity.shape, np.int64 if quantity.bound is None else np.float64)
        for name, quantity in grouped_bounds(frame).items()
    }
    for other in range(len(frame.arms) - 1):
        own, contrasts = _chosen(effects, order, other)[every.kept], every.contrasts[every.kept, other]
        cells = _cells_of(own, order["grid"][other])
        inner = np.sort(np.nan_to_num(order["edges"][other][1:-1], nan=CELLS))
        groups = np.searchsorted(inner, cells, side="right")
        for name, weights in (("patients", None), ("contrasts", contrasts), ("contrast_squares", contrasts**2), ("effects", own)):
            sums[name][other] = np.bincount(groups, weights, minlength=GROUPS)
    return sums


@dataclass(frozen=True)
class Group:
    """Patients with similar predicted effects, the worst-served first. predicted: their mean. effect, error: by their scores."""

    patients: int
    predicted: float
    effect: float
    error: float


def groups_of(grouped: Order, other: int) -> tuple[Group, ...]:
    """The groups of one arm that hold somebody, by rising predicted effect."""
    groups = []
    for at, n in enumerate(grouped["patients"][other].tolist()):
        if n < 2:
            continue
        mean = float(grouped["contrasts"][other, at]) / n
        variance = max(float(grouped["contrast_squares"][other, at]) / n - mean**2, 0.0) * n / (n - 1)
        groups.append(Group(n, float(grouped["effects"][other, at]) / n, mean, math.sqrt(variance / n)))
    return tuple(groups)


def calibration_test(slopes: Slopes, squares: Floats, other: int) -> tuple[float, float, float]:
    """Slope of the contrasts on the predicted effects, its robust error, and the p-value that it is 0: 1 is perfect, 0 says that
    the predictions tell nobody apart."""
    deviation, slope = float(slopes.values[other, 1]), float(slopes.values[other, 3])
    if deviation <= 0:
        return math.nan, math.nan, math.nan
    error = math.sqrt(max(float(squares[other]), 0.0)) / (slopes.n * deviation)
    return slope, error, float(2 * stats.norm.sf(abs(slope) / error)) if error > 0 else math.nan
