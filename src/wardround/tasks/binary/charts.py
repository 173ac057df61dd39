"""The drawings of a yes-or-no question, as data: ROC curves of several models, calibration of one."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from wardround.tasks.binary.figures import ConfusionCounts, confusion_at, roc_counts
from wardround.tasks.binary.predictive import (
    PredictiveValue,
    natural_frequencies,
    negative_predictive_value,
    positive_predictive_value,
)
from wardround.tasks.binary.score_sums import ONE, ScoreSums
from wardround.tasks.intervals import wilson
from wardround.tasks.protocol import Chart, DecisionTable, Dots, Floats


def charts_of(models: Mapping[str, ScoreSums], finding: str) -> tuple[Chart, ...]:
    """ROC of all models that have both classes; calibration of the first. None that the sums cannot give."""
    first = next(iter(models.values()), None)
    drawn = (_roc(models), None if first is None else _calibration(next(iter(models)), first, finding))
    return tuple(chart for chart in drawn if chart is not None)


def roc_points(sums: ScoreSums) -> tuple[Floats, Floats] | None:
    """False- and true-positive rates from (0, 0) to (1, 1), each point once; None with one class only."""
    if not sums.positives or not sums.negatives:
        return None
    counts = np.unique(roc_counts(sums), axis=0)  # both columns fall with the threshold, so sorted rows are the curve's order
    return counts[:, 1] / sums.negatives, counts[:, 0] / sums.positives


def calibration_dots(sums: ScoreSums) -> Dots | None:
    """For each bin of the probability that holds records: the mean probability, the share of positives, its 95 % interval."""
    rows = [row for row in sums.calibration.tolist() if row[0]]
    ends = [wilson(positive, count) for count, _, positive in rows]
    if not rows:
        return None
    return Dots(
        x=tuple(total / ONE / count for count, total, _ in rows),
        y=tuple(positive / count for count, _, positive in rows),
        low=tuple(low for low, _ in ends),
        high=tuple(high for _, high in ends),
    )


def decision_table(sums: ScoreSums, threshold: float, finding: str) -> DecisionTable:
    """finding: what a yes means, as the study calls it."""
    counts = confusion_at(sums, threshold)
    present = ((counts.true_positive, "found"), (counts.false_negative, "missed"))
    absent = ((counts.false_positive, "false alarms"), (counts.true_negative, "rightly cleared"))
    rows = ((f"with {finding}", present), (f"without {finding}", absent))
    return DecisionTable(("model says yes", "model says no"), rows, tuple(_worth(counts, finding)))


def _worth(counts: ConfusionCounts, finding: str) -> Iterator[str]:
    """What a yes and a no are worth on these records, and the same as whole people."""
    people = natural_frequencies(counts, 100)
    if people is None:
        return
    yield (
        f"Of 100 people like these, {people.with_the_finding} have {finding}: the model finds {people.found} of them and misses "
        f"{people.missed}. Of the {people.false_alarms + people.cleared} without it, it alarms {people.false_alarms} for nothing."
    )
    yes, no = positive_predictive_value(counts), negative_predictive_value(counts)
    yield (
        f"A yes is right in {_share(yes)} of cases (positive predictive value), a no in {_share(no)} (negative predictive "
        f"value). Both hold where {finding} is as common as here; where it is rarer, a yes is worth less."
    )


def _share(worth: PredictiveValue) -> str:
    if math.isnan(worth.value):
        return "no"
    return f"{worth.value:.0%} ({worth.interval[0]:.0%} to {worth.interval[1]:.0%})"


def _roc(models: Mapping[str, ScoreSums]) -> Chart | None:
    lines = {name: points for name, sums in models.items() if (points := roc_points(sums)) is not None}
    if not lines:
        return None
    several = len(lines) > 1
    beside = ": the federated model against models trained on one hospital's data" if several else ""
    whose = "the federated model and of each hospital's own" if several else f"the {next(iter(lines))} model"
    return Chart(
        key="roc",
        x="1 − specificity",
        y="sensitivity",
        label=f"ROC curve{'s' * several} of {whose}",
        caption=f"ROC curve{'s' * several} on all hospitals' held-out test patients{beside}.",
        lines=lines,
        diagonal=True,
    )


def _calibration(model: str, sums: ScoreSums, finding: str) -> Chart | None:
    dots = calibration_dots(sums)
    if dots is None:
        return None
    return Chart(
        key="calibration",
        x="predicted probability",
        y=f"observed share with {finding}",
        label=f"Calibration of the {model} model",
        caption="When the model says 70 %, is it right 7 times in 10? Points on the diagonal are. 15 bins, 95 % intervals.",
        dots=dots,
        diagonal=True,
    )
