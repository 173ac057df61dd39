"""The audit of a private mechanism: an attack on the real code that shows how much of epsilon is surely spent.

    canaries in or out, by coin --> real clipped sums, words, total --> what the adversary sees --> scores --> lower bounds
                                          (audited_sums, audited_training)                     (here)     (privacy_bounds)

The auditor is the adversary of docs/privacy.md at its strongest: it reads every step's total (the noised sum), has taken out the
shares of the colluding sites, knows the model, knows all other patients and made the canaries up. It does not know the coins of
Poisson sampling, nor the honest sites' noise.

A canary is a patient whose clipped gradient points where nobody else's does (a Dirac canary: Nasr et al., USENIX Security 2023);
its sign alternates from step to step, which costs an honest mechanism nothing and lays open one that uses its noise twice.

The figures are only as good as the attack: an epsilon that is not reached may be reached by a better one.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.audit.privacy_bounds import Guesses, gaussian_multiplier, guess, one_run_bound, trials_bound
from wardround.crypto.secret_draws import SecretDraws
from wardround.privacy.accounting import epsilon
from wardround.privacy.events import Event

Views = Callable[[NDArray[np.bool_]], Iterable[NDArray[np.float64]]]
"""Who of the canaries is in -> for every step, what the adversary sees of each canary: about 1 where its patient was drawn into
the step, about 0 where not, plus the noise, in clip norms."""

TRIAL_DELTAS = (1e-5, 1e-3, 1e-1)
"""Where trials are held against the statement. An accountant states an epsilon at every delta; at a large one few trials do."""


@dataclass(frozen=True)
class Comparison:
    """A stated epsilon and the lower bound that an attack proved, both at `delta`."""

    delta: float
    stated: float
    audited: float

    @property
    def refuted(self) -> bool:
        """The statement is false, or an event of chance `false_alarm` has happened."""
        return self.audited > self.stated


@dataclass(frozen=True)
class AuditRun:
    """One run with its canaries. event, steps: what was charged for each canary's patient."""

    event: Event
    steps: int
    scores: NDArray[np.float64]
    included: NDArray[np.bool_]

    def stated(self, delta: float) -> float:
        return epsilon({self.event: self.steps}, delta)

    def guesses(self, each: int) -> Guesses:
        """As many "in" as "out"; all "in" where patients are sampled, since who was not drawn looks like who is out."""
        sampled = self.event.sampling_rate < 1
        return guess(self.scores, self.included, 2 * each if sampled else each, 0 if sampled else each)

    def one_run(self, each: int, delta: float, false_alarm: float) -> Comparison:
        """From 2 * `each` guesses, a number fixed beforehand. Nothing is assumed of the mechanism. delta: far below 1 / canaries,
        or it shows nothing."""
        return Comparison(delta, self.stated(delta), one_run_bound(self.guesses(each), delta, false_alarm))

    def as_trials(self, false_alarm: float, deltas: Sequence[float] = TRIAL_DELTAS) -> list[Comparison]:
        """Every canary as a trial of its own: right where canaries do not touch and each has noise of its own, which is what the
        mechanism states. All of the comparisons hold together but for the chance `false_alarm`."""
        each = false_alarm / len(deltas)
        return [Comparison(delta, self.stated(delta), trials_bound(self.scores, self.included, delta, each)) for delta in deltas]

    def as_gaussian(self, delta: float, false_alarm: float) -> Comparison:
        """As trials of a mechanism whose privacy curve is a Gaussian's (rate 1): what is stated is one, so that a figure above
        it refutes the statement; the figure itself is a bound for Gaussians only. Sharp at any delta."""
        if self.event.sampling_rate < 1:
            raise ValueError("sampled steps together are no Gaussian")
        multiplier = gaussian_multiplier(self.scores, self.included, false_alarm)
        return Comparison(delta, self.stated(delta), 0.0 if math.isinf(multiplier) else epsilon({Event(multiplier): 1}, delta))


def together(runs: Sequence[AuditRun]) -> AuditRun:
    """Runs of one mechanism as one row of trials. Their canaries are not one run's: `one_run` would be wrong for them."""
    scores, included = (np.concatenate([getattr(run, name) for run in runs]) for name in ("scores", "included"))
    return AuditRun(runs[0].event, runs[0].steps, scores, included)


def run(views: Views, canaries: int, event: Event, steps: int) -> AuditRun:
    """Tosses a coin for every canary, runs the mechanism once and scores what the adversary saw of it."""
    included = SecretDraws().chosen(canaries, 0.5)
    scores, seen = np.zeros(canaries), 0
    for view in views(included):
        scores += step_score(view, event)
        seen += 1
    if seen != steps:
        raise ValueError(f"{steps} steps were charged, {seen} were seen")
    return AuditRun(event, steps, scores, included)


def step_score(view: NDArray[np.float64], event: Event) -> NDArray[np.float64]:
    """ln of (density of the view with the patient in the study) / (without), as the accountant has it:
    (1 - q) N(0, z^2) + q N(1, z^2) against N(0, z^2). The most powerful test of one step (Neyman and Pearson, 1933)."""
    if not event.private:
        raise ValueError("a mechanism without noise states no epsilon that an audit could refute")
    drawn: NDArray[np.float64] = (2 * view - 1) / (2 * event.noise_multiplier**2)
    rate = event.sampling_rate
    return drawn if rate == 1 else np.logaddexp(math.log1p(-rate), math.log(rate) + drawn)
