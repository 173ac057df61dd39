"""The families of generalised linear models, row by row: what each adds to the sums, and how large that can be.

    eta = z b + log(exposure)     mean = inverse link (eta)     score = dl/deta     weights: -d2l/deta2, expected and observed

gaussian has the identity as link, binomial the log odds, the others the logarithm. eta is held to a public range far beyond any
fit, so that no order makes a row's numbers unbounded. McCullagh and Nelder, Generalized Linear Models, 1989, chapter 2; negative
binomial: Venables and Ripley, Modern Applied Statistics with S, 2002, section 7.4.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln, xlogy

from wardround.study.sections.analysis.regression import RegressionSection

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class AtPoint:
    """What rows (n,) add at a linear predictor. score: derivative of the log-likelihood. expected, observed: of the information.
    deviance: its unit. pearson: squared residual over the variance function."""

    score: Numbers
    expected: Numbers
    observed: Numbers
    deviance: Numbers
    pearson: Numbers


@dataclass(frozen=True)
class Limits:
    """The largest absolute value of one row's part, whatever the order and the row. moment: of `null_moment`; saturated: of
    `saturated`."""

    score: float
    information: float
    deviance: float
    pearson: float
    start_weight: float
    start_response: float
    moment: float
    saturated: float


@dataclass(frozen=True)
class OutcomeRange:
    """What the contract says of the outcome and of the exposure. center: of the outcome."""

    low: float
    high: float
    center: float
    exposure: tuple[float, float] = (1.0, 1.0)

    @property
    def log_exposure(self) -> float:
        """Largest absolute logarithm of an exposure."""
        return max(abs(math.log(bound)) for bound in self.exposure)


class Family(Protocol):
    """One family. outcomes: the public range of its outcome."""

    @property
    def outcomes(self) -> OutcomeRange: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def canonical(self) -> bool:
        """Whether expected and observed information are one."""
        ...

    @property
    def dispersed(self) -> bool:
        """Whether a dispersion is estimated; the tests are then Student's."""
        ...

    @property
    def estimate(self) -> str:
        """What exp(coefficient) is called; empty where the coefficient itself is the estimate."""
        ...

    def start(self, outcome: Numbers) -> tuple[Numbers, Numbers]:
        """Weights and working response (eta) of R's first step, before the offset is taken off."""
        ...

    def at(self, eta: Numbers, outcome: Numbers) -> AtPoint: ...

    def null_moment(self, outcome: Numbers, log_exposure: Numbers) -> Numbers:
        """What the deviance of the model with an intercept alone needs besides the mean."""
        ...

    def null_deviance(self, moments: Mapping[str, float], *, offset: bool) -> float | None:
        """moments: weight, outcome, exposure, moment, each summed over rows. None where it has no closed form."""
        ...

    def saturated(self, outcome: Numbers) -> Numbers:
        """The log-likelihood where every mean is its outcome; 0 where `log_likelihood` needs none."""
        ...

    def log_likelihood(self, deviance: float, dispersion: float, moments: Mapping[str, float]) -> float | None: ...


@dataclass(frozen=True)
class Gaussian:
    """A number, explained by differences."""

    outcomes: OutcomeRange
    canonical: bool = True
    dispersed: bool = True
    estimate: str = ""

    @property
    def _widest(self) -> float:
        """eta stays within ten times the outcome's range."""
        return 10.0 * (self.outcomes.high - self.outcomes.low)

    @property
    def limits(self) -> Limits:
        far = self._widest + self.outcomes.high - self.outcomes.low
        largest = max(abs(self.outcomes.low), abs(self.outcomes.high))
        center = self.outcomes.center
        moment = max(abs(self.outcomes.low - center), abs(self.outcomes.high - center)) ** 2
        return Limits(far, 1.0, far**2, far**2, 1.0, largest, moment, 1.0)

    def start(self, outcome: Numbers) -> tuple[Numbers, Numbers]:
        return np.ones_like(outcome), outcome

    def at(self, eta: Numbers, outcome: Numbers) -> AtPoint:
        mean = np.clip(eta, self.outcomes.low - self._widest, self.outcomes.high + self._widest)
        one = np.ones_like(outcome)
        return AtPoint(outcome - mean, one, one, (outcome - mean) ** 2, (outcome - mean) ** 2)

    def null_moment(self, outcome: Numbers, log_exposure: Numbers) -> Numbers:  # noqa: ARG002
        return (outcome - self.outcomes.center) ** 2

    def null_deviance(self, moments: Mapping[str, float], *, offset: bool) -> float | None:  # noqa: ARG002
        shift = moments["outcome"] / moments["weight"] - self.outcomes.center
        return moments["moment"] - moments["weight"] * shift**2

    def saturated(self, outcome: Numbers) -> Numbers:
        return np.zeros_like(outcome)

    def log_likelihood(self, deviance: float, dispersion: float, moments: Mapping[str, float]) -> float | None:  # noqa: ARG002
        rows = moments["rows"]
        return float(-rows / 2 * (np.log(2 * np.pi * deviance / rows) + 1) + moments["log_weight"] / 2)


LARGEST_LOG_ODDS = 35.0


@dataclass(frozen=True)
class Binomial:
    """A yes or no, explained by odds ratios."""

    outcomes: OutcomeRange = OutcomeRange(0.0, 1.0, 0.5)
    canonical: bool = True
    dispersed: bool = False
    estimate: str = "odds ratio"

    @property
    def limits(self) -> Limits:
        return Limits(1.0, 0.25, 2.0 * (LARGEST_LOG_ODDS + 1.0), 1.0, 0.25, 4.0, 1.0, 1.0)

    def start(self, outcome: Numbers) -> tuple[Numbers, Numbers]:
        mean = (outcome + 0.5) / 2.0
        weight = mean * (1.0 - mean)
        return weight, np.log(mean / (1.0 - mean)) + (outcome - mean) / weight

    def at(self, eta: Numbers, outcome: Numbers) -> AtPoint:
        held = np.clip(eta, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
        mean = expit(held)
        weight = mean * (1.0 - mean)
        deviance = 2.0 * np.logaddexp(0.0, np.where(outcome > 0.5, -held, held))
        return AtPoint(outcome - mean, weight, weight, deviance, np.zeros_like(outcome))

    def null_moment(self, outcome: Numbers, log_exposure: Numbers) -> Numbers:  # noqa: ARG002
        return np.zeros_like(outcome)

    def null_deviance(self, moments: Mapping[str, float], *, offset: bool) -> float | None:  # noqa: ARG002
        yes, weight = moments["outcome"], moments["weight"]
        return float(-2.0 * (xlogy(yes, yes / weight) + xlogy(weight - yes, 1.0 - yes / weight)))

    def saturated(self, outcome: Numbers) -> Numbers:
        return np.zeros_like(outcome)

    def log_likelihood(self, deviance: float, dispersion: float, moments: Mapping[str, float]) -> float | None:  # noqa: ARG002
        return -deviance / 2.0


SMALLEST_MEAN = 1e-20
FAR = 1e3
"""A mean may lie so many times above the outcome's largest value."""


def _held(eta: Numbers, high: float) -> Numbers:
    return np.exp(np.clip(eta, np.log(SMALLEST_MEAN), np.log(FAR * max(high, 1.0))))


@dataclass(frozen=True)
class Poisson:
    """A count, explained by rate ratios."""

    outcomes: OutcomeRange
    canonical: bool = True
    dispersed: bool = False
    estimate: str = "rate ratio"

    @property
    def limits(self) -> Limits:
        high = self.outcomes.high
        largest = FAR * max(high, 1.0)
        logarithm = np.log(largest) - np.log(SMALLEST_MEAN)
        moment = high * (np.log(high + 1.0) + self.outcomes.log_exposure) + 1.0
        response = (high + 1.0) * (np.log(high + 1.0) + 12.0 + self.outcomes.log_exposure)
        saturated = 2.0 + np.log(high + 1.0)
        return Limits(largest, largest, 2.0 * (high * logarithm + largest), 1.0, high + 1.0, response, moment, saturated)

    def start(self, outcome: Numbers) -> tuple[Numbers, Numbers]:
        mean = outcome + 0.1
        return mean, np.log(mean) + (outcome - mean) / mean

    def at(self, eta: Numbers, outcome: Numbers) -> AtPoint:
        mean = _held(eta, self.outcomes.high)
        deviance = 2.0 * (xlogy(outcome, outcome / mean) - (outcome - mean))
        return AtPoint(outcome - mean, mean, mean, deviance, np.zeros_like(outcome))

    def null_moment(self, outcome: Numbers, log_exposure: Numbers) -> Numbers:
        moment: Numbers = xlogy(outcome, outcome) - outcome * log_exposure
        return moment

    def null_deviance(self, moments: Mapping[str, float], *, offset: bool) -> float | None:  # noqa: ARG002
        rate = moments["outcome"] / moments["exposure"]
        return float(2.0 * (moments["moment"] - xlogy(moments["outcome"], rate)))

    def saturated(self, outcome: Numbers) -> Numbers:
        values: Numbers = xlogy(outcome, outcome) - outcome - gammaln(outcome + 1.0)
        return values

    def log_likelihood(self, deviance: float, dispersion: float, moments: Mapping[str, float]) -> float | None:  # noqa: ARG002
        return moments["saturated"] - deviance / 2.0


@dataclass(frozen=True)
class NegativeBinomial:
    """A count that varies more than Poisson's: variance = mean + alpha mean^2, alpha known."""

    outcomes: OutcomeRange
    alpha: float
    canonical: bool = False
    dispersed: bool = False
    estimate: str = "rate ratio"

    @property
    def limits(self) -> Limits:
        high, alpha = self.outcomes.high, self.alpha
        largest = FAR * max(high, 1.0)
        logarithm = np.log(largest + 1.0 / alpha) - np.log(SMALLEST_MEAN) + np.log1p(alpha * largest)
        moment = (high + 1.0 / alpha) * (np.log(high + 1.0) + np.log1p(alpha * high)) + 1.0
        saturated = 10.0 * (high + 1.0 / alpha + 10.0) * np.log(high + 1.0 / alpha + 10.0)
        response = (high + 1.0) * (np.log(high + 1.0) + 12.0 + self.outcomes.log_exposure)
        deviance = 4.0 * (high + 1.0 / alpha) * logarithm
        score = min(largest, max(high, 1.0 / alpha))
        information = min(largest * (1.0 + alpha * high), max(1.0, (1.0 + alpha * high) / 4.0) / alpha)
        return Limits(score, information, deviance, 1.0, high + 1.0, response, moment, saturated)

    def start(self, outcome: Numbers) -> tuple[Numbers, Numbers]:
        mean = outcome + np.where(outcome == 0, 1.0 / 6.0, 0.0)
        return mean / (1.0 + self.alpha * mean), np.log(mean) + (outcome - mean) / mean

    def at(self, eta: Numbers, outcome: Numbers) -> AtPoint:
        mean = _held(eta, self.outcomes.high)
        spread = 1.0 + self.alpha * mean
        expected = mean / spread
        observed = mean * (1.0 + self.alpha * outcome) / spread**2
        ratio = np.log1p(self.alpha * outcome) - np.log1p(self.alpha * mean)
        deviance = 2.0 * (xlogy(outcome, outcome / mean) - (outcome + 1.0 / self.alpha) * ratio)
        return AtPoint((outcome - mean) / spread, expected, observed, deviance, np.zeros_like(outcome))

    def null_moment(self, outcome: Numbers, log_exposure: Numbers) -> Numbers:  # noqa: ARG002
        moment: Numbers = xlogy(outcome, outcome) - (outcome + 1.0 / self.alpha) * np.log1p(self.alpha * outcome)
        return moment

    def null_deviance(self, moments: Mapping[str, float], *, offset: bool) -> float | None:
        if offset:
            return None
        weight, total = moments["weight"], moments["outcome"]
        mean = total / weight
        rest = (total + weight / self.alpha) * np.log1p(self.alpha * mean)
        return float(2.0 * (moments["moment"] - xlogy(total, mean) + rest))

    def saturated(self, outcome: Numbers) -> Numbers:
        size = 1.0 / self.alpha
        constant: Numbers = gammaln(outcome + size) - gammaln(size) - gammaln(outcome + 1.0)
        whole: Numbers = constant + xlogy(outcome, self.alpha * outcome) - (outcome + size) * np.log1p(self.alpha * outcome)
        return whole

    def log_likelihood(self, deviance: float, dispersion: float, moments: Mapping[str, float]) -> float | None:  # noqa: ARG002
        return moments["saturated"] - deviance / 2.0


FAR_LOG = 3.0
"""The mean of a gamma model stays within exp(3) of the outcome's range."""


@dataclass(frozen=True)
class Gamma:
    """A number above 0, explained by ratios, with the logarithm as link."""

    outcomes: OutcomeRange
    canonical: bool = False
    dispersed: bool = True
    estimate: str = "ratio"

    @property
    def limits(self) -> Limits:
        ratio = self.outcomes.high / self.outcomes.low * np.exp(FAR_LOG)
        logs = max(abs(np.log(self.outcomes.low)), abs(np.log(self.outcomes.high)))
        return Limits(ratio, ratio, 2.0 * (ratio + 2.0 * logs + FAR_LOG), ratio**2, 1.0, logs, logs, 1.0)

    def start(self, outcome: Numbers) -> tuple[Numbers, Numbers]:
        return np.ones_like(outcome), np.log(outcome)

    def at(self, eta: Numbers, outcome: Numbers) -> AtPoint:
        low, high = np.log(self.outcomes.low) - FAR_LOG, np.log(self.outcomes.high) + FAR_LOG
        ratio = outcome / np.exp(np.clip(eta, low, high))
        one = np.ones_like(outcome)
        return AtPoint(ratio - 1.0, one, ratio, 2.0 * (ratio - 1.0 - np.log(ratio)), (ratio - 1.0) ** 2)

    def null_moment(self, outcome: Numbers, log_exposure: Numbers) -> Numbers:  # noqa: ARG002
        return np.log(outcome)

    def null_deviance(self, moments: Mapping[str, float], *, offset: bool) -> float | None:  # noqa: ARG002
        weight = moments["weight"]
        return float(2.0 * (weight * np.log(moments["outcome"] / weight) - moments["moment"]))

    def saturated(self, outcome: Numbers) -> Numbers:
        return np.zeros_like(outcome)

    def log_likelihood(self, deviance: float, dispersion: float, moments: Mapping[str, float]) -> float | None:
        if moments["log_weight"] != 0.0:
            return None
        rows, shape = moments["rows"], 1.0 / dispersion
        constant = rows * (xlogy(shape, shape) - gammaln(shape)) - moments["moment"]
        return float(shape * (-deviance / 2.0 - rows) + constant)


_FAMILIES: Mapping[str, Callable[[OutcomeRange, float], Family]] = {
    "gaussian": lambda outcomes, _alpha: Gaussian(outcomes),
    "binomial": lambda _outcomes, _alpha: Binomial(),
    "poisson": lambda outcomes, _alpha: Poisson(outcomes),
    "negative_binomial": NegativeBinomial,
    "gamma": lambda outcomes, _alpha: Gamma(outcomes),
}


def family_of(section: RegressionSection, outcomes: OutcomeRange) -> Family:
    """The family that a study names."""
    return _FAMILIES[section.family](outcomes, section.dispersion or 0.0)
