"""The figures of a model whose question is another than yes or no; every choice is cross-fitted, as in `measuring`.

    outputs, labels, folds of patients --the whole procedure, made anew without each fold--> correction, limits --> that fold
    corrected outputs of all folds --Task.sums, Task.figures--> figures          held, told or not --> coverage, cannot tell

What knows only how common each answer is among the other folds' cases is set beside the model: a model that is no better says
nothing of a patient.

Intervals are the task's own; of shares Wilson's. Where patients have several cases, whole patients are drawn.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.acceptance.cases import Cases
from wardround.clinic.kinds.limits import Correction, Limits
from wardround.clinic.kinds.protocol import Kind, hits_and_trials
from wardround.clinic.place.acceptance_record import TunedRecord
from wardround.study.record.evaluation_record import Evaluation
from wardround.study.record.personal_record import PairedRecord
from wardround.tasks.evaluation import evaluation_of
from wardround.tasks.intervals import wilson
from wardround.tasks.protocol import Floats
from wardround.tasks.shared.errors import paired_by_record
from wardround.values.randomness import generator

FEWEST = 20
DRAWS = 200
"""Of patients, where they have several cases."""


@dataclass(frozen=True)
class TuningSettings:
    """promise: share of cases whose answer is to hold the truth. widest: see `Kind.said`. seed: of folds and draws."""

    promise: float
    widest: float
    seed: int


@dataclass(frozen=True)
class Tuned:
    """What some cases make of a model. crossed: outputs corrected by what other folds of these cases made."""

    correction: Correction
    losses: Mapping[str, float]
    limits: Limits


def tuned_by(kind: Kind, outputs: Floats, labels: NDArray[Any], folds: NDArray[np.integer], promise: float) -> Tuned:
    """The correction, and limits on what corrections of other folds made of these cases."""
    chosen = kind.correcting.chosen(outputs, labels, folds)
    return Tuned(chosen.correction, chosen.losses, kind.limits(outputs, chosen.crossed, labels, promise))


@dataclass(frozen=True)
class TunedModel:
    """See `TestedModel`. outputs, crossed (n, k): of the model, and corrected by other folds."""

    kind: Kind
    cases: Cases
    settings: TuningSettings
    outputs: Floats
    crossed: Floats
    tuned: Tuned
    measured: Evaluation
    raw: Evaluation
    local: Evaluation
    untold: NDArray[np.bool_]

    @property
    def sections(self) -> Mapping[str, Any]:
        return {
            "tuned": TunedRecord(
                correction=self.tuned.correction,
                losses=dict(self.tuned.losses),
                limits=self.tuned.limits,
                measured=self.measured,
                widest=self.settings.widest,
            )
        }

    @property
    def score_bins(self) -> NDArray[np.int64]:
        return self.kind.score_bins(self.crossed)

    def of_group(self, group: NDArray[np.bool_]) -> Evaluation | None:
        task, labels = self.kind.task, self.cases.labels[group]
        if int(group.sum()) < FEWEST or task.few(task.sums(self.crossed[group], labels)):
            return None
        return _figures(self.kind, self.outputs[group], self.crossed[group], labels)

    def less_asked(self, asked: "TunedModel") -> dict[str, PairedRecord]:
        both = self.kind.task.paired((asked.crossed, self.crossed), self.cases.labels, (None, None))
        return {name: PairedRecord(**asdict(one)) for name, one in both.items()}


def tuned_model(kind: Kind, cases: Cases, shown: Floats, settings: TuningSettings) -> TunedModel:
    """shown (n, j): what the model's file gives for the cases."""
    outputs, labels, folds = kind.outputs(shown), cases.labels, cases.folds(settings.seed)
    crossed, base, flags = np.empty_like(outputs), np.empty_like(outputs), _Flags(len(cases))
    votes = kind.task.votes(labels)
    for fold in np.unique(folds):
        inside = folds == fold
        tuned = tuned_by(kind, outputs[~inside], labels[~inside], folds[~inside], settings.promise)
        crossed[inside] = kind.correcting.corrected(outputs[inside], tuned.correction)
        flags.note(inside, kind.shares(outputs[inside], crossed[inside], tuned.limits, labels[inside], settings.widest))
        mean = np.broadcast_to(votes[~inside].mean(axis=0), (int(inside.sum()), votes.shape[1]))
        base[inside] = _voted(kind, outputs[inside], mean, int((~inside).sum()))
    base_losses = _losses(kind, base, labels)
    local = _with_patients(kind, cases, outputs, crossed, _figures(kind, outputs, crossed, labels), settings.seed)
    return TunedModel(
        kind=kind,
        cases=cases,
        settings=settings,
        outputs=outputs,
        crossed=crossed,
        tuned=tuned_by(kind, outputs, labels, folds, settings.promise),
        measured=flags.evaluation,
        raw=_with_gain(_figures(kind, outputs, outputs, labels), base_losses - _losses(kind, outputs, labels), cases),
        local=_with_gain(local, base_losses - _losses(kind, crossed, labels), cases),
        untold=flags.untold,
    )


class _Flags:
    """Shares of cases, gathered fold by fold."""

    def __init__(self, cases: int) -> None:
        self._cases = cases
        self._all: dict[str, Floats] = {}

    def note(self, inside: NDArray[np.bool_], shares: Mapping[str, Floats]) -> None:
        for name, flags in shares.items():
            whole = self._all.setdefault(name, np.full((self._cases, *flags.shape[1:]), np.nan))
            whole[inside] = flags

    @property
    def untold(self) -> NDArray[np.bool_]:
        """(n,): of whom nothing is told."""
        flags = self._all["cannot_tell"].reshape(self._cases, -1)
        return np.asarray((flags == 1).all(axis=1))

    @property
    def evaluation(self) -> Evaluation:
        counts = {name: hits_and_trials(flags) for name, flags in self._all.items()}
        there = {name: pair for name, pair in counts.items() if pair[1]}
        return Evaluation(
            values={name: hits / trials for name, (hits, trials) in there.items()},
            intervals={name: wilson(*pair) for name, pair in there.items()},
        )


def _losses(kind: Kind, outputs: Floats, labels: NDArray[Any]) -> Floats:
    return kind.task.losses(_flat(kind, outputs), labels)


def _flat(kind: Kind, outputs: Floats) -> Floats:
    """As the task takes them: (n,) of a single one."""
    return outputs[:, 0] if kind.task.outputs == 1 else outputs


def _voted(kind: Kind, outputs: Floats, votes: Floats, voters: int) -> Floats:
    """Outputs that stand for what other cases say, and for nothing of this one."""
    voters_of_each = np.full(len(outputs), float(voters))
    return kind.task.with_votes(_flat(kind, outputs), votes, voters_of_each, 1.0).reshape(outputs.shape)


def _figures(kind: Kind, by_order: Floats, outputs: Floats, labels: NDArray[Any]) -> Evaluation:
    """by_order: outputs for figures of the order alone."""
    whole = evaluation_of(kind.task, kind.task.sums(_flat(kind, outputs), labels), None)
    if not kind.by_order or by_order is outputs:
        return whole
    ordered = evaluation_of(kind.task, kind.task.sums(_flat(kind, by_order), labels), None, replicates=0, keep_sums=False)
    values = {name: (ordered if name in kind.by_order else whole).values[name] for name in whole.values}
    intervals = {name: (ordered if name in kind.by_order else whole).intervals[name] for name in whole.intervals}
    return Evaluation(values=values, intervals=intervals, sums=whole.sums)


def _with_gain(evaluation: Evaluation, gains: Floats, cases: Cases) -> Evaluation:
    """gain: by how much the loss of a patient lies below that of whoever knows only how common each answer is."""
    _, owner = np.unique(cases.patients, return_inverse=True)
    by_patient = np.bincount(owner, gains) / np.bincount(owner)
    told = paired_by_record(by_patient, 1.0)
    values, intervals = {**evaluation.values, "gain": told.difference}, {**evaluation.intervals, "gain": told.interval}
    return Evaluation(values=values, intervals=intervals, sums=evaluation.sums)


def _with_patients(kind: Kind, cases: Cases, outputs: Floats, crossed: Floats, figures: Evaluation, seed: int) -> Evaluation:
    """The same with intervals by whole patients, where some have several cases."""
    people, owner = np.unique(cases.patients, return_inverse=True)
    if len(people) == len(cases):
        return figures
    rows = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    rng = generator("patients of an acceptance", seed)
    drawn: dict[str, list[float]] = {name: [] for name, ends in figures.intervals.items() if ends is not None}
    for _ in range(DRAWS):
        again = np.concatenate([rows[person] for person in rng.integers(0, len(people), len(people))])
        source = {True: outputs, False: crossed}
        for ordered in {name in kind.by_order for name in drawn}:
            sums = kind.task.sums(_flat(kind, source[ordered][again]), cases.labels[again])
            values = kind.task.figures(sums, None, replicates=0).values
            for name in drawn:
                if (name in kind.by_order) == ordered:
                    drawn[name].append(values[name])
    intervals = {**figures.intervals, **{name: _around(figures.values[name], drawn[name]) for name in drawn}}
    return Evaluation(values=dict(figures.values), intervals=intervals, sums=figures.sums)


def _around(value: float | None, replicates: list[float]) -> tuple[float, float] | None:
    kept = np.array([one for one in replicates if np.isfinite(one)])
    if value is None or len(kept) < DRAWS // 2:
        return None
    low, high = np.percentile(kept, (2.5, 97.5)) - kept.mean() + value
    return float(min(low, value)), float(max(high, value))
