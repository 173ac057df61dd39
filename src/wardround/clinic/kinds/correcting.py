"""One way to make a model's outputs true at a hospital, for every kind whose outputs are corrected by a straight line.

    outputs, labels, folds of patients --each form, fitted on other folds--> loss of every case --weights--> one correction

none    as the model says it
offset  outputs + offset: how common things are here
line    slope x outputs + offset: also how sure the model may be

As of a yes or no (`tasks.binary.recalibrating`), which form is right is mostly luck with a hundred cases, so the correction is
the mean of the forms, each weighed by exp(-loss of all cases). The loss is the task's own proper one. Slope and offset are drawn
to 1 and 0 by a weak normal prior, or a hospital without a class would ask for an offset without end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.kinds.limits import Correction, CorrectionName
from wardround.clinic.kinds.protocol import Chosen
from wardround.tasks.binary.recalibrating import OFFSET_DEVIATION, SLOPE_DEVIATION
from wardround.tasks.protocol import Floats

FARTHEST_SLOPE, FARTHEST_OFFSET = 3.0, 20.0
"""Of the logarithm of the slope, and of an offset."""
_STEPS = {"ftol": 1e-7, "gtol": 1e-3}
"""A ten-thousandth of a nat over all cases is more than anybody can tell."""
INNER_FOLDS = 5
"""Within the cases of other folds: the procedure is made anew ten times."""


@dataclass(frozen=True)
class Straight:
    """What a kind says of its corrections. moved: outputs, slope, offsets -> outputs. losses: outputs, labels -> (n,). offsets:
    how many. forms: that are tried. squared: whether the loss is a square, whose size says nothing by itself."""

    moved: Callable[[Floats, float, Floats], Floats]
    losses: Callable[[Floats, NDArray[Any]], Floats]
    offsets: int
    forms: tuple[CorrectionName, ...]
    squared: bool = False

    def corrected(self, outputs: Floats, correction: Correction) -> Floats:
        if correction.name == "none":
            return outputs
        return self.moved(outputs, correction.slope, np.array(correction.offsets))

    def chosen(self, outputs: Floats, labels: NDArray[Any], folds: NDArray[np.integer]) -> Chosen:
        """Of n cases; no case judges a correction that it made."""
        folds = folds % INNER_FOLDS
        crossed = {form: np.array(outputs) for form in self.forms}
        for fold in np.unique(folds):
            inside = folds == fold
            for form in self.forms:
                fit = self.fitted(form, outputs[~inside], labels[~inside])
                crossed[form][inside] = self.corrected(outputs[inside], fit)
        losses: dict[str, float] = {form: float(self.losses(crossed[form], labels).mean()) for form in self.forms}
        cost = {form: len(labels) * (0.5 * np.log(max(loss, 1e-12)) if self.squared else loss) for form, loss in losses.items()}
        weights = {form: float(np.exp(min(cost.values()) - cost[form])) for form in self.forms}
        total = sum(weights.values())
        fits = [(weights[form] / total, self.fitted(form, outputs, labels)) for form in self.forms]
        offsets = sum(weight * _offsets(fit, self.offsets) for weight, fit in fits)
        mixed = Correction(
            name=self.forms[-1],
            slope=float(sum(weight * fit.slope for weight, fit in fits)),
            offsets=tuple(np.asarray(offsets).tolist()),
        )
        mean = sum(weights[form] / total * crossed[form] for form in self.forms)
        return Chosen(mixed, losses, np.asarray(mean, np.float64))

    def fitted(self, form: CorrectionName, outputs: Floats, labels: NDArray[Any]) -> Correction:
        """The correction of least loss and prior together; none without cases."""
        from scipy.optimize import minimize  # 25 MB that a service, which tunes nothing, does not need

        if form == "none" or not len(labels):
            return Correction()
        pivot = float(outputs.mean()) if self.offsets == 1 else 0.0
        plain = float(self.losses(outputs, labels).mean())
        weight = 1.0 / (2.0 * max(plain, 1e-6)) if self.squared else 1.0
        free = np.array([form == "line", *[True] * self.offsets])
        deviations = np.array([SLOPE_DEVIATION, *[OFFSET_DEVIATION] * self.offsets])

        def parts(numbers: Floats) -> tuple[float, Floats]:
            whole = np.zeros(1 + self.offsets)
            whole[free] = numbers
            slope = float(np.exp(whole[0]))
            return slope, whole[1:] + pivot * (1.0 - slope)

        def height(numbers: Floats) -> float:
            cost = float(self.losses(self.moved(outputs, *parts(numbers)), labels).sum())
            return weight * cost + float(np.square(numbers / deviations[free]).sum()) / 2

        bounds = [(-FARTHEST_SLOPE, FARTHEST_SLOPE)] * int(form == "line")
        bounds += [(-FARTHEST_OFFSET, FARTHEST_OFFSET)] * self.offsets
        slope, offsets = parts(minimize(height, np.zeros(int(free.sum())), method="L-BFGS-B", bounds=bounds, options=_STEPS).x)
        return Correction(name=form, slope=slope, offsets=tuple(offsets.tolist()))


def _offsets(correction: Correction, count: int) -> Floats:
    return np.array(correction.offsets) if correction.offsets else np.zeros(count)
