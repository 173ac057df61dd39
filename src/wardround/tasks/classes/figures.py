"""Sums, figures and their 95 % intervals of a question with several classes. No torch.

    outputs (n, k), labels (n,) --sums_of--> confusion (k, k), each class against the rest, confidence (15, 3), ... --> measure

Intervals: Wilson for proportions; DeLong, class by class, for the mean AUC (`shared.score_stack`); for the others a multinomial
bootstrap of the table that they follow from. The loss has none: its sum does not say how far records lie apart.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.binary.score_sums import CALIBRATION_BINS, LOSS_CAP, ONE
from wardround.tasks.classes.chances import against_the_rest, log_chances
from wardround.tasks.intervals import UNDEFINED, wilson
from wardround.tasks.protocol import Estimate, Figures, Floats, Interval
from wardround.tasks.shared.confusion import balanced_accuracy, counted, kappa
from wardround.tasks.shared.outputs import usable
from wardround.tasks.shared.resampling import drawn_again, ends_of
from wardround.tasks.shared.score_stack import BLANK, mean_auc, parts, stack_most_added, stack_shapes, stacked
from wardround.tasks.sums import Counts, Sums, impossible
from wardround.values.tree import Shapes


def shapes_of(classes: int) -> Shapes:
    """confusion (k, k): truth by what was said. confidence (15, 3): for 15 equal bins of the largest chance the records, the sum
    of round(chance 2^20), and those that were right. second (): records whose class is among the two likeliest. log_loss (): the
    sum of round(min(loss, 16) 2^20). The others: each class against the rest, as `score_stack` has them."""
    own: Shapes = {"confusion": (classes, classes), "confidence": (CALIBRATION_BINS, 3), "second": (), "log_loss": ()}
    return {**own, **stack_shapes(classes)}


def most_added(classes: int) -> dict[str, int]:
    """By one record."""
    own = {"confusion": 1, "confidence": ONE + 2, "second": 1, "log_loss": round(LOSS_CAP * ONE)}
    return {**own, **stack_most_added(classes)}


def losses(outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
    """Of each record, in nats, capped at LOSS_CAP; 0 of a blank."""
    logs = log_chances(usable(outputs))
    known_rows = labels != BLANK
    return np.where(known_rows, np.minimum(-logs[np.arange(len(logs)), np.where(known_rows, labels, 0)], LOSS_CAP), 0.0)


def sums_of(outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
    """Of n records; blank ones count nowhere."""
    scores, classes = usable(outputs), outputs.shape[1]
    known_rows = labels != BLANK
    scores, truth = scores[known_rows], labels[known_rows].astype(np.int64)
    chances = np.exp(log_chances(scores))
    said = chances.argmax(axis=1)
    # The class is among the two likeliest where at most one other is likelier; of equals the first ones.
    own = chances[np.arange(len(truth)), truth]
    before = (chances > own[:, None]) | ((chances == own[:, None]) & (np.arange(classes) < truth[:, None]))
    cost = losses(scores, truth)
    return Sums(
        {
            "confusion": counted(truth, said, classes),
            "confidence": confidence(chances.max(axis=1), said == truth),
            "second": np.asarray(int((before.sum(axis=1) < 2).sum())),
            "log_loss": np.asarray(np.rint(cost * ONE).astype(np.int64).sum()),
            **stacked(against_the_rest(scores), (truth[:, None] == np.arange(classes)).astype(np.int64)),
        }
    )


def confidence(chances: Floats, right: NDArray[np.bool_]) -> Counts:
    """(15, 3) of the chance of what was said (n,), and whether it was right."""
    table = np.zeros((CALIBRATION_BINS, 3), np.int64)
    bins = np.minimum((chances * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    whole = np.rint(chances * ONE).astype(np.int64)
    np.add.at(table, bins, np.stack([np.ones_like(whole), whole, right.astype(np.int64)], axis=1))
    return table


def check(sums: Sums) -> None:
    """WireError where no records have these sums."""
    matrix, records = sums["confusion"], int(sums["confusion"].sum())
    count, total, right = sums["confidence"].T
    if count.sum() != records or right.sum() != np.trace(matrix) or (right > count).any() or (total > count * ONE).any():
        raise impossible("a table of answers and one of confidence of the same records", "two that disagree")
    for position, one in enumerate(parts(sums)):
        one.check()
        if one.n != records or one.positives != matrix[position].sum():
            raise impossible("as many records of each class in every table", "others")
    if not np.trace(matrix) <= sums["second"] <= records or sums["log_loss"] > records * round(LOSS_CAP * ONE):
        raise impossible("counts and losses within the records' reach", "others")


def measure(sums: Sums, keys: tuple[str, ...], replicates: int) -> Figures:
    """Every figure. keys: of the label counts, class by class."""
    matrix = sums["confusion"]
    records, right, second = int(matrix.sum()), int(np.trace(matrix)), int(sums["second"])
    again = drawn_again(matrix, replicates) if replicates else None
    balanced, agreed = _of_table(matrix, again)
    area, ends = mean_auc(parts(sums))
    values = {
        "macro_auc": area,
        "accuracy": right / records if records else math.nan,
        "balanced_accuracy": balanced[0],
        "top_2": second / records if records else math.nan,
        "kappa": agreed[0],
        "log_loss": float(sums["log_loss"]) / ONE / records if records else math.nan,
        "brier": float(sums["brier"].sum()) / ONE / records if records else math.nan,
        "ece": calibration_error(sums["confidence"]),
        "n": float(records),
        **{key: float(count) for key, count in zip(keys, matrix.sum(axis=1), strict=True)},
    }
    intervals: dict[str, Interval] = {
        "macro_auc": ends,
        "accuracy": wilson(right, records),
        "balanced_accuracy": balanced[1],
        "top_2": wilson(second, records),
        "kappa": agreed[1],
    }
    return Figures(values, intervals)


def _of_table(matrix: Counts, again: Counts | None) -> tuple[Estimate, Estimate]:
    """Balanced accuracy and kappa, each with its interval."""
    balanced = float(balanced_accuracy(matrix))
    agreed = float(kappa(matrix, quadratic=False))
    if again is None:
        return (balanced, UNDEFINED), (agreed, UNDEFINED)
    return (
        (balanced, ends_of(balanced_accuracy(again), balanced)),
        (agreed, ends_of(kappa(again, quadratic=False), agreed, low=-1.0)),
    )


def calibration_error(table: Counts) -> float:
    """The mean, over records, of |mean chance - share that was right| in 15 bins of the chance of what was said (Guo et al., ICML
    2017, equation 3)."""
    count, total, right = table.T
    records = int(count.sum())
    return float(np.abs(total / ONE - right).sum()) / records if records else math.nan


def few(sums: Sums, fewest: int) -> bool:
    """Whether there are not two classes with so many records."""
    return bool((sums["confusion"].sum(axis=1) >= fewest).sum() < 2)
