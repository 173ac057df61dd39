"""A count at the bedside: how many are to be expected, and between which whole numbers so often as was promised.

correction  a factor on the rate
range       as far from the rate on the scale of 2 sqrt(count + 3/8), on which counts of any size scatter alike (F. J. Anscombe,
            Biometrika 35 (1948) 246)
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.kinds.correcting import Straight
from wardround.clinic.kinds.limits import Limits, Reach
from wardround.clinic.kinds.number import interval_shares, number_text, require_numbers
from wardround.clinic.kinds.protocol import LEAST_CHANCE, Part, Said, Setting
from wardround.study.label import LabelContract
from wardround.tasks.binary.conformal import low_order
from wardround.tasks.count.rate import output_of, rate_of
from wardround.tasks.count.task import CountTask
from wardround.tasks.protocol import Floats

BINS = 10
_SHIFT = 0.375


class CountKind:
    """See `wardround.clinic.kinds.protocol.Kind`."""

    reads: frozenset[Setting] = frozenset({"coverage", "widest"})
    by_order: frozenset[str] = frozenset()
    bins = BINS

    def __init__(self, label: LabelContract) -> None:
        self.task, self.label = CountTask(label), label
        self.largest, self.unit = self.task.bounds.high, label.asked.unit

    @cached_property
    def correcting(self) -> Straight:
        return Straight(
            moved=lambda outputs, slope, offsets: slope * outputs + offsets,
            losses=lambda outputs, labels: self.task.losses(outputs[:, 0], labels),
            offsets=1,
            forms=("none", "offset"),
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
        """The logarithm of the rate against the middle one, (n, 1)."""
        return output_of(np.maximum(shown, LEAST_CHANCE), self.largest)

    def _rates(self, outputs: Floats) -> Floats:
        return np.minimum(rate_of(outputs[:, 0], self.largest), self.largest)

    def limits(self, raw: Floats, crossed: Floats, labels: NDArray[Any], promise: float) -> Limits:
        away = np.abs(_even(np.asarray(labels, np.float64)) - _even(self._rates(crossed)))
        most = low_order(-away, 1 - promise)
        return Reach(kind="count", promise=promise, reach=None if most is None else -most, cases=len(labels))

    def _ends(self, corrected: Floats, limits: Limits) -> tuple[Floats, Floats, Floats]:
        """(n,) each: the rate, and the least and the largest count of the range."""
        assert isinstance(limits, Reach)
        rates = self._rates(corrected)
        if limits.reach is None:
            return rates, np.zeros(len(rates)), np.full(len(rates), self.largest)
        low = np.square(np.maximum(_even(rates) - limits.reach, 0.0) / 2) - _SHIFT
        high = np.square((_even(rates) + limits.reach) / 2) - _SHIFT
        least, most = np.ceil(low - 1e-9), np.floor(high + 1e-9)
        return rates, np.clip(least, 0.0, np.floor(rates)), np.clip(most, np.floor(rates), self.largest)

    def said(self, raw: Floats, corrected: Floats, limits: Limits, widest: float) -> tuple[Said, ...]:
        rates, low, high = self._ends(corrected, limits)
        own, unit = self._rates(raw), f" {self.unit}" if self.unit else ""
        return tuple(
            Said(
                f"{number_text(rates[row], max(self.largest, 10.0))}{unit} ({low[row]:.0f} to {high[row]:.0f})",
                (Part(self.label.name, float(rates[row]), float(own[row]), float(low[row]), float(high[row]), "value"),),
                ("wide",) if high[row] - low[row] > widest * self.largest else (),
            )
            for row in range(len(rates))
        )

    def shares(self, raw: Floats, corrected: Floats, limits: Limits, labels: NDArray[Any], widest: float) -> Mapping[str, Floats]:
        _, low, high = self._ends(corrected, limits)
        truth = np.asarray(labels, np.float64)
        return interval_shares((low <= truth) & (truth <= high), high - low, self.largest, widest)

    def score_bins(self, corrected: Floats) -> NDArray[np.int64]:
        """Of the rate, in ten parts that are equal on the logarithm of 1 + the count."""
        part = np.log1p(self._rates(corrected)) / np.log1p(self.largest)
        return np.asarray(np.minimum((part * BINS).astype(np.int64), BINS - 1))

    def focus(self, corrected: Floats) -> int:
        return 0

    def pull(self, outputs: Floats, focus: int) -> Floats:
        return np.asarray(outputs[:, 0])


def _even(counts: Floats) -> Floats:
    """On which counts scatter alike."""
    return np.asarray(2.0 * np.sqrt(counts + _SHIFT))
