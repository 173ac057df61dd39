"""Sums, figures and their 95 % intervals of a question for a grade. No torch.

    logits (n, k - 1), labels (n,) --sums_of--> answers against the truth (k, k), each cut as a yes or no, losses --> measure

The answer is the rounded mean of the grades, by their chances: the likeliest grade is another answer, and its kappa another. A
record whose label leaves open which grade it is counts in the loss and in the cuts that it decides, and in no table of answers.

Intervals: Wilson for proportions; the loss by its variance; kappa and the mean distance by a multinomial bootstrap of the table;
the mean AUC of the cuts as `shared.score_stack` says.
"""

import math

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.binary.score_sums import LOSS_CAP, ONE
from wardround.tasks.grades.chances import expected, log_chance_of, log_chances
from wardround.tasks.intervals import wilson
from wardround.tasks.protocol import Estimate, Figures, Floats
from wardround.tasks.shared.confusion import counted, kappa
from wardround.tasks.shared.errors import mean_of
from wardround.tasks.shared.resampling import drawn_again, ends_of
from wardround.tasks.shared.score_stack import BLANK, mean_auc, parts, stack_most_added, stack_shapes, stacked
from wardround.tasks.sums import Counts, Sums, impossible
from wardround.values.tree import Shapes


def shapes_of(grades: int) -> Shapes:
    """answers, likeliest (k, k): truth by the rounded mean, and by the likeliest grade. between (): records whose label leaves
    the grade open. log_loss (2,): the sums of the loss, capped at 16, and of its square. The others: each cut, as `score_stack`
    has them."""
    own: Shapes = {"answers": (grades, grades), "likeliest": (grades, grades), "between": (), "log_loss": (2,)}
    return {**own, **stack_shapes(grades - 1)}


def most_added(grades: int) -> dict[str, int]:
    """By one record."""
    loss = round((LOSS_CAP + LOSS_CAP**2) * ONE)
    return {"answers": 1, "likeliest": 1, "between": 1, "log_loss": loss, **stack_most_added(grades - 1)}


def losses(logits: Floats, may_be: NDArray[np.bool_]) -> Floats:
    """Of each record, in nats, capped at LOSS_CAP; 0 of a blank."""
    return np.minimum(-log_chance_of(logits, may_be), LOSS_CAP) + 0.0


def rounded(logits: Floats) -> Counts:
    """The answer: the mean grade, a half upwards."""
    return np.floor(expected(logits) + 0.5).astype(np.int64)


def cut_truths(may_be: NDArray[np.bool_]) -> Counts:
    """(n, k - 1): whether a record lies beyond each grade but the last: 1, 0, or BLANK where its label leaves that open."""
    beyond = may_be[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:] > 0
    below = may_be.cumsum(axis=1)[:, :-1] > 0
    return np.where(beyond & below | ~(beyond | below), BLANK, beyond).astype(np.int64)


def sums_of(logits: Floats, may_be: NDArray[np.bool_]) -> Sums:
    """Of records (n, k - 1) and the grades that each may be (n, k); records that may be none count nowhere."""
    known_rows, exact = may_be.any(axis=1), may_be.sum(axis=1) == 1
    grades, truth = may_be.shape[1], may_be[exact].argmax(axis=1)
    cost = losses(logits[known_rows], may_be[known_rows])
    return Sums(
        {
            "answers": counted(truth, rounded(logits[exact]), grades),
            "likeliest": counted(truth, log_chances(logits[exact]).argmax(axis=1), grades),
            "between": np.asarray(int((known_rows & ~exact).sum())),
            "log_loss": np.array([np.rint(each * ONE).astype(np.int64).sum() for each in (cost, np.square(cost))]),
            **stacked(logits[known_rows], cut_truths(may_be[known_rows])),
        }
    )


def records(sums: Sums) -> int:
    """Exact ones, and those that lie between."""
    return int(sums["answers"].sum()) + int(sums["between"])


def check(sums: Sums) -> None:
    """WireError where no records have these sums."""
    answers, n = sums["answers"], records(sums)
    if (answers.sum(axis=1) != sums["likeliest"].sum(axis=1)).any():
        raise impossible("two tables of answers of the same records", "two that disagree")
    for position, one in enumerate(parts(sums)):
        one.check()
        beyond, below = int(answers[position + 1 :].sum()), int(answers[: position + 1].sum())
        if one.n > n or one.positives < beyond or one.negatives < below:
            raise impossible("as many records beyond each grade in every table", "others")
    if sums["log_loss"][0] > n * round(LOSS_CAP * ONE) or sums["log_loss"][1] > n * round(LOSS_CAP**2 * ONE):
        raise impossible("losses within the records' reach", "larger ones")


def mean_loss(sums: Sums) -> Estimate:
    """In nats, and its interval."""
    total, squares = (int(one) for one in sums["log_loss"])
    value, (low, high) = mean_of(total, squares, records(sums), 1.0)
    return value, (max(low, 0.0), high)


def measure(sums: Sums, keys: tuple[str, ...], replicates: int) -> Figures:
    """Every figure. keys: of the label counts, grade by grade, and of those between where there are any."""
    answers, n = sums["answers"], records(sums)
    exact, right = int(answers.sum()), int(np.trace(answers))
    near = int(sum(np.trace(answers, offset) for offset in (-1, 0, 1)))
    estimates: dict[str, Estimate] = {"log_loss": mean_loss(sums)}
    for name, table in (("kappa", answers), ("kappa_likeliest", sums["likeliest"])):
        value = float(kappa(table, quadratic=True))
        again = kappa(drawn_again(table, replicates), quadratic=True) if replicates else np.zeros(0)
        estimates[name] = (value, ends_of(again, value, low=-1.0))
    estimates["mean_auc"] = mean_auc(parts(sums))
    estimates["accuracy"] = (right / exact if exact else math.nan, wilson(right, exact))
    estimates["within_one"] = (near / exact if exact else math.nan, wilson(near, exact))
    distance = float(_distance(answers))
    again = _distance(drawn_again(answers, replicates)) if replicates else np.zeros(0)
    estimates["distance"] = (distance, ends_of(again, distance, high=float(len(answers))))
    values = {name: value for name, (value, _) in estimates.items()}
    values["rps"] = float(sums["brier"].sum()) / ONE / n if n else math.nan
    counts = [*answers.sum(axis=1).tolist(), int(sums["between"])]
    counted_values = {key: float(count) for key, count in zip(keys, counts, strict=False)}
    return Figures({**values, "n": float(n), **counted_values}, {name: ends for name, (_, ends) in estimates.items()})


def _distance(tables: Counts) -> Floats:
    """(..., k, k) -> (...): the mean number of grades between answer and truth."""
    places = np.arange(tables.shape[-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((tables * np.abs(places[:, None] - places)).sum((-2, -1)) / tables.sum((-2, -1)))
