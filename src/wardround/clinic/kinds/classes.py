"""One of several classes at the bedside: the classes that it may be, each with its chance.

correction  slope x log chance + one offset a class        told  where one class alone may be true, so often as was promised of
                                                                 cases of each class (label-conditional, Vovk et al. 2005)
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.kinds.correcting import Straight
from wardround.clinic.kinds.limits import ClassLimits, Limits
from wardround.clinic.kinds.protocol import LEAST_CHANCE, Part, Reason, Said, Setting
from wardround.study.label import LabelContract
from wardround.tasks.binary.conformal import low_order
from wardround.tasks.classes.chances import against_the_rest, log_chances
from wardround.tasks.classes.task import ClassesTask
from wardround.tasks.protocol import Floats
from wardround.tasks.shared.score_stack import BLANK
from wardround.values.errors import DataError


class ClassesKind:
    """See `wardround.clinic.kinds.protocol.Kind`."""

    reads: frozenset[Setting] = frozenset({"coverage"})
    by_order: frozenset[str] = frozenset()

    def __init__(self, label: LabelContract) -> None:
        self.task, self.label = ClassesTask(label), label
        self.names = self.task.names

    @property
    def bins(self) -> int:
        """The likeliest class."""
        return len(self.names)

    @cached_property
    def correcting(self) -> Straight:
        return Straight(
            moved=lambda outputs, slope, offsets: log_chances(slope * outputs + offsets),
            losses=self.task.losses,
            offsets=len(self.names),
            forms=("none", "offset", "line"),
        )

    def judged(self, labels: NDArray[Any]) -> NDArray[Any]:
        return labels

    def known(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(labels != BLANK)

    def counted(self, labels: NDArray[Any]) -> dict[str, int]:
        return {name: int((labels == position).sum()) for position, name in enumerate(self.names)}

    def require(self, labels: NDArray[Any]) -> None:
        if sum(count > 0 for count in self.counted(labels).values()) < 2:
            raise DataError(
                "A model is tested on cases of more than one class",
                expected=f"labelled cases of two or more of {', '.join(self.names)}",
                found=", ".join(f"{count} of {name}" for name, count in self.counted(labels).items()),
                hint="add cases, or look how [data.label] of the model reads your labels",
            )

    def outputs(self, shown: Floats) -> Floats:
        """Logarithms of the chances."""
        return log_chances(np.log(np.clip(shown, LEAST_CHANCE, 1.0)))

    def limits(self, raw: Floats, crossed: Floats, labels: NDArray[Any], promise: float) -> Limits:
        """On corrected chances, so that what is held fits the chances that are shown."""
        own = [crossed[labels == position, position] for position in range(len(self.names))]
        floors = tuple(low_order(one, 1 - promise) for one in own)
        return ClassLimits(promise=promise, floors=floors, cases=tuple(len(one) for one in own))

    def held(self, corrected: Floats, limits: Limits) -> NDArray[np.bool_]:
        """(n, k): which classes each record may be of."""
        assert isinstance(limits, ClassLimits)
        floors = np.array([-np.inf if floor is None else floor for floor in limits.floors])
        return np.asarray(corrected >= floors)

    def said(self, raw: Floats, corrected: Floats, limits: Limits, widest: float) -> tuple[Said, ...]:
        chances, raw_chances = np.exp(corrected), np.exp(raw)
        held = self.held(corrected, limits)
        return tuple(self._said(chances[row], raw_chances[row], held[row]) for row in range(len(chances)))

    def _said(self, chances: Floats, raw: Floats, held: NDArray[np.bool_]) -> Said:
        parts = tuple(
            Part(name, float(chances[k]), float(raw[k]), None, None, "held" if held[k] else "ruled-out")
            for k, name in enumerate(self.names)
        )
        position = int(held.argmax()) if held.sum() == 1 else int(chances.argmax())
        reasons: tuple[Reason, ...] = () if held.sum() == 1 else ("several-fit",) if held.any() else ("none-fits",)
        return Said(self.names[position], parts, reasons)

    def shares(self, raw: Floats, corrected: Floats, limits: Limits, labels: NDArray[Any], widest: float) -> Mapping[str, Floats]:
        held = self.held(corrected, limits)
        true = held[np.arange(len(labels)), labels.astype(np.int64)].astype(np.float64)
        told = held.sum(axis=1) == 1
        by_class = {f"coverage_{k + 1}": np.where(labels == k, true, np.nan) for k in range(len(self.names))}
        wrong = np.where(told & (true == 0), 1.0, 0.0)
        return {"coverage": true, **by_class, "cannot_tell": (~told).astype(np.float64), "wrong": wrong}

    def score_bins(self, corrected: Floats) -> NDArray[np.int64]:
        return np.asarray(corrected.argmax(axis=1), np.int64)

    def focus(self, corrected: Floats) -> int:
        """The likeliest class."""
        return int(corrected[0].argmax())

    def pull(self, outputs: Floats, focus: int) -> Floats:
        """Log-odds of that class against all others."""
        return against_the_rest(outputs)[:, focus]
