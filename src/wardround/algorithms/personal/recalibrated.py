"""The federated model with its outputs stretched and moved, so that its probabilities are true at this hospital.

Platt: Probabilistic Outputs for Support Vector Machines, in Advances in Large Margin Classifiers (2000): an output z becomes
a z + b. Slope and offset are found on validation records by least loss. A few dozen patients say little about two numbers, so
both are drawn towards (1, 0) by a normal prior with the deviations below. They are folded into the last layer: the
result is a model like any other.
"""

from collections.abc import Callable

import numpy as np

from wardround.algorithms.personal.protocol import (
    Material,
    NamedCandidate,
    Option,
    Outputs,
    PersonalModel,
    PersonalSettings,
    Rows,
    Tuner,
    mean_loss,
)
from wardround.values.tree import Tree

SLOPE_DEVIATION, OFFSET_DEVIATION = 0.25, 0.5
_FIRST_STEP, _LAST_STEP = 0.25, 2.0**-10
_DIRECTIONS = tuple((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y)


def fit(material: Material, settings: PersonalSettings) -> Tuner:  # noqa: ARG001
    outputs = material.outputs(material.federated)

    def tune(rows: Rows) -> Option:
        slope, offset = _calibration(material, outputs, rows)
        model = rescaled(material.federated, material.head, slope, offset)
        setting = f"slope {slope:.2f}, offset {offset:+.2f}"
        return Option(PersonalModel.single(model), slope * outputs + offset, setting)

    return tune


def rescaled(model: Tree, head: frozenset[str], slope: float, offset: float) -> Tree:
    """The model whose outputs are slope * z + offset where this one gives z."""
    moved = {name: slope * model[name] + (offset if name.endswith("bias") else 0.0) for name in head}
    return {**model, **{name: np.asarray(array, np.float32) for name, array in moved.items()}}


def _calibration(material: Material, outputs: Outputs, rows: Rows) -> tuple[float, float]:
    """Slope and offset of least loss and prior together. Patients, not records, weigh against the prior."""
    patients = float(material.weights[rows].sum())
    if not patients:
        return 1.0, 0.0

    def penalised(slope: float, offset: float) -> float:
        prior = ((slope - 1.0) / SLOPE_DEVIATION) ** 2 + (offset / OFFSET_DEVIATION) ** 2
        return mean_loss(material, slope * outputs + offset, rows) + prior / (2 * patients)

    return _lowest(penalised)


def _lowest(height: Callable[[float, float], float]) -> tuple[float, float]:
    """From (1, 0) downhill in steps that are halved where no direction leads down: both losses and prior are bowls."""
    here, step = (1.0, 0.0), _FIRST_STEP
    lowest = height(*here)
    while step >= _LAST_STEP:
        around = [(here[0] + step * x, here[1] + step * y) for x, y in _DIRECTIONS]
        heights = [height(*point) for point in around]
        best = min(range(len(around)), key=heights.__getitem__)
        if heights[best] < lowest:
            here, lowest = around[best], heights[best]
        else:
            step /= 2
    return here


CANDIDATE = NamedCandidate("recalibrated", fit)
