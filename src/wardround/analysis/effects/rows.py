"""What the estimators read of one hospital's patients, and what all hospitals know of it beforehand."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wardround.values.errors import StudyError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Sums = dict[str, NDArray[Any]]
Order = Mapping[str, NDArray[Any]]
Link = Literal["identity", "log"]


@dataclass(frozen=True)
class EffectRows:
    """One patient a row. design (n, p): as the contract scales the columns, the first is 1. arms (n,): 0 is the control.

    outcome (n,): in units of the contract's scale. folds (n,): by `folds_of`.
    """

    design: Floats
    arms: Integers
    outcome: Floats
    folds: Integers

    def __len__(self) -> int:
        return len(self.arms)


@dataclass(frozen=True)
class EffectFrame:
    """What follows from the study alone; every bound of a sum does.

    Parameters
    ----------
    arms
        Names of the treatments, the control first.
    columns
        Names of the design's columns; the first is the constant.
    cuts
        For each column: patients above it are one half, the others the other, and effects are told for both.
    design_limit
        No value of the design is larger in magnitude.
    outcome_range
        Smallest and largest outcome, in units of its scale.
    largest_site
        No hospital has more patients.
    probabilities
        Of each arm, where the treatment was drawn by lot; None where it has to be estimated.
    smallest_probability
        Patients for whom an arm is less probable are left out of averages. Declared beforehand.
    folds
        Into how many parts patients are divided: nobody is judged by a model that saw him.
    ridges
        Penalties to choose from, by the loss on patients that a model did not see.
    links
        Forms of the outcome models to choose from: identity (a line), log (effects multiply).
    better
        Whether a higher or a lower outcome is better.
    individual
        Whether effects are told for single patients too.
    column_bounds
        Largest absolute value of each of the design's columns. Default: `design_limit` of all.
    reach
        How far points may lie that hospitals are asked about (`effects/reach.py`).
    """

    arms: tuple[str, ...]
    columns: tuple[str, ...]
    cuts: tuple[float, ...]
    design_limit: float
    outcome_range: tuple[float, float]
    largest_site: int
    probabilities: tuple[float, ...] | None = None
    smallest_probability: float = 0.01
    folds: int = 5
    ridges: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    links: tuple[Link, ...] = ("identity",)
    better: Literal["higher", "lower"] = "higher"
    individual: bool = True
    column_bounds: tuple[float, ...] = ()
    reach: float = 150.0

    def __post_init__(self) -> None:
        if len(self.arms) < 2:
            raise StudyError("An effect compares two treatments or more", found=", ".join(self.arms) or "none")
        if self.probabilities is not None:
            _require_probabilities(self.probabilities, self.arms)

    @property
    def size(self) -> int:
        """Columns of the design."""
        return len(self.columns)

    @cached_property
    def bounds(self) -> Floats:
        """(p,), largest absolute value of each column."""
        return np.array(self.column_bounds or (self.design_limit,) * self.size)

    @property
    def packed(self) -> int:
        """Numbers in the upper triangle of a symmetric matrix over the columns."""
        return self.size * (self.size + 1) // 2

    @cached_property
    def left_out(self) -> tuple[frozenset[int], ...]:
        """The folds that each training set leaves out, by its number: set s leaves fold s out, set `folds` none; then pairs.

        A regression of scores is judged on fold s. The models behind the scores of fold j may have seen neither j, since it is
        theirs, nor s: they leave out both."""
        single = [frozenset({fold}) for fold in range(self.folds)]
        pairs = [frozenset(pair) for pair in combinations(range(self.folds), 2)] if self.individual else []
        return (*single, frozenset(), *pairs)

    @property
    def sets(self) -> int:
        """How many training sets there are."""
        return len(self.left_out)

    def sets_for(self, folds: Integers, judged: int) -> Integers:
        """For rows of these folds (n,) the training set that saw neither them nor fold `judged`; judged = `folds` is none."""
        extra = {judged} & set(range(self.folds))
        numbers = [self.left_out.index(frozenset({fold} | extra)) for fold in range(self.folds)]
        return np.array(numbers, np.int64)[folds]

    @property
    def outcome_limit(self) -> float:
        return max(map(abs, self.outcome_range))

    @property
    def outcome_width(self) -> float:
        low, high = self.outcome_range
        return high - low

    @property
    def score_limit(self) -> float:
        """No score psi is larger: a prediction, and an error of it over the smallest probability."""
        return self.outcome_limit + self.outcome_width / self.least_probability

    @property
    def least_probability(self) -> float:
        """Of an arm, for a patient who counts."""
        return min(self.probabilities) if self.probabilities else self.smallest_probability


def _require_probabilities(probabilities: Sequence[float], arms: Sequence[str]) -> None:
    if len(probabilities) != len(arms) or min(probabilities) <= 0 or abs(sum(probabilities) - 1) > 1e-9:
        raise StudyError(
            "The probabilities of the arms do not fit",
            expected=f"{len(arms)} numbers above 0 that add up to 1, one for each of {', '.join(arms)}",
            found=", ".join(f"{probability:g}" for probability in probabilities),
        )


def folds_of(patients: Sequence[str], key: str, folds: int) -> Integers:
    """The fold of each patient, from 0: it depends on the patient, the study's key and nothing else.

    So every division of the same patients into hospitals gives the same folds, and so do all rows in one place.

    >>> folds_of(["p1", "p2", "p1"], "study", 5).tolist()
    [2, 0, 2]
    """
    keyed = hmac.new(key.encode(), digestmod=hashlib.sha256)
    numbers = []
    for patient in patients:
        hashed = keyed.copy()
        hashed.update(patient.encode())
        numbers.append(int.from_bytes(hashed.digest()[:8], "big") % folds)
    return np.array(numbers, np.int64)


def pack(matrix: Floats) -> Floats:
    """The upper triangle of symmetric matrices (..., p, p), row by row: (..., p (p + 1) / 2).

    >>> pack(np.array([[1.0, 2.0], [2.0, 3.0]])).tolist()
    [1.0, 2.0, 3.0]
    """
    rows, columns = np.triu_indices(matrix.shape[-1])
    return np.asarray(matrix[..., rows, columns])


def unpack(packed: Floats, size: int) -> Floats:
    """The symmetric matrices (..., size, size) of their upper triangles."""
    rows, columns = np.triu_indices(size)
    matrix = np.empty((*packed.shape[:-1], size, size))
    matrix[..., rows, columns] = packed
    matrix[..., columns, rows] = packed
    return matrix
