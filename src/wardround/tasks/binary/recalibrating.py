"""Which map makes a model's probabilities true here, by cases that did not make it.

    scores, labels, folds of patients --each map, fitted on other folds--> log-loss of every case --weights--> one map

Identity, temperature and platt are straight lines of the score. A hundred cases seldom tell which of them is right, and the one
that happened to be best would be wrong as often; so the map is their mean, each weighed by exp(-loss of all cases), which is
the best one's where the cases do tell. On made hospitals of seven kinds, 20 samples of 100 cases each, the mean had less loss
on others than the best one for six (benchmarks/clinic/lines.py). From 200 cases on the isotonic map takes its place where its
loss is less than that of every line by more than one standard error: many numbers must earn their keep.

The whole procedure is made anew without each fold: no case judges a map that it made, nor a choice that it took part in.
Temperature and platt are drawn towards slope 1 and offset 0 by a weak normal prior, or cases whose classes do not overlap would
ask for an infinite slope.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.binary.local_map import LocalMap, MapName
from wardround.tasks.binary.score_sums import cross_entropy, probability
from wardround.tasks.protocol import Floats

LINES: tuple[MapName, ...] = ("identity", "temperature", "platt")
MAPS: tuple[MapName, ...] = (*LINES, "isotonic")
SLOPE_DEVIATION, OFFSET_DEVIATION = 0.5, 1.0
"""Of the prior on the logarithm of the slope, and on how far the line moves at the mean score."""
FEWEST_FOR_ISOTONIC = 200
"""With fewer cases its steps follow single patients: made from 100 it was worse on others than platt in 16 of 20 samples."""
_STEPS = 50


@dataclass(frozen=True)
class LocalCalibration:
    """chosen: made from all cases. crossed: scores (n,) calibrated by maps of other folds. losses: mean log-loss, by map."""

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
    crossed = np.zeros(len(values))
    for fold in np.unique(folds):
        inside = folds == fold
        chosen, _ = chosen_map(values[~inside], labels[~inside], folds[~inside])
        crossed[inside] = chosen.scores(values[inside])
    chosen, losses = chosen_map(values, labels, folds)
    return LocalCalibration(chosen, crossed, losses)


def chosen_map(scores: Floats, labels: NDArray[np.integer], folds: NDArray[np.integer]) -> tuple[LocalMap, dict[str, float]]:
    """The map of these cases, and each map's mean log-loss on cases of other folds."""
    maps = MAPS if len(scores) >= FEWEST_FOR_ISOTONIC else LINES
    each = {name: cross_entropy(cross_fitted(name, scores, labels, folds), labels) for name in maps}
    losses: dict[str, float] = {name: float(loss.mean()) for name, loss in each.items()}
    best = min(LINES, key=lambda name: losses[name])
    least = losses[best]
    if "isotonic" in each and _surely_less(each["isotonic"], each[best]):
        return fitted_map("isotonic", scores, labels), losses
    weights = {name: float(np.exp(-len(scores) * (losses[name] - least))) for name in LINES}
    lines = {name: fitted_map(name, scores, labels) for name in LINES}
    total = sum(weights.values())
    slope = sum(weights[name] * lines[name].slope for name in LINES) / total
    offset = sum(weights[name] * lines[name].offset for name in LINES) / total
    return LocalMap(name="platt", slope=slope, offset=offset), losses


def _surely_less(losses: Floats, others: Floats) -> bool:
    """Whether losses are less on average by more than one standard error of the difference, case by case."""
    gain = others - losses
    return bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))


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
    from scipy.optimize import isotonic_regression  # 25 MB that a clinic's service, which tunes nothing, does not need

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
    """Slope and offset of a line, by damped Newton steps on the logarithm of the slope, so that it stays above 0.

    With an offset the line turns about the mean score, and the prior is on how far it moves there: a model whose scores all lie
    on one side asks for a steep line far from 0, which is no sign that it is far from right.
    """
    target, pivot = labels.astype(np.float64), float(scores.mean()) if with_offset else 0.0
    centred = scores - pivot
    here = np.zeros(2)
    height = _height(here, centred, pivot, target)
    for _ in range(_STEPS):
        gradient, curvature = _slopes(here, centred, pivot, target)
        if not with_offset:
            gradient[1], curvature[0, 1], curvature[1, 0] = 0.0, 0.0, 0.0
        step = np.linalg.solve(curvature, gradient)
        length = 1.0
        while length > 1e-6 and _height(here - length * step, centred, pivot, target) > height:
            length /= 2
        if length <= 1e-6 or np.abs(length * step).max() < 1e-9:
            break
        here = here - length * step
        height = _height(here, centred, pivot, target)
    slope = float(np.exp(here[0]))
    return slope, float(here[1]) + pivot - slope * pivot


def _height(at: Floats, centred: Floats, pivot: float, target: Floats) -> float:
    z = np.exp(at[0]) * centred + pivot + at[1]
    prior = (at[0] / SLOPE_DEVIATION) ** 2 / 2 + (at[1] / OFFSET_DEVIATION) ** 2 / 2
    return float((np.logaddexp(0, z) - target * z).sum() + prior)


def _slopes(at: Floats, centred: Floats, pivot: float, target: Floats) -> tuple[Floats, Floats]:
    """Gradient, and a curvature that is never negative (Fisher's, with the priors')."""
    stretched = np.exp(at[0]) * centred
    chance = probability(stretched + pivot + at[1])
    design = np.stack([stretched, np.ones_like(stretched)], axis=1)
    precision = np.array([1 / SLOPE_DEVIATION**2, 1 / OFFSET_DEVIATION**2])
    gradient = design.T @ (chance - target) + precision * at
    curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + np.diag(precision)
    return gradient, curvature
