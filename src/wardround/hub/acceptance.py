"""What can be checked on a total, since nobody sees one site's part: whether it is possible, how long it is, what it did.

Nothing here finds a poison that is small, patient and aimed at few; see docs/security.md.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from wardround.privacy.frame import Frame
from wardround.tasks.metrics import auc
from wardround.tasks.score_sums import ScoreSums
from wardround.values.contribution import Contribution, Counts
from wardround.values.errors import WireError
from wardround.values.tree import Bundle, flatten, size_of

IMPOSSIBLE, TOO_LONG, DROPPED, FROM_DISCARDED = "impossible-counts", "too-long", "validation-drop", "from-a-discarded-model"


def impossible(total: Contribution, dataset_counts: Mapping[str, Sequence[int]]) -> bool:
    """Whether the counts of a round's total cannot be those of the sites that opened the study. dataset_counts: images in train,
    validation and test."""
    train, validation, _ = dataset_counts["images"]
    if not 0 <= total.weight <= train or any((array < 0).any() for array in total.counts.values()):
        return True
    try:
        scores = ScoreSums.from_counts(under("validation", total.counts))
    except WireError:  # numbers that no scores of patients add up to
        return True
    return scores.n > validation


def under(prefix: str, counts: Counts) -> Counts:
    """The counts whose names begin so, without that beginning."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in counts.items() if name.startswith(start)}


def too_long(total: Contribution, reference: Bundle, frame: Frame) -> bool:
    """Whether the mean change is longer than `frame.max_update_norm` and rounding together: honest sites each keep to it."""
    if frame.max_update_norm is None or total.weight < 1:
        return False
    # Each site's words are within one step of its values; their sum is divided by the share of the weight that was counted.
    rounding = frame.grid.error_bound * frame.weight / total.weight
    for part, tree in reference.items():
        if part in frame.real:
            change = flatten(total.values[part]) / total.weight - flatten(tree)
            if float(np.linalg.norm(change)) > frame.max_update_norm + rounding * math.sqrt(size_of(frame.real[part])):
                return True
    return False


def dropped(before: ScoreSums | None, after: ScoreSums, max_auc_drop: float | None) -> bool:
    """Whether the AUC fell by more than `max_auc_drop` from one model to the next; never where either has no AUC."""
    if before is None or max_auc_drop is None:
        return False
    fall = auc(before) - auc(after)
    return math.isfinite(fall) and fall > max_auc_drop
