"""The personal models of one hospital: made on its training records, chosen on its validation patients, tested once.

    own, federated --each candidate of the study--> tuners --cross-fitted--> choice --> chosen model --> report.json, its files

Nothing of it leaves: the answer to the order is empty, whatever happens here. So what goes wrong is a line of the hospital's own
log, and the hospital keeps its own model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms.personal import (
    MOST_REMEMBERED,
    OWN,
    Choice,
    Memory,
    Option,
    Part,
    PersonalModel,
    Tuner,
    candidate_named,
    choose,
    cross_fitted,
    halvings,
    kept_own,
    per_patient,
)
from wardround.algorithms.protocol import Trainer
from wardround.algorithms.quantities import TrainedModel
from wardround.plan.plan import CHOSEN, SCORED_AT_THE_END, Plan, own_label
from wardround.plan.usable_arrays import is_usable
from wardround.site.personal_files import write_files
from wardround.site.store import SiteStore
from wardround.study.record.personal_record import LOG_LOSS
from wardround.study.sections.evaluation import Decision
from wardround.tasks.intervals import Z
from wardround.tasks.paired_losses import paired_losses
from wardround.tasks.protocol import PairedDifference
from wardround.values.ids import SiteId
from wardround.values.randomness import generator, seed_of
from wardround.values.records import Records, Split
from wardround.values.tree import Tree

CHOICE = ("personal", "choice")
"""Where the choice stands in a site's report: section and key."""
ONE_CLASS = "the validation patients are all of one class, so nothing can be chosen by them"


@dataclass(frozen=True)
class Bench:
    """What a site works with. synthetic: whether the records are of no patient. outputs: what a model gives for the records of
    a split; inner: what goes into its last layer, all finite. trainer: of so many passes from a start, at the rate of
    [personal]. fingerprint: of all records."""

    name: SiteId
    plan: Plan
    store: SiteStore
    splits: Mapping[Split, Records]
    frozen: Tree
    synthetic: bool
    outputs: Callable[[Tree, Split], NDArray[np.float32]]
    inner: Callable[[Tree, Split], NDArray[np.float32]]
    trainer: Callable[[int], Trainer]
    fingerprint: str = ""


@dataclass(frozen=True)
class HospitalMaterial:
    """See `wardround.algorithms.personal.protocol.Material`."""

    bench: Bench
    own: Tree
    federated: Tree

    @property
    def head(self) -> frozenset[str]:
        return self.bench.plan.head

    @cached_property
    def records(self) -> Records:
        return self.bench.splits["validation"]

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        _, numbers, counts = np.unique(self.records.patients, return_inverse=True, return_counts=True)
        return 1.0 / counts[numbers]

    def trained(
        self, start: Tree, passes: Sequence[int], *, proximal_mu: float = 0.0, learns: frozenset[str] | None = None
    ) -> list[Tree]:
        """Where training ends in no usable numbers, the start: it can be judged like any other."""
        counts = tuple(count for count in passes if count)
        models = {0: start}
        if counts:
            quantity = TrainedModel(start, proximal_mu=proximal_mu, learns=learns, passes=counts)
            run = self.bench.trainer(max(counts)).compute(quantity)
            models |= {count: self._usable(model, count, start) for count, model in zip(counts, run.after_passes, strict=True)}
        return [models[count] for count in passes]

    def _usable(self, model: Tree, passes: int, start: Tree) -> Tree:
        if is_usable(model):
            return model
        self.bench.store.log("diverged", f"{passes} passes of personal training ended in values beyond all use: no change.")
        return start

    def outputs(self, model: Tree) -> NDArray[np.float64]:
        return np.asarray(self.bench.outputs(model, "validation"), np.float64)

    def inner(self, model: Tree) -> NDArray[np.float32]:
        return self.bench.inner(model, "validation")

    def memory(self, model: Tree) -> tuple[Memory, NDArray[np.intp]]:
        """In the order of the records' digests, equal ones in that of their votes."""
        records = self.bench.splits["train"]
        votes = self.bench.plan.task.votes(records.labels).astype(np.float32)
        rows = np.lexsort((*votes.T, np.asarray(records.digests())))
        if len(rows) > MOST_REMEMBERED:
            seed = self.bench.plan.study.training.seed
            rows = rows[np.sort(generator("memory", seed, self.bench.name).permutation(len(rows))[:MOST_REMEMBERED])]
        _, patients = np.unique(records.patients[rows], return_inverse=True)
        return Memory(self.bench.inner(model, "train")[rows], votes[rows]), patients

    def with_votes(
        self, outputs: NDArray[np.float64], votes: NDArray[np.float64], voters: NDArray[np.float64], share: float
    ) -> NDArray[np.float64]:
        return self.bench.plan.task.with_votes(outputs, votes, voters, share)

    def losses(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.bench.plan.task.losses(outputs, self.records.labels)


@dataclass(frozen=True)
class Chosen:
    """The choice, and the candidates tuned on all validation patients."""

    choice: Choice
    options: Mapping[str, Option]

    @property
    def model(self) -> PersonalModel:
        return PersonalModel.mean([self.options[name].model for name in self.choice.names])


def keep_personal_model(bench: Bench, own: Tree, federated: Tree) -> None:
    """Makes the candidates, chooses, tests the chosen model once, and leaves it in the site's folder with the report."""
    chosen = chosen_of(HospitalMaterial(bench, own, federated))
    single = {"own": PersonalModel.single(own), "federated": PersonalModel.single(federated), "chosen": chosen.model}
    outputs = {name: outputs_of(bench, model, "test") for name, model in single.items()}
    report_sums(bench, own_label(bench.name), single["own"], outputs["own"])
    decision = report_sums(bench, CHOSEN, chosen.model, outputs["chosen"])
    report = {**_choice_words(chosen), **_on_test_patients(bench, outputs), "threshold": decision}
    whole = PersonalModel(tuple(replace(part, tree={**bench.frozen, **part.tree}) for part in chosen.model.parts))
    files = write_files(bench.plan, bench.store, whole, chosen.choice, decision, synthetic=bench.synthetic)
    bench.store.add_to_report(*CHOICE, {**report, **asdict(files)})


def chosen_of(material: HospitalMaterial) -> Chosen:
    """What this hospital keeps, by its validation patients."""
    settings = material.bench.plan.study.personal
    tuners = {name: candidate_named(name).fit(material, settings) for name in settings.candidates}
    everybody = np.arange(len(material.records))
    return Chosen(_choice(material, tuners), {name: tune(everybody) for name, tune in tuners.items()})


def _choice(material: HospitalMaterial, tuners: Mapping[str, Tuner]) -> Choice:
    plan, records = material.bench.plan, material.records
    strata = plan.task.strata(records.labels)
    seed = seed_of("personal", plan.study.training.seed, material.bench.name)
    halves = list(halvings(records.patients, strata, seed))
    losses = {name: per_patient(cross_fitted(tune, material, halves), records.patients) for name, tune in tuners.items()}
    return kept_own(losses, ONE_CLASS) if len(np.unique(strata)) == 1 else choose(losses)


def outputs_of(bench: Bench, model: PersonalModel, split: Split) -> NDArray[np.float64]:
    """What a personal model gives for the records of a split."""
    return np.asarray(sum(part.weight * _of_part(bench, part, split) for part in model.parts))


def _of_part(bench: Bench, part: Part, split: Split) -> NDArray[np.float64]:
    outputs = np.asarray(bench.outputs(part.tree, split), np.float64)
    if part.neighbours is None:
        return outputs
    votes, voters = part.neighbours.asked(bench.inner(part.tree, split))
    return bench.plan.task.with_votes(outputs, votes, voters, part.neighbours.share)


def report_sums(bench: Bench, label: str, model: PersonalModel, on_test: NDArray[np.float64]) -> Decision:
    """Writes a model's sums into the report, as of any evaluation; gives its decision, chosen on validation records."""
    task = bench.plan.task
    outputs = {"validation": outputs_of(bench, model, "validation"), "test": on_test}
    sums = {split: task.sums(outputs[split], bench.splits[split].labels) for split in SCORED_AT_THE_END}
    bench.store.add_to_report("evaluations", label, {split: one.to_json() for split, one in sums.items()})
    return task.decide(bench.plan.study.evaluation.home_rule, {"validation": sums["validation"]})


def _choice_words(chosen: Chosen) -> dict[str, Any]:
    choice = chosen.choice
    candidates = [
        {
            "name": name,
            "setting": chosen.options[name].setting,
            "loss": score.loss,
            "interval": (score.loss - Z * score.loss_error, score.loss + Z * score.loss_error),
            "gain": score.gain,
            "standard_error": score.standard_error,
        }
        for name, score in choice.scores.items()
    ]
    return {
        "chosen": choice.name,
        "reason": choice.reason,
        "few": choice.few,
        "patients": choice.patients,
        "candidates": candidates,
    }


def _on_test_patients(bench: Bench, outputs: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """The mean losses of the three models, and the chosen one against the two others."""
    records, task = bench.splits["test"], bench.plan.task
    losses = {name: task.losses(one, records.labels) for name, one in outputs.items()}

    def against(other: str) -> dict[str, Any]:
        paired: dict[str, PairedDifference] = {}
        figures = task.paired((outputs[other], outputs["chosen"]), records.labels, (None, None))
        paired |= {name: one for name, one in figures.items() if name == task.headline}
        paired[LOG_LOSS] = paired_losses(losses[other], losses["chosen"], records.patients)
        return {name: asdict(one) for name, one in paired.items()}

    return {
        "losses": {name: float(one.mean()) if len(one) else None for name, one in losses.items()},
        "over_own": against(OWN),
        "over_federated": against("federated"),
    }
