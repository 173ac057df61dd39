"""The protocol of a kind of question in the clinic, and the values that it speaks in. No torch.

Outputs (n, k) are what `wardround.tasks` takes: of classes logarithms of chances, of grades log-odds of lying beyond each, of
findings log-odds, of a number aims on its scale, of a count the logarithm of its rate, of a time log-odds of the hazards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.kinds.limits import Correction, Limits
from wardround.tasks.protocol import Floats, Task

Reason = Literal["both-fit", "neither-fits", "several-fit", "none-fits", "wide", "unusual"]
"""Why nothing is told. both-fit, several-fit: the score is usual for records of several answers. neither-fits, none-fits: for
none. wide: what may be true reaches too far. unusual: the record is unlike those that the model was accepted on."""
State = Literal["held", "ruled-out", "positive", "negative", "cannot-tell", "value"]
Setting = Literal["coverage", "widest"]
LEAST_CHANCE = 1e-7
"""A file gives chances of 32 bits: what it calls 0 or 1 may be so far from it."""


@dataclass(frozen=True)
class Part:
    """One line of an answer: a class, a grade, a finding, the number, a horizon.

    Attributes
    ----------
    name
        As the study calls it.
    value
        Calibrated at this hospital: a chance from 0 to 1, or a number in the unit of the study.
    raw
        As the model's file gives it.
    low, high
        What is to hold the truth so often as was promised; None where the kind gives no range.
    state
        held, ruled-out: whether it may be the class or grade. positive, negative, cannot-tell: of a finding. value: a number.
    """

    name: str
    value: float
    raw: float
    low: float | None
    high: float | None
    state: State


@dataclass(frozen=True)
class Said:
    """What is said of one record. answer: in the study's own words. reasons: why it is not told; empty where it is."""

    answer: str
    parts: tuple[Part, ...]
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """correction: made from all cases given. losses: of each form on cases of other folds, their mean. crossed (n, k): outputs
    corrected by what cases of other folds made, for limits; the model's own where limits do not look at them."""

    correction: Correction
    losses: Mapping[str, float]
    crossed: Floats


class Correcting(Protocol):
    """The local correction of outputs."""

    def chosen(self, outputs: Floats, labels: NDArray[Any], folds: NDArray[np.integer]) -> Chosen:
        """The local correction."""
        ...

    def corrected(self, outputs: Floats, correction: Correction) -> Floats:
        """(n, k)."""
        ...


class Kind(Protocol):
    """One kind of question for one study. Made from the label section; it holds no state."""

    @property
    def task(self) -> Task: ...

    @property
    def reads(self) -> frozenset[Setting]:
        """Which choices of an acceptance it reads: `coverage`, the promised share; `widest`, see `said`."""
        ...

    @property
    def by_order(self) -> frozenset[str]:
        """Figures that follow from the order of records alone, taken from the model's own outputs: corrections of several folds
        do not keep it."""
        ...

    @property
    def bins(self) -> int:
        """How many public bins answers are counted in, to see them move."""
        ...

    def judged(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Labels as answers of this file can be judged by them."""
        ...

    def known(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """(n,): whether anything is known of a record's answer."""
        ...

    def counted(self, labels: NDArray[Any]) -> dict[str, int]:
        """How many cases are of each sort."""
        ...

    def require(self, labels: NDArray[Any]) -> None:
        """DataError where such cases cannot test a model."""
        ...

    def outputs(self, shown: Floats) -> Floats:
        """(n, k) of what the file shows (n, j), finite whatever it shows."""
        ...

    @property
    def correcting(self) -> Correcting:
        """How outputs are made true at a hospital."""
        ...

    def limits(self, raw: Floats, crossed: Floats, labels: NDArray[Any], promise: float) -> Limits:
        """What these cases allow to be told. raw: the model's own outputs; crossed: corrected by other folds."""
        ...

    def said(self, raw: Floats, corrected: Floats, limits: Limits, widest: float) -> tuple[Said, ...]:
        """Of n records. widest: the share of the range that an interval may have and still tell something."""
        ...

    def shares(self, raw: Floats, corrected: Floats, limits: Limits, labels: NDArray[Any], widest: float) -> Mapping[str, Floats]:
        """By name, of each record (or of each of its parts) 1, 0, or NaN where it does not count: `coverage`, `cannot_tell`, and
        what else shows whether the promise is kept."""
        ...

    def score_bins(self, corrected: Floats) -> NDArray[np.int64]:
        """(n,): the public bin of each answer."""
        ...

    def focus(self, corrected: Floats) -> int:
        """Of one record (1, k): which part a heat map and shares of columns are about."""
        ...

    def pull(self, outputs: Floats, focus: int) -> Floats:
        """(n,): what speaks for that part, on a scale without ends."""
        ...


def hits_and_trials(flags: Floats) -> tuple[int, int]:
    """(hits, trials) of flags that are 1, 0 or NaN."""
    there = flags[np.isfinite(flags)]
    return int(there.sum()), len(there)


def log_odds(chances: Floats) -> Floats:
    """Of chances that may be 0 or 1."""
    kept = np.clip(chances, LEAST_CHANCE, 1 - LEAST_CHANCE)
    return np.asarray(np.log(kept) - np.log1p(-kept))
