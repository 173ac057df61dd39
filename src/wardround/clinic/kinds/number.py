"""A number at the bedside: its middle, and a range that held the truth so often as was promised at this hospital.

correction  slope x aim + offset on the question's scale, range and middle alike; nothing leaves the contract's range
range       the model's own, made wider or narrower on both sides alike (Y. Romano, E. Patterson, E. Candès, NeurIPS 2019)
told        where the range is no wider than a share of the contract's that the hospital names
"""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.kinds.correcting import Straight
from wardround.clinic.kinds.limits import Limits, Reach
from wardround.clinic.kinds.protocol import Part, Said, Setting
from wardround.study.label import LabelContract
from wardround.tasks.binary.conformal import low_order
from wardround.tasks.number.scale import REACH, Scale, columns_of
from wardround.tasks.number.task import NumberTask
from wardround.tasks.protocol import Floats
from wardround.values.errors import DataError

BINS = 10


class NumberKind:
    """See `wardround.clinic.kinds.protocol.Kind`."""

    reads: frozenset[Setting] = frozenset({"coverage", "widest"})
    by_order: frozenset[str] = frozenset()
    bins = BINS

    def __init__(self, label: LabelContract) -> None:
        self.task, self.label = NumberTask(label), label
        self.scale, self.unit = Scale.of(label), label.asked.unit
        self._columns = list(columns_of(label.asked))

    @cached_property
    def correcting(self) -> Straight:
        return Straight(
            moved=lambda outputs, slope, offsets: slope * outputs + offsets,
            losses=self.task.losses,
            offsets=1,
            forms=("none", "offset", "line"),
            squared=True,
        )

    def judged(self, labels: NDArray[Any]) -> NDArray[Any]:
        return labels

    def known(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        return np.isfinite(np.asarray(labels, np.float64))

    def counted(self, labels: NDArray[Any]) -> dict[str, int]:
        return {}

    def require(self, labels: NDArray[Any]) -> None:
        require_numbers(labels)

    def outputs(self, shown: Floats) -> Floats:
        """Aims, in the order of the task's outputs."""
        outputs = np.empty_like(shown)
        outputs[:, self._columns] = self.scale.aim(shown)
        return outputs

    def limits(self, raw: Floats, crossed: Floats, labels: NDArray[Any], promise: float) -> Limits:
        aims = self.scale.aim(np.asarray(labels, np.float64))
        held = np.clip(crossed, -REACH, REACH)
        outside = np.maximum(held.min(axis=1) - aims, aims - held.max(axis=1))
        most = low_order(-outside, 1 - promise)
        return Reach(kind="number", promise=promise, reach=None if most is None else -most, cases=len(labels))

    def _ends(self, corrected: Floats, limits: Limits) -> tuple[Floats, Floats, Floats]:
        """(n,) each: middle, low and high end, in the unit."""
        assert isinstance(limits, Reach)
        bounds, held = self.scale.bounds, np.clip(corrected, -REACH, REACH)
        middle = self.scale.number(held[:, self._columns[0]])
        if limits.reach is None:
            return middle, np.full(len(middle), bounds.low), np.full(len(middle), bounds.high)
        low, high = held.min(axis=1) - limits.reach, held.max(axis=1) + limits.reach
        return middle, np.minimum(self.scale.number(low), middle), np.maximum(self.scale.number(high), middle)

    def said(self, raw: Floats, corrected: Floats, limits: Limits, widest: float) -> tuple[Said, ...]:
        middle, low, high = self._ends(corrected, limits)
        own = self.scale.number(raw[:, self._columns[0]])
        width = self.scale.bounds.width
        name = self.label.name
        return tuple(
            Said(
                interval_text(middle[row], low[row], high[row], width, self.unit),
                (Part(name, float(middle[row]), float(own[row]), float(low[row]), float(high[row]), "value"),),
                ("wide",) if high[row] - low[row] > widest * width else (),
            )
            for row in range(len(middle))
        )

    def shares(self, raw: Floats, corrected: Floats, limits: Limits, labels: NDArray[Any], widest: float) -> Mapping[str, Floats]:
        _, low, high = self._ends(corrected, limits)
        truth, width = np.asarray(labels, np.float64), self.scale.bounds.width
        true = (low <= truth + 1e-6 * width) & (truth <= high + 1e-6 * width)
        return interval_shares(true, high - low, width, widest)

    def score_bins(self, corrected: Floats) -> NDArray[np.int64]:
        """Of the middle, in ten equal parts of the scale."""
        part = np.clip(corrected[:, self._columns[0]] / (2 * REACH) + 0.5, 0.0, 1.0)
        return np.minimum((part * BINS).astype(np.int64), BINS - 1)

    def focus(self, corrected: Floats) -> int:
        return 0

    def pull(self, outputs: Floats, focus: int) -> Floats:
        return np.asarray(outputs[:, self._columns[0]])


def require_numbers(labels: NDArray[Any]) -> None:
    """DataError where all cases have one answer."""
    if len(np.unique(np.asarray(labels, np.float64))) < 2:
        raise DataError(
            "A model is tested on cases whose answers differ",
            expected="labelled cases with two or more different numbers",
            found=f"{len(labels)} labelled cases, all with one number" if len(labels) else "no labelled case",
            hint="add cases, or look how [data.label] of the model reads your labels",
        )


def interval_shares(true: NDArray[np.bool_], widths: Floats, whole: float, widest: float) -> dict[str, Floats]:
    """Whether ranges hold the truth, are too wide to tell anything, and are wrong though they tell something."""
    wide = widths > widest * whole
    return {
        "coverage": true.astype(np.float64),
        "cannot_tell": wide.astype(np.float64),
        "wrong": (~wide & ~true).astype(np.float64),
    }


def number_text(value: float, width: float) -> str:
    """With as many digits behind the point as a hundredth of the range asks for.

    >>> number_text(3.4286, 30.0), number_text(0.1234, 1.0), number_text(1234.0, 5000.0)
    ('3.4', '0.12', '1234')
    """
    return f"{value:.{max(0, 2 - math.floor(math.log10(width) + 1e-9))}f}"


def interval_text(value: float, low: float, high: float, width: float, unit: str) -> str:
    """ "3.4 days (2.1 to 6.0)"."""
    numbers = [number_text(one, width) for one in (value, low, high)]
    return f"{numbers[0]}{f' {unit}' if unit else ''} ({numbers[1]} to {numbers[2]})"
