"""Does the model still see the patients that it was accepted on, and do doctors still agree with it?

cases of the last days --counts--+
acceptance's reference ----------+--> figures with intervals, each against its limit --> too few | steady | unclear | beyond

A figure is `beyond` where its whole 95 % interval lies beyond the limit, `steady` where the whole lies within it, else `unclear`.
One that lies just on its limit is called beyond in one look of forty.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from wardround.clinic.place.acceptance_record import AcceptanceRecord, WatchRecord
from wardround.clinic.place.watch_settings import WatchSection
from wardround.clinic.store.database import Store
from wardround.clinic.watch.case_counts import CaseCounts, Opinions, case_counts, opinions
from wardround.clinic.watch.stability import stability
from wardround.tasks.intervals import of_difference, wilson
from wardround.tasks.protocol import Interval

DAY_S = 86400.0
Kind = Literal["psi", "more", "agreement", "calibration"]
State = Literal["too-few", "steady", "unclear", "beyond"]


@dataclass(frozen=True)
class Figure:
    """One thing that is watched. cases: that it is from. value, interval: None with too few cases.

    psi: population stability index. more: share now less the accepted one. agreement: share of answers with which doctors agree.
    calibration: share with the finding, as doctors say it, less the mean probability.
    """

    name: str
    kind: Kind
    cases: int
    limit: float
    value: float | None = None
    interval: Interval | None = None

    @property
    def state(self) -> State:
        if self.interval is None:
            return "too-few"
        low, high = self._from_limit
        return "beyond" if low > self.limit else "steady" if high <= self.limit else "unclear"

    @property
    def is_back(self) -> bool:
        """Whether an alert about it may end: the figure itself keeps the limit."""
        if self.value is None:
            return False
        bad = -self.value if self.kind == "agreement" else abs(self.value) if self.kind == "calibration" else self.value
        return bad <= (-self.limit if self.kind == "agreement" else self.limit)

    @property
    def _from_limit(self) -> Interval:
        """The interval, turned so that a large number is bad and compared with `limit`."""
        low, high = self.interval or (0.0, 0.0)
        if self.kind == "agreement":
            return 2 * self.limit - high, 2 * self.limit - low
        if self.kind == "calibration":
            return max(low, -high, 0.0), max(-low, high)
        return low, high


@dataclass(frozen=True)
class Drift:
    """What was found of one acceptance. since, until: seconds since 1970. reference: whether the acceptance kept counts."""

    acceptance: str
    model: str
    since: float
    until: float
    cases: int
    reference: bool
    figures: tuple[Figure, ...]


def drift_of(store: Store, record: AcceptanceRecord, settings: WatchSection, now: float) -> Drift:
    """Of the cases that were answered under the acceptance in the last days."""
    since = now - settings.days * DAY_S
    counts = case_counts(store, record.statement.data, since, now, acceptance=record.id)
    said = opinions(store, since, now, record.id)
    compared = () if record.watch is None else tuple(compared_figures(counts, record.watch, settings))
    return Drift(
        record.id,
        record.model,
        since,
        now,
        counts.cases,
        record.watch is not None,
        (*compared, *_of_opinions(said, settings, yes_or_no=record.tuned is None)),
    )


def compared_figures(counts: CaseCounts, accepted: WatchRecord, settings: WatchSection) -> Iterator[Figure]:
    """Each figure that both counted."""
    for name, before in accepted.bins.items():
        now = counts.bins.get(name)
        if now is not None and len(now) == len(before):
            yield psi_figure(name, np.asarray(now), np.array(before), settings)
    yield _more("cannot tell", counts.cannot_tell, accepted.cannot_tell, counts.cases, accepted.cases, settings)
    if accepted.unusual is not None:
        yield _more("unusual", counts.unusual, accepted.unusual, counts.cases, accepted.cases, settings)


def psi_figure(name: str, now: np.ndarray[Any, Any], before: np.ndarray[Any, Any], settings: WatchSection) -> Figure:
    """The stability index of one figure; nothing where either has too few cases."""
    cases, limit = int(now.sum()), settings.psi_at_most
    if cases < settings.cases_at_least or not before.sum():
        return Figure(name, "psi", cases, limit)
    compared = stability(now, before)
    return Figure(name, "psi", cases, limit, compared.psi, compared.interval)


def _more(name: str, now: int, before: int, cases: int, accepted: int, settings: WatchSection) -> Figure:
    limit = settings.more_unusual_at_most if name == "unusual" else settings.more_cannot_tell_at_most
    if cases < settings.cases_at_least or not accepted:
        return Figure(name, "more", cases, limit)
    first, second = before / accepted, now / cases
    ends = of_difference(first, wilson(before, accepted), second, wilson(now, cases))
    return Figure(name, "more", cases, limit, second - first, ends)


def _of_opinions(said: Opinions, settings: WatchSection, *, yes_or_no: bool) -> Iterator[Figure]:
    """Agreement, and of a yes or no whether the probabilities are those that doctors find. Doctors choose on what they comment,
    and see the answer first: both figures say what they say of those cases alone."""
    enough, limit = said.cases >= settings.opinions_at_least, settings.agreement_at_least
    if enough:
        share = said.agreed / said.cases
        yield Figure("agreement", "agreement", said.cases, limit, share, wilson(said.agreed, said.cases))
    else:
        yield Figure("agreement", "agreement", said.cases, limit)
    if not yes_or_no:
        return
    limit = settings.calibration_at_most
    if said.labelled >= settings.opinions_at_least:
        mean = said.expected / said.labelled
        low, high = wilson(said.ill, said.labelled)
        value = said.ill / said.labelled - mean
        yield Figure("calibration", "calibration", said.labelled, limit, value, (low - mean, high - mean))
    else:
        yield Figure("calibration", "calibration", said.labelled, limit)
