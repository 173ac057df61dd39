"""One of several grades at the bedside: the rounded mean, and the neighbouring grades that it may be.

correction  slope x log-odds of lying beyond + offset, one for all cuts
held        grades whose chance is at or above a floor, that of the true grade so often as was promised, and what lies between
            them: a run without gaps; the likeliest grade is always held
told        where no grade is held that lies further than one from the answer

A floor gives the smallest sets on average (M. Sadinle, J. Lei, L. Wasserman, J. Am. Stat. Assoc. 114 (2019) 223). Of all cases
nine in ten are held, not of each grade by itself: a rare grade has too few cases for a floor of its own. How often each was
held stands in the record.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.kinds.correcting import Straight
from wardround.clinic.kinds.limits import GradeLimits, Limits
from wardround.clinic.kinds.protocol import LEAST_CHANCE, Part, Said, Setting
from wardround.study.label import LabelContract
from wardround.tasks.binary.conformal import low_order
from wardround.tasks.grades.chances import NEAREST, log_chances
from wardround.tasks.grades.figures import rounded
from wardround.tasks.grades.label import may_be
from wardround.tasks.grades.task import GradesTask
from wardround.tasks.protocol import Floats
from wardround.tasks.shared.score_stack import BLANK
from wardround.values.errors import DataError

NEIGHBOURS = 1


class GradesKind:
    """See `wardround.clinic.kinds.protocol.Kind`."""

    reads: frozenset[Setting] = frozenset({"coverage"})
    by_order = frozenset({"mean_auc"})

    def __init__(self, label: LabelContract) -> None:
        self.task, self.label = GradesTask(label), label
        self.names = self.task.names
        self._may_be = may_be(label)

    @property
    def bins(self) -> int:
        """The answer."""
        return len(self.names)

    @cached_property
    def correcting(self) -> Straight:
        return Straight(
            moved=lambda outputs, slope, offsets: slope * outputs + offsets,
            losses=self.task.losses,
            offsets=1,
            forms=("none", "offset", "line"),
        )

    def judged(self, labels: NDArray[Any]) -> NDArray[Any]:
        return labels

    def known(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(labels != BLANK)

    def counted(self, labels: NDArray[Any]) -> dict[str, int]:
        counts = {name: int((labels == position).sum()) for position, name in enumerate(self.names)}
        between = int((labels >= len(self.names)).sum())
        return {**counts, "between grades": between} if between else counts

    def require(self, labels: NDArray[Any]) -> None:
        if len(np.unique(labels)) < 2:
            raise DataError(
                "A model is tested on cases of more than one grade",
                expected=f"labelled cases of two or more of the grades {', '.join(self.names)}",
                found=", ".join(f"{count} of {name}" for name, count in self.counted(labels).items()),
                hint="add cases, or look how [data.label] of the model reads your labels",
            )

    def outputs(self, shown: Floats) -> Floats:
        """Log-odds of lying beyond each grade but the last; they fall, also where chances are 0 or 1."""
        chances = np.maximum(shown, LEAST_CHANCE)
        beyond, below = chances[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:], chances.cumsum(axis=1)[:, :-1]
        logits = np.log(beyond) - np.log(below)
        return np.minimum.accumulate(logits, axis=1) - NEAREST * np.arange(logits.shape[1])

    def limits(self, raw: Floats, crossed: Floats, labels: NDArray[Any], promise: float) -> Limits:
        """A label that leaves the grade open is held as soon as one of its grades is."""
        own = np.where(self._may_be[labels], np.exp(log_chances(crossed)), 0.0).max(axis=1)
        return GradeLimits(promise=promise, floor=low_order(own, 1 - promise), cases=len(labels))

    def held(self, corrected: Floats, limits: Limits) -> NDArray[np.bool_]:
        """(n, k)."""
        assert isinstance(limits, GradeLimits)
        chances = np.exp(log_chances(corrected))
        likeliest = chances >= chances.max(axis=1, keepdims=True)
        return run_of(likeliest | (chances >= (0.0 if limits.floor is None else limits.floor)))

    def _far(self, corrected: Floats, held: NDArray[np.bool_]) -> NDArray[np.bool_]:
        distance = np.abs(np.arange(len(self.names)) - rounded(corrected)[:, None])
        return np.asarray((held & (distance > NEIGHBOURS)).any(axis=1))

    def said(self, raw: Floats, corrected: Floats, limits: Limits, widest: float) -> tuple[Said, ...]:
        chances, raw_chances = np.exp(log_chances(corrected)), np.exp(log_chances(raw))
        held, answers = self.held(corrected, limits), rounded(corrected)
        far = self._far(corrected, held)
        return tuple(
            Said(
                self.names[answers[row]],
                tuple(
                    Part(
                        name,
                        float(chances[row, k]),
                        float(raw_chances[row, k]),
                        None,
                        None,
                        "held" if held[row, k] else "ruled-out",
                    )
                    for k, name in enumerate(self.names)
                ),
                ("wide",) if far[row] else (),
            )
            for row in range(len(chances))
        )

    def shares(self, raw: Floats, corrected: Floats, limits: Limits, labels: NDArray[Any], widest: float) -> Mapping[str, Floats]:
        held = self.held(corrected, limits)
        true = (held & self._may_be[labels]).any(axis=1).astype(np.float64)
        far = self._far(corrected, held)
        by_grade = {f"coverage_{k + 1}": np.where(labels == k, true, np.nan) for k in range(len(self.names))}
        return {
            "coverage": true,
            **by_grade,
            "cannot_tell": far.astype(np.float64),
            "wrong": np.where(~far & (true == 0), 1.0, 0.0),
        }

    def score_bins(self, corrected: Floats) -> NDArray[np.int64]:
        return np.asarray(rounded(corrected), np.int64)

    def focus(self, corrected: Floats) -> int:
        """One score stands behind all grades."""
        return 0

    def pull(self, outputs: Floats, focus: int) -> Floats:
        """The log-odds of lying beyond each grade, their mean."""
        return np.asarray(outputs.mean(axis=1))


def run_of(held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n, k): with what lies between.

    >>> run_of(np.array([[False, True, False, True, False]])).astype(int).tolist()
    [[0, 1, 1, 1, 0]]
    """
    return np.asarray(np.maximum.accumulate(held, axis=1) & np.maximum.accumulate(held[:, ::-1], axis=1)[:, ::-1])
