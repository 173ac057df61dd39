"""Several findings at the bedside: each a yes, a no or `cannot tell` of its own, by the map and the limits of a yes or no."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.kinds.limits import Correction, FindingLimits, Limits
from wardround.clinic.kinds.protocol import Chosen, Part, Reason, Said, Setting, State, log_odds
from wardround.study.label import LabelContract
from wardround.tasks.binary.conformal import conformal_limits
from wardround.tasks.binary.local_map import LocalMap
from wardround.tasks.binary.recalibrating import chosen_map
from wardround.tasks.binary.score_sums import probability
from wardround.tasks.findings.label import truths_of
from wardround.tasks.findings.task import FindingsTask
from wardround.tasks.protocol import Floats
from wardround.tasks.shared.score_stack import BLANK
from wardround.values.errors import DataError

MOST_BINS = 10


@dataclass(frozen=True)
class MapEach:
    """A yes or no's map for each finding, by the cases of which it is known."""

    names: tuple[str, ...]

    def chosen(self, outputs: Floats, labels: NDArray[Any], folds: NDArray[np.integer]) -> Chosen:
        """Limits are on the model's own scores: nothing is crossed."""
        truths = truths_of(labels, len(self.names))
        maps: list[LocalMap] = []
        losses: dict[str, float] = {}
        for k, name in enumerate(self.names):
            there = truths[:, k] != BLANK
            if there.any():
                best, costs = chosen_map(outputs[there, k], truths[there, k], folds[there])
                losses |= {f"{name}: {form}": cost for form, cost in costs.items()}
            maps.append(best if there.any() else LocalMap())
        return Chosen(Correction(name="maps", maps=tuple(maps)), losses, outputs)

    def corrected(self, outputs: Floats, correction: Correction) -> Floats:
        return np.stack([one.scores(outputs[:, k]) for k, one in enumerate(correction.maps)], axis=1)


class FindingsKind:
    """See `wardround.clinic.kinds.protocol.Kind`."""

    reads: frozenset[Setting] = frozenset({"coverage"})
    by_order = frozenset({"macro_auc"})

    def __init__(self, label: LabelContract) -> None:
        self.task, self.label = FindingsTask(label), label
        self.names = self.task.names

    @property
    def correcting(self) -> MapEach:
        return MapEach(self.names)

    @property
    def bins(self) -> int:
        """How many findings are to be expected, rounded."""
        return min(len(self.names) + 1, MOST_BINS)

    def judged(self, labels: NDArray[Any]) -> NDArray[Any]:
        return labels

    def known(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray((self._truths(labels) != BLANK).any(axis=1))

    def _truths(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        return truths_of(labels, len(self.names))

    def counted(self, labels: NDArray[Any]) -> dict[str, int]:
        return dict(zip(self.names, (self._truths(labels) == 1).sum(axis=0).tolist(), strict=True))

    def require(self, labels: NDArray[Any]) -> None:
        truths = self._truths(labels)
        if not ((truths == 1).any(axis=0) & (truths == 0).any(axis=0)).any():
            raise DataError(
                "A model is tested on cases with a finding and without it",
                expected=f"labelled cases of both kinds for one of {', '.join(self.names)} at least",
                found=", ".join(f"{count} with {name}" for name, count in self.counted(labels).items()),
                hint="add cases, or look how [data.label] of the model reads your labels",
            )

    def outputs(self, shown: Floats) -> Floats:
        """Log-odds."""
        return log_odds(shown)

    def limits(self, raw: Floats, crossed: Floats, labels: NDArray[Any], promise: float) -> Limits:
        """On the model's own scores, as of a yes or no."""
        truths, each = self._truths(labels), []
        for k in range(len(self.names)):
            there = truths[:, k] != BLANK
            each.append(conformal_limits(raw[there, k], truths[there, k], promise))
        return FindingLimits(promise=promise, each=tuple(each))

    def _may_be(self, raw: Floats, limits: Limits) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        assert isinstance(limits, FindingLimits)
        both = [one.may_be(raw[:, k]) for k, one in enumerate(limits.each)]
        return np.stack([yes for yes, _ in both], axis=1), np.stack([no for _, no in both], axis=1)

    def said(self, raw: Floats, corrected: Floats, limits: Limits, widest: float) -> tuple[Said, ...]:
        chances, raw_chances = probability(corrected), probability(raw)
        yes, no = self._may_be(raw, limits)
        return tuple(self._said(chances[row], raw_chances[row], yes[row], no[row]) for row in range(len(raw)))

    def _said(self, chances: Floats, raw: Floats, yes: NDArray[np.bool_], no: NDArray[np.bool_]) -> Said:
        states: list[State] = [
            "cannot-tell" if may == may_not else "positive" if may else "negative" for may, may_not in zip(yes, no, strict=True)
        ]
        parts = tuple(Part(name, float(chances[k]), float(raw[k]), None, None, states[k]) for k, name in enumerate(self.names))
        reasons: tuple[Reason, ...] = ()
        if all(state == "cannot-tell" for state in states):
            fits: tuple[Reason, ...] = ("both-fit",) if (yes & no).any() else ()
            reasons = (*fits, *(("neither-fits",) if not (yes | no).all() else ()))
        there, open_ones = (
            ", ".join(name for name, state in zip(self.names, states, strict=True) if state == one)
            for one in ("positive", "cannot-tell")
        )
        return Said((there or "none") + (f" (cannot tell: {open_ones})" if open_ones else ""), parts, reasons)

    def shares(self, raw: Floats, corrected: Floats, limits: Limits, labels: NDArray[Any], widest: float) -> Mapping[str, Floats]:
        """Of each finding that is known."""
        truths, (yes, no) = self._truths(labels), self._may_be(raw, limits)
        true = np.where(truths == 1, yes, no).astype(np.float64)
        told, known_answers = yes != no, truths != BLANK
        return {
            "coverage": np.where(known_answers, true, np.nan),
            "coverage_positive": np.where(truths == 1, true, np.nan),
            "coverage_negative": np.where(truths == 0, true, np.nan),
            "cannot_tell": (~told).astype(np.float64),
            "wrong": np.where(known_answers, told & (true == 0), np.nan),
        }

    def score_bins(self, corrected: Floats) -> NDArray[np.int64]:
        return np.asarray(np.minimum(np.rint(probability(corrected).sum(axis=1)), self.bins - 1), np.int64)

    def focus(self, corrected: Floats) -> int:
        """The likeliest finding."""
        return int(corrected[0].argmax())

    def pull(self, outputs: Floats, focus: int) -> Floats:
        return np.asarray(outputs[:, focus])
