"""Points of the curves that a report draws, from the sums of an evaluation; and evaluations by model and place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.study.record.run_record import Evaluation, RunRecord
from wardround.tasks.evaluation import sums_of
from wardround.tasks.metrics import ConfusionCounts, confusion_at, roc_counts, wilson
from wardround.tasks.score_sums import ONE

Floats = NDArray[np.float64]
FEDERATED = "federated"


@dataclass(frozen=True)
class CalibrationPoint:
    """Records whose probability fell into one bin: the mean probability, the share of positives, its 95 % interval."""

    predicted: float
    observed: float
    low: float
    high: float
    records: int


def roc_points(evaluation: Evaluation) -> tuple[Floats, Floats] | None:
    """False- and true-positive rates from (0, 0) to (1, 1), each point once; None without sums or with one class only."""
    sums = sums_of(evaluation)
    if sums is None or not sums.positives or not sums.negatives:
        return None
    counts = np.unique(roc_counts(sums), axis=0)  # both columns fall with the threshold, so sorted rows are the curve's order
    return counts[:, 1] / sums.negatives, counts[:, 0] / sums.positives


def calibration_points(evaluation: Evaluation) -> tuple[CalibrationPoint, ...]:
    """One point per bin of the probability that holds records, from low to high; empty without sums."""
    sums = sums_of(evaluation)
    if sums is None:
        return ()
    points = []
    for count, total, positive in sums.calibration.tolist():
        if count:
            low, high = wilson(positive, count)
            points.append(CalibrationPoint(total / ONE / count, positive / count, low, high, count))
    return tuple(points)


def confusion(evaluation: Evaluation) -> ConfusionCounts | None:
    """Counts at the evaluation's own threshold; None without sums."""
    sums, threshold = sums_of(evaluation), evaluation.value("threshold")
    return None if sums is None or threshold is None else confusion_at(sums, threshold)


def by_model_and_site(record: RunRecord) -> dict[str, dict[str, Evaluation]]:
    """Every model on every site's test patients: the record's cross table, completed by what it says site by site.

    The federated model comes first, then the models in the order of the record.
    """
    table: dict[str, dict[str, Evaluation]] = {FEDERATED: {}}
    for site, entry in record.sites.items():
        if entry.federated is not None:
            table[FEDERATED][site] = entry.federated
        if entry.own is not None:
            table.setdefault(site, {})[site] = entry.own
    for model, places in record.cross.items():
        table.setdefault(model, {}).update(places)
    return {model: places for model, places in table.items() if places}
