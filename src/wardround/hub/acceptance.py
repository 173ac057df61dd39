"""What can be checked on a total, since nobody sees one site's part: whether it is possible, how long it is, what it did.

    total --judge--> Verdict: used, or discarded; and whether the round before it is rolled back

Nothing here finds a poison that is small, patient and aimed at few; see docs/security.md.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from wardround.hub.checkpoint import Progress
from wardround.plan.plan import Plan, under
from wardround.privacy.frame import Frame
from wardround.privacy.gaussian_mechanism import NoisedFrame
from wardround.privacy.mechanism import AnyFrame
from wardround.tasks.protocol import Task, fall, read_sums
from wardround.tasks.sums import Sums
from wardround.values.blockwise import distance_squared
from wardround.values.contribution import Contribution
from wardround.values.errors import WireError
from wardround.values.tree import Bundle, size_of

IMPOSSIBLE, TOO_LONG, DROPPED, FROM_DISCARDED = "impossible-counts", "too-long", "validation-drop", "from-a-discarded-model"
DIVERGED = "diverged"  # no hospital has a loss that is a number, or none would work with the model that came out
LARGEST_COUNT = 2**40
CLOSED_FOR_EVER = "closed-for-ever"  # sites spoke for a set, and one of them will never help to open it


@dataclass(frozen=True)
class Verdict:
    """discarded: why the total is not used; empty where it is. rolls_back: why the round before it is taken back, or empty."""

    discarded: str = ""
    rolls_back: str = ""

    @classmethod
    def of_scores(cls, plan: Plan, progress: Progress, scores: Sums) -> "Verdict":
        """By the scores of the model that the last round made: whether it is worse than the one that the round began with, by
        more than the study allows."""
        history = progress.history
        if not progress.before or not history or history[-1].discarded:
            return cls()
        before, limit = plan.read_scores(history[-1].validation), plan.study.summation.max_auc_drop
        return cls(FROM_DISCARDED, DROPPED) if dropped(plan.task, before, scores, limit) else cls()


def judge(plan: Plan, progress: Progress, total: Contribution, reference: Bundle, frame: AnyFrame) -> Verdict:
    """What becomes of a round's total. A private one holds no counts that could be impossible, and no scores."""
    if total.weight < 1:
        return Verdict(IMPOSSIBLE)
    if plan.private is None:
        if impossible(plan.task, total, progress.dataset_counts):
            return Verdict(IMPOSSIBLE)
        if plan.tells_figures and plan.takes_local_steps and int(total.counts["loss"][1]) == 0:
            return Verdict(DIVERGED)
        verdict = Verdict.of_scores(plan, progress, validation_of(plan, total, Verdict()))
        if verdict.discarded:
            return verdict
    if isinstance(frame, NoisedFrame) or not too_long(total, reference, frame):
        return Verdict()
    return Verdict(TOO_LONG)


def validation_of(plan: Plan, total: Contribution, verdict: Verdict) -> Sums:
    """The validation scores of the model that came into the round; of no records where there are none to be had."""
    if plan.private is not None or verdict.discarded == IMPOSSIBLE:
        return plan.no_scores
    return plan.scores(total.counts, "validation")


def impossible(task: Task, total: Contribution, dataset_counts: Mapping[str, Sequence[int]]) -> bool:
    """Whether the counts of a round's total cannot be those of the sites that opened the study. dataset_counts: images in train,
    validation and test."""
    train, validation, _ = dataset_counts["images"]
    if not 0 <= total.weight <= train or any((array < 0).any() for array in total.counts.values()):
        return True
    try:
        scores = read_sums(task, under("validation", total.counts))
    except WireError:  # numbers that no scores of patients add up to
        return True
    return task.records(scores) > validation


def possible_counts(counts: Mapping[str, NDArray[Any]], *, evaluates_only: bool = False) -> bool:
    """Whether the counts of an opening can be those of hospitals that have patients for it: to train on, or to test on where the
    study evaluates only. Nobody counts training patients there."""
    whole = all((array >= 0).all() and (array < LARGEST_COUNT).all() for array in counts.values())
    train, _, test = counts["images"].tolist()
    return whole and (train == 0 and test >= 1 if evaluates_only else train >= 1)


def too_long(total: Contribution, reference: Bundle, frame: Frame) -> bool:
    """Whether the mean change is longer than `frame.max_update_norm` and rounding together: honest sites each keep to it."""
    if frame.max_update_norm is None or total.weight < 1:
        return False
    # Each site's words are within one step of its values; their sum is divided by the share of the weight that was counted.
    rounding = frame.grid.error_bound * frame.weight / total.weight
    for part, tree in reference.items():
        if part in frame.real:
            squares = (distance_squared(total.values[part][name], total.weight, array) for name, array in tree.items())
            if math.sqrt(sum(squares)) > frame.max_update_norm + rounding * math.sqrt(size_of(frame.real[part])):
                return True
    return False


def dropped(task: Task, before: Sums, after: Sums, limit: float | None) -> bool:
    """Whether the task's headline got worse by more than `limit` from one model to the next; never where either has none."""
    if limit is None:
        return False
    worse = fall(task, before, after)
    return math.isfinite(worse) and worse > limit
