"""A regression whose hospitals' intercepts are drawn from a normal law: by maximum likelihood, over sums of hospitals' integrals.

    start:  R's starting values of one intercept     mixed:  log-likelihood, gradient, information at the order's parameters

A gaussian family may be fitted by the restricted likelihood (`restricted_likelihood.py`), whose sums are of the same exchange.

Newton's method goes up the marginal likelihood. Where its information is not above 0 in every direction (it is no concave
function of the deviation between hospitals) the absolute values of its curvatures lead the step, and a step that gains nothing is
halved.
"""

from collections.abc import Generator
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from scipy.special import ndtri

from wardround.algorithms.newton import Curvature, Fit, Matrix, Vector, newton, solved
from wardround.analysis.carrying import require_unclipped
from wardround.analysis.protocol import Ask, Exchange, Total
from wardround.analysis.regression.random_intercepts import held_residual, mixed_sums
from wardround.analysis.regression.refusals import require_determined, require_ended, require_enough
from wardround.analysis.regression.report import Estimates, Fitted, Goodness, Mixed, mixed_result
from wardround.analysis.regression.restricted_likelihood import (
    VarianceMatrices,
    between_bound,
    restriction,
    variance_matrices,
    within_bound,
)
from wardround.analysis.regression.sums import ROUNDED_OUT, ROUNDING, START, Model, RegressionSums, packed, unpacked
from wardround.analysis.result import Result
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.study.declaration import Study
from wardround.values.errors import DataError
from wardround.values.rows import Rows

MIXED = "mixed"
RANDOM = "random"
FEWEST_HOSPITALS = 3
_FIRST_DEVIATION = 0.5
_NO_DEVIATION = 1e-5
"""Between hospitals, on the scale of the predictor: less is none."""
_FLATTEST = 1e-9
_FARTHEST_Z = 60.0
"""In deviations: a hospital's intercept that its rows put farther away counts as clipped."""


@dataclass(frozen=True)
class MixedRegression:
    """sums: of the same regression with one intercept, whose first exchange and rules it shares."""

    study: Study
    sums: RegressionSums

    @property
    def model(self) -> Model:
        return self.sums.models[0]

    @property
    def gaussian(self) -> bool:
        return self.sums.section.family == "gaussian"

    @property
    def size(self) -> int:
        """Parameters: coefficients, the deviation between hospitals, and of a gaussian family the residual's logarithm."""
        return len(self.model) + (2 if self.gaussian else 1)

    @property
    def restricted(self) -> bool:
        """Whether variances are by the restricted likelihood."""
        return self.sums.section.reml

    @property
    def residuals(self) -> tuple[float, float] | None:
        """The residual deviations that count."""
        width = self.sums.family.outcomes.high - self.sums.family.outcomes.low
        return (width / 1000.0, width * 10.0) if self.gaussian else None

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        start = self.sums.exchanges[0]
        limits, largest = self.sums.family.limits, float(self.sums.settings.largest_hospital)
        slope, bend, value = limits.score, limits.information, limits.deviance
        if self.residuals is not None:
            smallest = self.residuals[0]
            slope, bend, value = limits.score / smallest**2, 1.0 / smallest**2, limits.deviance / smallest**2
        first = largest * max(slope, bend, 1.0) * _FARTHEST_Z
        quantities = {
            "log_likelihood": Quantity((), ROUNDED_OUT * largest * (value + 100.0) * _FARTHEST_Z),
            "score": Quantity((self.size,), ROUNDED_OUT * first),
            "information": Quantity((self.size * (self.size + 1) // 2,), ROUNDED_OUT * first**2),
        }
        if self.residuals is not None and self.restricted:
            shape = (3, len(self.model) * (len(self.model) + 1) // 2)
            quantities["variance_within"] = Quantity(shape, ROUNDED_OUT * within_bound(largest, self.residuals[0]))
            quantities["variance_between"] = Quantity(shape, ROUNDED_OUT * between_bound(largest, self.residuals[0]))
        times = max(1, self.sums.settings.exchanges - 1)
        return start, Exchange(MIXED, quantities, {"parameters": (self.size,)}, times)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.sums.columns

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:
        if ask.label == START:
            return self.sums.contribution(rows, START, ask.order)
        parameters = ask.order["parameters"]
        if float(np.abs(parameters[: len(self.model) + 1]).sum()) > self.sums.reach * (1.0 + ROUNDING):
            quantities = self.exchanges[1].quantities
            return {name: np.full(quantity.shape, np.nan) for name, quantity in quantities.items()}
        used = self.sums.used(rows)
        matrix = self.model.matrix(used.rows)
        with np.errstate(all="ignore"):
            own = mixed_sums(matrix, used.outcome, used.log_exposure, self.sums.family, parameters, self.residuals)
        sums = {"log_likelihood": np.array(own.log_likelihood), "score": own.score, "information": packed(own.information)}
        if self.residuals is not None and self.restricted:
            deviation, residual = float(parameters[-2]), held_residual(float(parameters[-1]), self.residuals)
            matrices = [packed(one) for one in variance_matrices(matrix, deviation, residual)]
            sums |= {"variance_within": np.stack(matrices[:3]), "variance_between": np.stack(matrices[3:])}
        return sums

    def coordinate(self) -> Generator[Ask, Total, Result]:
        start = yield Ask(START)
        require_unclipped(start)
        require_enough(start, self.sums)
        require_determined(start, self.model, self.sums)
        if len(start.sites) < FEWEST_HOSPITALS:
            raise DataError(
                "A variance between hospitals takes several hospitals",
                expected=f"at least {FEWEST_HOSPITALS}",
                found=str(len(start.sites)),
                hint='set analysis.regression.intercepts = "common", or "own"',
            )
        steps = newton(self._begin(start), np.zeros(self.size), self.exchanges[1].times, self.sums.reach)
        point = next(steps)
        while True:
            total = yield Ask(MIXED, {"parameters": point})
            require_unclipped(total)
            sums = self._summed(total)
            information = sums.information
            try:
                point = steps.send(Curvature(sums.loss, sums.score, _upright(information)))
            except StopIteration as ended:
                fit: Fit = ended.value
                break
        require_ended(fit, self.sums)
        return mixed_result(self.study, self.sums, start, self._described(start, fit, information, total))

    def _summed(self, total: Total) -> Curvature:
        """Of the likelihood that the study asks for."""
        sums = Curvature(-float(total["log_likelihood"]), total["score"], unpacked(total["information"]))
        if not self.restricted:
            return sums
        matrices = (unpacked(one) for name in ("variance_within", "variance_between") for one in total[name])
        return restriction(VarianceMatrices(*matrices)).added_to(sums, len(self.model))

    def _begin(self, start: Total) -> Vector:
        name = self.model.name
        coefficients = solved(unpacked(start[f"{name}.information"]), start[f"{name}.response"])
        if not self.gaussian:
            return np.append(coefficients, _FIRST_DEVIATION)
        outcomes, rows = self.sums.family.outcomes, float(start["weight"])
        shift = float(start["outcome"]) / rows - outcomes.center
        spread = sqrt(max(float(start["moment"]) / rows - shift**2, ((outcomes.high - outcomes.low) / 100.0) ** 2))
        return np.append(coefficients, [spread / 3.0, log(spread)])

    def _constant(self, start: Total) -> float:
        """What the sums leave out of the log-likelihood, in the unit of the reported columns."""
        if not self.gaussian:
            return float(start["saturated"])
        rows, size = float(start["rows"]), len(self.model)
        if not self.restricted:
            return -rows / 2.0 * log(2.0 * np.pi)
        return float(np.linalg.slogdet(self.model.to_reported)[1]) - (rows - size) / 2.0 * log(2.0 * np.pi)

    def _described(self, start: Total, fit: Fit, information: Matrix, total: Total) -> Mixed:
        """The estimates, with the whole information at the maximum. DataError where there is none."""
        size, transform = len(self.model), self.model.to_reported
        deviation = abs(float(fit.point[size]))
        kept = [*range(size), *([size] if deviation > _NO_DEVIATION else []), *([size + 1] if self.gaussian else [])]
        covariance = np.zeros((self.size, self.size))
        part = information[np.ix_(kept, kept)]
        if np.linalg.eigvalsh(part / np.sqrt(np.outer(np.diag(part), np.diag(part)))).min() <= 0:
            raise DataError(
                "The likelihood has no maximum that the steps come to",
                hint='use fewer terms, or set analysis.regression.intercepts = "own"',
            )
        covariance[np.ix_(kept, kept)] = np.linalg.inv(part)
        bread = covariance[:size, :size]
        estimates = Estimates(
            self.model.design.names,
            transform @ fit.point[:size],
            transform @ bread @ transform.T,
            1.0,
            int(start["rows"]) - size,
            False,
            float(np.max(np.abs(transform @ bread).sum(axis=1)) * total.error["score"]),
        )
        likelihood = -fit.sums.loss + self._constant(start)
        # Restricted likelihoods of models with other columns are of other data, so that no AIC compares them.
        aic = None if self.restricted else 2.0 * self.size - 2.0 * likelihood
        goodness = Goodness(-2.0 * likelihood, None, likelihood, aic, None, 0, None)
        return Mixed(
            Fitted(Model(RANDOM, self.model.design), fit, np.zeros(self.size), information, -2.0 * likelihood, 0.0, 0.0),
            estimates,
            goodness,
            deviation if deviation > _NO_DEVIATION else 0.0,
            sqrt(covariance[size, size]),
            exp(float(fit.point[size + 1])) if self.gaussian else None,
            exp(sqrt(2.0) * deviation * float(ndtri(0.75))) if self.sums.section.family == "binomial" else None,
        )


def _upright(information: Matrix) -> Matrix:
    """The same curvatures with their absolute values, none of them flat."""
    diagonal = np.abs(np.diag(information))
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    upright: Matrix = (vectors * np.maximum(np.abs(values), _FLATTEST)) @ vectors.T * np.outer(scale, scale)
    return upright
