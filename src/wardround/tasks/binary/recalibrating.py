"""Which map makes a model's probabilities true here, by cases that did not make it.

    scores, labels, folds of patients --each map, fitted on other folds--> calibrated scores of every case --log-loss--> choice

The chosen map is then fitted on all cases. Its figures are those of the calibrated scores across folds: no case judges a map that
it made. Temperature and platt are drawn towards slope 1 and offset 0 by a weak normal prior, or a sample whose classes do not
overlap would ask for an infinite slope.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from wardround.tasks.binary.local_map import LocalMap, MapName
from wardround.tasks.binary.score_sums import cross_entropy, probability
from wardround.tasks.protocol import Floats

MAPS: tuple[MapName, ...] = ("identity", "temperature", "platt", "isotonic")
"""From the fewest numbers to the most: of equally good ones the first is taken."""
SLOPE_DEVIATION, OFFSET_DEVIATION = 0.5, 1.0
"""Of the prior on the logarithm of the slope and on the offset."""
FEWEST_FOR_ISOTONIC = 200
"""With fewer cases its steps follow single patients: made from 100 it was worse on others than platt in 16 of 20 samples."""
_STEPS = 50


@dataclass(frozen=True)
class LocalCalibration:
    """chosen: fitted on all cases. crossed: calibrated scores (n,) by maps of other folds. losses: mean log-loss, by map."""

    chosen: LocalMap
    crossed: Floats
    losses: dict[str, float]


def fitted_map(name: MapName, scores: Floats, labels: NDArray[np.integer]) -> LocalMap:
    """The map of least loss and prior together; identity where a class is missing.

    >>> fitted_map("platt", np.zeros(400), np.repeat([0, 1], [100, 300])).probabilities(np.zeros(1)).round(2).tolist()
    [0.75]
    """
    if name == "identity" or len(np.unique(labels)) < 2:
        return LocalMap()
    if name == "isotonic":
        return _isotonic(scores, labels)
    slope, offset = _logistic(scores, labels, with_offset=name == "platt")
    return LocalMap(name=name, slope=slope, offset=offset)


def calibrate(scores: NDArray[np.floating], labels: NDArray[np.integer], folds: NDArray[np.integer]) -> LocalCalibration:
    """scores (n,) before the sigmoid, labels in {0, 1}, the fold of each case's patient."""
    values = np.clip(np.asarray(scores, np.float64), -1e3, 1e3)
    maps = MAPS if len(values) >= FEWEST_FOR_ISOTONIC else MAPS[:-1]
    crossed = {name: cross_fitted(name, values, labels, folds) for name in maps}
    losses = {name: float(cross_entropy(one, labels).mean()) for name, one in crossed.items()}
    best = min(maps, key=lambda name: losses[name])
    return LocalCalibration(fitted_map(best, values, labels), crossed[best], losses)


def cross_fitted(name: MapName, scores: Floats, labels: NDArray[np.integer], folds: NDArray[np.integer]) -> Floats:
    """Calibrated scores (n,), each by the map that the cases of other folds make."""
    crossed = np.zeros(len(scores))
    for fold in np.unique(folds):
        inside = folds == fold
        crossed[inside] = fitted_map(name, scores[~inside], labels[~inside]).scores(scores[inside])
    return crossed


def _isotonic(scores: Floats, labels: NDArray[np.integer]) -> LocalMap:
    """Pool-adjacent-violators, with one case of each class added to every block, so that nothing is certain; straight lines
    between the middles of blocks."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    blocks = isotonic_regression(labels[order].astype(np.float64)).blocks
    knots: list[tuple[float, float]] = []
    for start, end in pairwise(blocks.tolist()):
        middle = float(ordered[start:end].mean())
        share = float((labels[order][start:end].sum() + 0.5) / (end - start + 1))
        share = max(share, knots[-1][1]) if knots else share
        if not knots or middle > knots[-1][0]:
            knots.append((middle, share))
    return LocalMap(name="isotonic", knots=tuple(knots))


def _logistic(scores: Floats, labels: NDArray[np.integer], *, with_offset: bool) -> tuple[float, float]:
    """Slope, as its logarithm so that it stays above 0, and offset; by damped Newton steps."""
    target = labels.astype(np.float64)
    here = np.zeros(2)
    height = _height(here, scores, target)
    for _ in range(_STEPS):
        gradient, curvature = _slopes(here, scores, target)
        if not with_offset:
            gradient[1], curvature[0, 1], curvature[1, 0] = 0.0, 0.0, 0.0
        step = np.linalg.solve(curvature, gradient)
        length = 1.0
        while length > 1e-6 and _height(here - length * step, scores, target) > height:
            length /= 2
        if length <= 1e-6 or np.abs(length * step).max() < 1e-9:
            break
        here = here - length * step
        height = _height(here, scores, target)
    return float(np.exp(here[0])), float(here[1])


def _height(at: Floats, scores: Floats, target: Floats) -> float:
    z = np.exp(at[0]) * scores + at[1]
    prior = (at[0] / SLOPE_DEVIATION) ** 2 / 2 + (at[1] / OFFSET_DEVIATION) ** 2 / 2
    return float((np.logaddexp(0, z) - target * z).sum() + prior)


def _slopes(at: Floats, scores: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Gradient, and a curvature that is never negative (Fisher's, with the priors')."""
    stretched = np.exp(at[0]) * scores
    chance = probability(stretched + at[1])
    design = np.stack([stretched, np.ones_like(stretched)], axis=1)
    precision = np.array([1 / SLOPE_DEVIATION**2, 1 / OFFSET_DEVIATION**2])
    gradient = design.T @ (chance - target) + precision * at
    curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + np.diag(precision)
    return gradient, curvature
