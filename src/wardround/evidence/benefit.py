"""Whether a hospital gains: its own model and the federated one on the same patients, by a paired test where there is one.

Overlapping intervals of two models decide nothing. What is said here follows from each hospital's own paired difference; where
there is none, nothing is claimed.
"""

from dataclasses import dataclass
from typing import Literal

from wardround.study.record.run_record import PairedRecord, RunRecord, SiteRecord
from wardround.tasks.evaluation import sums_of
from wardround.tasks.protocol import Task

LEVEL = 0.05
"""A difference is settled where its p-value is below this."""

Outcome = Literal["better", "worse", "unsettled", "few", "not compared"]


@dataclass(frozen=True)
class Benefit:
    """What a hospital's patients say of the federated model against the hospital's own. paired: of the headline figure."""

    outcome: Outcome
    paired: PairedRecord | None = None


def benefits(record: RunRecord, task: Task) -> dict[str, Benefit]:
    """By hospital, for those with a model of their own."""
    both = {site: entry for site, entry in record.sites.items() if entry.own is not None and entry.federated is not None}
    return {site: _benefit(entry, task) for site, entry in both.items()}


def _benefit(entry: SiteRecord, task: Task) -> Benefit:
    paired = entry.paired.get(task.headline)
    if _few(entry, task):
        return Benefit("few", paired)
    if paired is None:
        return Benefit("not compared")
    if paired.difference is None or paired.p_value is None or paired.p_value >= LEVEL or paired.difference == 0.0:
        return Benefit("unsettled", paired)
    gains = (paired.difference > 0) == task.bigger_is_better
    return Benefit("better" if gains else "worse", paired)


def _few(entry: SiteRecord, task: Task) -> bool:
    """A figure that rests on one patient is not a win."""
    sums = None if entry.federated is None else sums_of(task, entry.federated)
    return sums is not None and task.few(sums)
