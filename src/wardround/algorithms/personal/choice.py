"""Which candidate a hospital keeps: by a proper loss on its validation patients; where they cannot tell, half of each.

    tuner --tuned on one half of the patients, scored on the other, both ways--> loss of each patient
    losses of all candidates --best against own, patient by patient--> Choice

A figure that only ranks patients hides harm: where nearly everybody is ill, a model can rank well and be wrong about
everybody. So the loss decides. Three rules keep the choice honest on few patients:

- What was tuned on validation patients is scored on those that it was not tuned on (two folds; M. Stone, J. R. Stat. Soc. B 36
  (1974) 111), over several divisions into halves, whose mean is taken.
- The best candidate replaces the own model only where its mean gain is above one standard error of the gain (Breiman, Friedman,
  Olshen, Stone: Classification and Regression Trees, 1984, section 3.4.3). Gains are paired: both models saw the same patients.
- Where the gain, or the loss, is within one standard error, the hospital keeps both: the mean of what the two models give. Either
  alone may be the worse one by an unknown d. The loss is convex in what a model gives, so the mean of two is at most d/2 above
  the better one (Jensen), and often below both: the choice of least regret where nothing tells them apart.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms.personal.protocol import Material, Rows, Tuner
from wardround.values.randomness import generator

OWN = "own"
HALVINGS = 5
FEWEST = 30
"""With fewer validation patients another draw of them may well choose otherwise."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One candidate on the validation patients. loss: their mean. gain: the own model's loss less this one's, patient by patient.
    loss_error, standard_error: one standard error of the loss, and of the gain; NaN where fewer than two patients tell it."""

    loss: float
    loss_error: float
    gain: float
    standard_error: float


@dataclass(frozen=True)
class Choice:
    """names: of the candidate that is kept, or of the two that are kept together. reason: in one line. patients: validation
    patients that chose."""

    names: tuple[str, ...]
    reason: str
    patients: int
    scores: Mapping[str, Score]

    @property
    def name(self) -> str:
        """What the kept model is called."""
        return " + ".join(self.names)

    @property
    def few(self) -> bool:
        return self.patients < FEWEST


def halvings(patients: NDArray[np.str_], strata: NDArray[Any], seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Divisions of validation rows into two halves, which no patient is in both of. The order of rows plays no part.

    strata: of each row, as the class of its label: each half gets its share of the patients of each.
    """
    names, numbers = np.unique(patients, return_inverse=True)
    stratum = np.zeros(len(names), np.int64)
    np.maximum.at(stratum, numbers, strata)
    for number in range(HALVINGS):
        drawn = generator("halving", seed, number).permutation(len(names))
        first = np.zeros(len(names), bool)
        first[drawn[np.argsort(stratum[drawn], kind="stable")][::2]] = True
        inside = first[numbers]
        yield np.flatnonzero(inside), np.flatnonzero(~inside)


def cross_fitted(tune: Tuner, material: Material, halves: list[tuple[Rows, Rows]]) -> Floats:
    """The loss of every validation record (n,) under a tuning that did not see its patient, meaned over the halvings."""
    total = np.zeros(len(material.weights))
    for first, second in halves:
        total[second] += material.losses(tune(first).outputs)[second]
        total[first] += material.losses(tune(second).outputs)[first]
    return total / len(halves)


def per_patient(losses: Floats, patients: NDArray[np.str_]) -> Floats:
    """The mean loss of each patient's records, patients in name order."""
    _, inverse, counts = np.unique(patients, return_inverse=True, return_counts=True)
    return np.bincount(inverse, weights=losses, minlength=len(counts)) / counts


def choose(losses: Mapping[str, Floats]) -> Choice:
    """The choice by the losses of the same patients under each candidate, the own model among them."""
    own = losses[OWN]
    scores = {name: _score(one, own) for name, one in losses.items()}
    others = [name for name in losses if name != OWN]
    if not others or not len(own):
        reason = "it is the only candidate" if len(own) else "there is no validation patient to choose by"
        return Choice((OWN,), reason, len(own), scores)
    best = min(others, key=lambda name: scores[name].loss)
    names, reason = _settled(best, scores[best])
    return Choice(names, f"{reason}, on {len(own)} validation patients", len(own), scores)


def _settled(best: str, score: Score) -> tuple[tuple[str, ...], str]:
    """What is kept, by the gain of the best of the others over the own model; and why."""
    gain, error = score.gain, score.standard_error
    if math.isnan(error):
        return (OWN,), f"one patient cannot tell whether {best} is better"
    if gain > error:
        return (best,), f"its loss is {gain:.3f} below that of own, more than one standard error ({error:.3f})"
    if gain < -error:
        return (OWN,), f"its loss is {-gain:.3f} below that of {best}, more than one standard error ({error:.3f})"
    if not error:
        return (OWN,), f"{best} does as well for each patient"
    side = "below" if gain > 0 else "above"
    return (OWN, best), f"the loss of {best} is {abs(gain):.3f} {side} that of own, within one standard error ({error:.3f})"


def kept_own(losses: Mapping[str, Floats], reason: str) -> Choice:
    """The own model, whatever the losses say; `reason`: why they cannot choose."""
    own = losses[OWN]
    return Choice((OWN,), reason, len(own), {name: _score(one, own) for name, one in losses.items()})


def _score(losses: Floats, own: Floats) -> Score:
    gains = own - losses
    loss, error = _mean_and_error(losses)
    gain, gain_error = _mean_and_error(gains)
    return Score(loss, error, gain, gain_error)


def _mean_and_error(values: Floats) -> tuple[float, float]:
    n = len(values)
    return float(values.mean()) if n else math.nan, float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
