"""A time to an event at the bedside: survival at the study's horizons, and what like patients of this hospital had.

    survival at horizons --spread evenly between them--> hazards of the study's grid --factor on all hazards--> survival here
    own cases, by risk --groups--> Kaplan-Meier and Greenwood's interval at each horizon

A model file gives survival at horizons alone. Between two of them the hazard is taken as constant, and answers are judged up to
the last one: whoever was followed beyond it counts as followed to it. C, the loss and the Brier scores are those of that time.

The interval is no promise for one patient, and says so: it is what a group of patients with a like answer had. A conformal range
of the time itself would need a model of who is lost, or reach to the end of the follow-up for most.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.kinds.correcting import Straight
from wardround.clinic.kinds.limits import LikeGroup, Limits, TimeLimits
from wardround.clinic.kinds.protocol import LEAST_CHANCE, Part, Said, Setting
from wardround.study.label import LabelContract
from wardround.tasks.intervals import wilson
from wardround.tasks.protocol import Floats
from wardround.tasks.time.figures import alive_at
from wardround.tasks.time.survival import log_survival, risk
from wardround.tasks.time.task import TimeTask
from wardround.values.errors import DataError

BINS = 10
CASES_OF_A_GROUP, MOST_GROUPS = 40, 5
_LEAST_HAZARD = 1e-9


class TimeKind:
    """See `wardround.clinic.kinds.protocol.Kind`."""

    reads: frozenset[Setting] = frozenset({"widest"})
    by_order = frozenset({"c_index"})
    bins = BINS

    def __init__(self, label: LabelContract) -> None:
        self.task, self.label = TimeTask(label), label
        self.horizons = self.task.horizons
        self._ends = tuple(horizon - 1 for horizon in self.task.grid.horizons)
        """Intervals of the grid that end at the horizons."""
        edges = np.array(label.asked.grid)
        self._lengths, places = np.diff(edges), [0, *self.task.grid.horizons]
        self._piece = np.minimum(np.searchsorted(places[1:], np.arange(1, len(edges))), len(self.horizons) - 1)
        """Of each interval the horizon at or before which it ends; those beyond belong to the last."""
        self._spans = np.array([edges[end] - edges[start] for start, end in pairwise(places)])

    @cached_property
    def correcting(self) -> Straight:
        return Straight(
            moved=lambda outputs, _, offsets: _log_odds_of(_hazards(outputs) * np.exp(offsets)),
            losses=self.task.losses,
            offsets=1,
            forms=("none", "offset"),
        )

    @property
    def _last_tick(self) -> int:
        return self.task.grid.horizons[-1] * self.task.grid.ticks

    def judged(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Followed to the last horizon at most."""
        return np.where(labels >= 2 * self._last_tick, 2.0 * self._last_tick, labels).astype(labels.dtype)

    def known(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(labels >= 0)

    def counted(self, labels: NDArray[Any]) -> dict[str, int]:
        seen = int((self.judged(labels).astype(np.int64) % 2 == 1).sum())
        return {"with the event": seen, "without it so far": len(labels) - seen}

    def require(self, labels: NDArray[Any]) -> None:
        if not self.counted(labels)["with the event"]:
            raise DataError(
                "A model is tested on cases of which some had the event",
                expected=f"labelled cases with {self.label.name} by {self.horizons[-1]}",
                found=f"{len(labels)} labelled cases, none with it by then",
                hint="add cases, or look how [data.label] and task.event of the model read your table",
            )

    def outputs(self, shown: Floats) -> Floats:
        """Hazards that give this survival at the horizons."""
        summed = np.maximum.accumulate(-np.log(np.clip(shown, LEAST_CHANCE, 1.0)), axis=1)
        pieces = np.diff(summed, axis=1, prepend=0.0) / self._spans
        return _log_odds_of(pieces[:, self._piece] * self._lengths)

    def _survival(self, outputs: Floats) -> Floats:
        """(n, horizons)."""
        return np.asarray(np.exp(log_survival(outputs)[:, self._ends]))

    def limits(self, raw: Floats, crossed: Floats, labels: NDArray[Any], promise: float) -> Limits:
        """Groups of like size by the model's own risk, which the correction does not reorder."""
        order, codes = risk(raw), labels.astype(np.int64)
        groups = max(1, min(MOST_GROUPS, len(labels) // CASES_OF_A_GROUP))
        cuts = np.unique(np.quantile(order, np.arange(1, groups) / groups))
        groups_of = np.searchsorted(cuts, order, side="left")
        untils = [*cuts.tolist(), None]
        return TimeLimits(
            groups=tuple(self._group(until, codes[groups_of == k]) for k, until in enumerate(untils) if (groups_of == k).any())
        )

    def _group(self, until: float | None, codes: NDArray[np.int64]) -> LikeGroup:
        ticks = self.task.grid.all_ticks
        when = np.zeros((2, ticks + 1), np.int64)
        np.add.at(when, (codes % 2, codes // 2), 1)
        seen = [self._seen(when, horizon * self.task.grid.ticks) for horizon in self.task.grid.horizons]
        return LikeGroup(
            until=until,
            cases=len(codes),
            events=int(when[1].sum()),
            survival=tuple(value for value, _, _ in seen),
            low=tuple(low for _, low, _ in seen),
            high=tuple(high for _, _, high in seen),
        )

    def _seen(self, when: NDArray[np.int64], tick: int) -> tuple[float, float | None, float | None]:
        """Survival and its interval. Where nobody or everybody of a group had the event, Wilson's of those who are known."""
        value, (low, high) = alive_at(when, tick)
        followed, gone = int(when[:, tick:].sum()), int(when[1, :tick].sum())
        if not followed and value > 0:  # the last ones were lost before
            return value, None, None
        if math.isnan(low):
            low, high = wilson(round(value * (followed + gone)), followed + gone)
        return value, low, high

    def _place(self, raw: Floats, limits: Limits) -> NDArray[np.intp]:
        assert isinstance(limits, TimeLimits)
        untils = [np.inf if one.until is None else one.until for one in limits.groups]
        return np.minimum(np.searchsorted(untils, risk(raw), side="left"), len(untils) - 1)

    def said(self, raw: Floats, corrected: Floats, limits: Limits, widest: float) -> tuple[Said, ...]:
        assert isinstance(limits, TimeLimits)
        survival, own, groups_of = self._survival(corrected), self._survival(raw), self._place(raw, limits)
        return tuple(self._said(survival[row], own[row], limits.groups[groups_of[row]], widest) for row in range(len(raw)))

    def _said(self, survival: Floats, own: Floats, group: LikeGroup, widest: float) -> Said:
        parts = tuple(
            Part(horizon, float(survival[k]), float(own[k]), group.low[k], group.high[k], "value")
            for k, horizon in enumerate(self.horizons)
        )
        return Said(
            "; ".join(f"{100 * part.value:.0f} % without {self.label.name} at {part.name}" for part in parts),
            parts,
            ("wide",) if all(_wide(group, widest)) else (),
        )

    def shares(self, raw: Floats, corrected: Floats, limits: Limits, labels: NDArray[Any], widest: float) -> Mapping[str, Floats]:
        """coverage: whether the model's mean answer to a group lies in the interval of what it had, horizon by horizon."""
        assert isinstance(limits, TimeLimits)
        survival, groups_of = self._survival(corrected), self._place(raw, limits)
        held = np.full(survival.shape, np.nan)
        for k, group in enumerate(limits.groups):
            inside = groups_of == k
            for horizon, (low, high) in enumerate(zip(group.low, group.high, strict=True)):
                if inside.any() and low is not None and high is not None:
                    held[inside, horizon] = float(low <= survival[inside, horizon].mean() <= high)
        wide = np.array([_wide(limits.groups[k], widest) for k in groups_of.tolist()], np.float64).reshape(survival.shape)
        return {"coverage": held, "cannot_tell": wide}

    def score_bins(self, corrected: Floats) -> NDArray[np.int64]:
        """Of the chance of the event by the last horizon, in ten equal parts."""
        return np.minimum(((1.0 - self._survival(corrected)[:, -1]) * BINS).astype(np.int64), BINS - 1)

    def focus(self, corrected: Floats) -> int:
        return 0

    def pull(self, outputs: Floats, focus: int) -> Floats:
        """The logarithm of the summed hazard up to the last horizon."""
        summed = -log_survival(outputs)[:, self._ends[-1]]
        return np.asarray(np.log(np.maximum(summed, _LEAST_HAZARD)))


def _wide(group: LikeGroup, widest: float) -> list[bool]:
    """Of which horizons the group says too little."""
    return [too_wide(low, high, widest) for low, high in zip(group.low, group.high, strict=True)]


def too_wide(low: float | None, high: float | None, widest: float) -> bool:
    """Whether an interval of a share tells nothing."""
    return low is None or high is None or high - low > widest


def _hazards(outputs: Floats) -> Floats:
    """Summed over each interval."""
    return np.logaddexp(0.0, outputs)


def _log_odds_of(hazards: Floats) -> Floats:
    """The inverse."""
    kept = np.maximum(hazards, _LEAST_HAZARD)
    return np.asarray(kept + np.log(-np.expm1(-kept)))
