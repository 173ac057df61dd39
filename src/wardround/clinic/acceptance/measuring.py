"""The figures of one model on the hospital's own cases, as it came and after local calibration; every choice is cross-fitted.

    scores, labels, folds of patients --calibrate--> calibrated scores --rule, on other folds--> yes or no of each --> figures

Intervals: DeLong's for the AUC, Wilson's for shares, the bootstrap of `tasks.binary.figures` for the others; where patients have
several cases, whole patients are drawn for AUC and shares, since the films of one patient are alike.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.acceptance.cases import Cases
from wardround.clinic.acceptance.operating_point import OperatingPoint
from wardround.clinic.answering.public_bins import score_bins
from wardround.clinic.place.acceptance_record import CalibrationRecord, ConformalRecord
from wardround.study.record.evaluation_record import Evaluation
from wardround.study.record.personal_record import PairedRecord
from wardround.tasks.binary.calibration import recalibration
from wardround.tasks.binary.clustered import clustered_interval, patient_weights, weighted_auc, weighted_share
from wardround.tasks.binary.conformal import ConformalLimits, conformal_limits
from wardround.tasks.binary.figures import ConfusionCounts, is_positive, measure
from wardround.tasks.binary.local_map import LocalMap
from wardround.tasks.binary.paired import paired_accuracy, paired_auc
from wardround.tasks.binary.recalibrating import calibrate
from wardround.tasks.binary.score_sums import ScoreSums, probability
from wardround.tasks.binary.worth import predictive_values
from wardround.tasks.intervals import UNDEFINED, wilson
from wardround.tasks.protocol import Floats, Interval
from wardround.tasks.registry import task_of_label

SHARES = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
_KEPT = ("auc", "auprc", "brier", "ece")


@dataclass(frozen=True)
class Measured:
    """One model on n cases.

    scores: as it gives them. chosen, losses: the local calibration. crossed: calibrated scores (n,) by maps of other folds.
    called: yes or no (n,) at thresholds of other folds. threshold: of all cases. raw, local: the figures.
    """

    scores: Floats
    chosen: LocalMap
    losses: dict[str, float]
    crossed: Floats
    called: NDArray[np.bool_]
    threshold: float
    raw: Evaluation
    local: Evaluation


FEWEST, FEWEST_OF_A_CLASS = 20, 5
"""Cases of a group, and of a class in it: with fewer nothing is said."""


@dataclass(frozen=True)
class YesOrNoModel:
    """See `TestedModel`. point: the rule of the threshold. promise: of `cannot tell`."""

    cases: Cases
    one: Measured
    point: OperatingPoint
    promise: float
    prevalence: float | None
    seed: int

    @property
    def raw(self) -> Evaluation:
        return self.one.raw

    @property
    def local(self) -> Evaluation:
        return self.one.local

    @property
    def sections(self) -> Mapping[str, Any]:
        limits, coverage = measured_limits(self.cases, self.one.scores, self.promise, self.seed)
        return {
            "calibration": CalibrationRecord(chosen=self.one.chosen, losses=dict(self.one.losses)),
            "threshold": self.one.threshold,
            "threshold_rule": self.point.rule,
            "prevalence": self.prevalence,
            "conformal": ConformalRecord(limits=limits, measured=coverage),
        }

    @property
    def untold(self) -> NDArray[np.bool_]:
        positive, negative = crossed_may_be(self.cases, self.one.scores, self.promise, self.seed)
        return np.asarray(positive == negative)

    @property
    def score_bins(self) -> NDArray[np.int64]:
        return score_bins(probability(self.one.crossed))

    def of_group(self, group: NDArray[np.bool_]) -> Evaluation | None:
        positives = int(self.cases.labels[group].sum())
        if int(group.sum()) < FEWEST or min(positives, int(group.sum()) - positives) < FEWEST_OF_A_CLASS:
            return None
        one = self.one
        return figures_of(self.cases, one.scores, one.crossed, one.called, group, prevalence=self.prevalence, seed=self.seed)

    def less_asked(self, asked: "YesOrNoModel") -> dict[str, PairedRecord]:
        return less_asked(self.cases, asked.one, self.one)


def measured(
    cases: Cases, scores: Floats, own_threshold: float, point: OperatingPoint, *, prevalence: float | None, seed: int
) -> Measured:
    """own_threshold: what the model's file states, for `raw`. prevalence: the share that PPV and NPV are for; None: as here."""
    folds = cases.folds(seed)
    calibration = calibrate(scores, cases.labels, folds)
    called = np.zeros(len(cases), bool)
    for fold in np.unique(folds):
        inside = folds == fold
        others = ScoreSums.from_scores(calibration.crossed[~inside], cases.labels[~inside])
        called[inside] = is_positive(calibration.crossed[inside], point.threshold(others))
    threshold = point.threshold(ScoreSums.from_scores(calibration.crossed, cases.labels))
    group = np.ones(len(cases), bool)
    return Measured(
        scores=scores,
        chosen=calibration.chosen,
        losses=calibration.losses,
        crossed=calibration.crossed,
        called=called,
        threshold=threshold,
        raw=_with_sums(
            figures_of(cases, scores, scores, is_positive(scores, own_threshold), group, prevalence=prevalence, seed=seed),
            cases,
            scores,
        ),
        local=_with_sums(
            figures_of(cases, scores, calibration.crossed, called, group, prevalence=prevalence, seed=seed),
            cases,
            calibration.crossed,
        ),
    )


def figures_of(
    cases: Cases,
    scores: Floats,
    calibrated: Floats,
    called: NDArray[np.bool_],
    group: NDArray[np.bool_],
    *,
    prevalence: float | None,
    seed: int,
) -> Evaluation:
    """Of the cases of a group (n,). scores: for the AUC, since maps of several folds do not keep the order. calibrated: for
    whatever takes a probability at its word. called: for whatever is counted at the threshold."""
    labels, patients = cases.labels[group], cases.patients[group]
    sums = ScoreSums.from_scores(calibrated[group], labels)
    by_word, by_order = measure(sums, 0.5), measure(ScoreSums.from_scores(scores[group], labels), 0.5, replicates=0)
    values = {name: by_word.values[name] for name in _KEPT} | {"auc": by_order.values["auc"]}
    intervals = {name: by_word.intervals[name] for name in _KEPT} | {"auc": by_order.intervals["auc"]}
    counts = _counts(labels, called[group])
    values |= _values(counts)
    intervals |= _intervals(counts)
    if len(np.unique(patients)) < len(patients):
        intervals |= _clustered(values, scores[group], labels, called[group], patients, seed)
    if prevalence is not None:
        for name, worth in zip(("ppv", "npv"), predictive_values(counts, prevalence), strict=True):
            values[name], intervals[name] = worth.value, worth.interval
    fit = recalibration(sums)
    values |= {"slope": fit.slope[0], "offset": fit.offset[0], "ece_by_chance": chance_error(calibrated[group], seed)}
    intervals |= {"slope": fit.slope[1], "offset": fit.offset[1]}
    values |= {"n": float(len(labels)), "positives": float(labels.sum()), "log_loss": sums.mean_loss}
    return Evaluation(values=dict(values), intervals=dict(intervals))


def _with_sums(evaluation: Evaluation, cases: Cases, scores: Floats) -> Evaluation:
    """The same with the sums behind it, from which a page draws curves."""
    task = task_of_label(cases.contract.label)
    return evaluation.changed(sums=task.pack(task.sums(scores, cases.labels)))


def chance_error(calibrated: Floats, seed: int, *, replicates: int = 200) -> float:
    """The calibration error that probabilities which are true would show on as many cases: what is not the model's fault."""
    from wardround.values.randomness import generator

    chance = probability(np.asarray(calibrated, np.float64))
    part = np.minimum((chance * 15).astype(int), 14)
    drawn = generator("calibration by chance", seed).random((replicates, len(chance))) < chance
    gaps = np.stack([np.abs((drawn - chance)[:, part == k].sum(axis=1)) for k in range(15)])
    return float(gaps.sum(axis=0).mean() / len(chance))


def less_asked(cases: Cases, asked: Measured, other: Measured) -> dict[str, PairedRecord]:
    """The other model's figures less those of the asked one, on the same cases. P-values take cases of one patient as apart."""
    right = [one.called == (cases.labels == 1) for one in (asked, other)]
    ill = cases.labels == 1
    differences = {
        "auc": paired_auc(asked.scores, other.scores, cases.labels),
        "accuracy": paired_accuracy(*right),
        "sensitivity": paired_accuracy(*(one[ill] for one in right)),
        "specificity": paired_accuracy(*(one[~ill] for one in right)),
    }
    return {name: PairedRecord(**asdict(one)) for name, one in differences.items()}


def measured_limits(cases: Cases, scores: Floats, promise: float, seed: int) -> tuple[ConformalLimits, Evaluation]:
    """The limits of all cases; and what they would have done, each fold of patients by the limits of the others."""
    ill = cases.labels == 1
    positive, negative = crossed_may_be(cases, scores, promise, seed)
    holds, told = np.where(ill, positive, negative), positive != negative
    wrong = told & ~holds
    shares = {
        "coverage_positive": (int((holds & ill).sum()), int(ill.sum())),
        "coverage_negative": (int((holds & ~ill).sum()), int((~ill).sum())),
        "cannot_tell": (int((~told).sum()), len(cases)),
        "wrong": (int(wrong.sum()), len(cases)),
    }
    values = {name: hits / trials for name, (hits, trials) in shares.items()}
    evaluation = Evaluation(values=dict(values), intervals={name: wilson(*counts) for name, counts in shares.items()})
    return conformal_limits(scores, cases.labels, promise), evaluation


def crossed_may_be(cases: Cases, scores: Floats, promise: float, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each case (n,) may be positive and may be negative, by limits that cases of other folds made."""
    folds = cases.folds(seed)
    positive, negative = np.zeros(len(cases), bool), np.zeros(len(cases), bool)
    for fold in np.unique(folds):
        inside, made = folds == fold, folds != fold
        limits = conformal_limits(scores[made], cases.labels[made], promise)
        positive[inside], negative[inside] = limits.may_be(scores[inside])
    return positive, negative


def _counts(labels: NDArray[np.integer], called: NDArray[np.bool_]) -> ConfusionCounts:
    ill = labels == 1
    caught, alarms = int((called & ill).sum()), int((called & ~ill).sum())
    return ConfusionCounts(caught, alarms, int((~ill).sum()) - alarms, int(ill.sum()) - caught)


def _parts(counts: ConfusionCounts) -> dict[str, tuple[int, int]]:
    yes, no = counts.true_positive + counts.false_positive, counts.true_negative + counts.false_negative
    return {
        "accuracy": (counts.true_positive + counts.true_negative, yes + no),
        "sensitivity": (counts.true_positive, counts.true_positive + counts.false_negative),
        "specificity": (counts.true_negative, counts.true_negative + counts.false_positive),
        "ppv": (counts.true_positive, yes),
        "npv": (counts.true_negative, no),
    }


def _values(counts: ConfusionCounts) -> dict[str, float]:
    return {name: hits / trials if trials else math.nan for name, (hits, trials) in _parts(counts).items()}


def _intervals(counts: ConfusionCounts) -> dict[str, Interval]:
    return {name: wilson(hits, trials) if trials else UNDEFINED for name, (hits, trials) in _parts(counts).items()}


def _clustered(
    values: dict[str, float],
    scores: Floats,
    labels: NDArray[np.integer],
    called: NDArray[np.bool_],
    patients: NDArray[np.str_],
    seed: int,
) -> dict[str, Interval]:
    """By whole patients; a share of 0 or 1 keeps Wilson's interval, which no drawing can give."""
    weights = patient_weights(patients, seed=seed)
    ill = labels == 1
    shares = {
        "accuracy": (called == ill, np.ones(len(ill), bool)),
        "sensitivity": (called, ill),
        "specificity": (~called, ~ill),
        "ppv": (ill, called),
        "npv": (~ill, ~called),
    }
    drawn = {
        name: clustered_interval(values[name], weighted_share(*shares[name]), weights) for name in SHARES if 0 < values[name] < 1
    }
    if 0 < values["auc"] < 1:
        drawn["auc"] = clustered_interval(values["auc"], weighted_auc(scores, labels), weights)
    return drawn
