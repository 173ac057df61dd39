"""The work a site does for an order, on its own records. The heavy room, training, is loaded on first use.

Whether there is an answer, and how long it is, follows from the order and the study alone, under every privacy mode: one refusal
more for some patients would be a question about them that the coordinator may ask for nothing, again and again. So what can go
wrong with numbers has a value of its own, which goes into the sum like any other:

    an output that is not a number --> 0, a probability of one half          a loss that is none --> the loss of no records
    an update with a value that is not finite --> no change, with its weight; the site's memory stays
    a weight above the total that the order states --> that total (`privacy.fixed_point_mechanism`)

The hospital's own log says what happened. tests/site/test_two_worlds.py holds all of this.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms.protocol import Trainer
from wardround.algorithms.quantities import Quantity, Result, TrainedModel
from wardround.plan.permission import AGAIN
from wardround.plan.plan import FEDERATED, LAST, LOSS_UNIT, SCORED_AT_THE_END, SCORED_EACH_ROUND, SHIFTED, Plan, own_label
from wardround.plan.usable_arrays import is_usable
from wardround.privacy.fixed_point_mechanism import RoundingKey
from wardround.privacy.mechanism import protect
from wardround.site.comparison import kept_outputs, outputs_file
from wardround.site.kept_model import REFITTED, keep_model_with_own_head
from wardround.site.kept_moments import joined, own_moments_file, parted
from wardround.site.own_head import WithOwnHead, first_head, head_in, without_head
from wardround.site.personal_models import Bench, keep_personal_model
from wardround.site.records import Read, read
from wardround.site.store import SiteState, SiteStore
from wardround.study.sections.training import TrainingSection
from wardround.summation.masked.layout import content_of
from wardround.summation.masked.memory import ended
from wardround.tasks.sums import Sums
from wardround.values.canonical import finite_or_none
from wardround.values.contribution import Contribution, Counts, is_finite
from wardround.values.errors import DataError, RefusedError
from wardround.values.ids import SiteId
from wardround.values.local_run import LocalRun
from wardround.values.randomness import rounding_key, seed_of
from wardround.values.records import SPLITS, Records, Split
from wardround.values.tree import Bundle, Tree
from wardround.wire.envelope import unpack_bundle
from wardround.wire.messages import Order

if TYPE_CHECKING:
    from wardround.training.head import Head

THRESHOLD = ("thresholds", FEDERATED)
"""Where a hospital's own threshold stands in its report: section and key."""
LARGEST_LOSS = 2.0**29
"""Of a round at one site. In units of LOSS_UNIT it fits the counts of 10,000 sites (`privacy.frame`)."""
_LOOK = "Run `wardround data check` and look for values far from the others."
_MENDS = f"{_LOOK} Then lower training.learning_rate, or set training.clip_norm."


def own_file(number: int) -> str:
    """Two files in turn, so that a crash between writing the model and recording its round loses neither."""
    return f"own-{number % 2}" if number else "start"


class SiteWork:
    """Opening, training, evaluating. Holds the records in memory; writes only to the site's store."""

    def __init__(
        self,
        name: SiteId,
        plan: Plan,
        load: Callable[[], Records],
        store: SiteStore,
        *,
        device: str,
        threads: int,
        outside: Path | None,
        synthetic: bool = False,
        home: Plan | None = None,
    ) -> None:
        """synthetic: whether the records are of no patient, as the files of a personal model say. home: the plan of the study as
        this hospital carries it out, where it keeps a question and a last layer of its own; what leaves follows from `plan`."""
        self.name, self.plan, self.store, self.synthetic = name, plan, store, synthetic
        self.home = home or plan
        self._load, self._device, self._threads, self._outside = load, device, threads, outside
        self._frozen: Tree | None = None

    @cached_property
    def _read(self) -> Read:
        records = self._load()
        kind, words = ("test", "test records") if self.plan.study.evaluates_only else ("train", "training records")
        if not np.any(records.splits == kind):
            raise DataError(f"This site has no {words}", hint="check the path and the study's [data.splits]")
        self._compare_with_outside(records)
        return read(records, fingerprint(records), self.home, self.store, threads=self._threads)

    def _compare_with_outside(self, records: Records) -> None:
        """How many training records are also in the external test set: a count for this site's own report."""
        if self._outside is not None:
            outside = set(json.loads(self._outside.read_bytes()))
            shared = sum(digest in outside for digest in records.where("train").digests())
            self.store.add_to_report("external", "shared_records", shared)

    @property
    def splits(self) -> dict[Split, Records]:
        """What the network that learns reads, by split."""
        return self._read.splits

    def words(self, order: Order, state: SiteState) -> tuple[Tree, SiteState]:
        """The words of an order's contribution, before any mask, and the state that goes with them."""
        # Under `python -W error` a warning of NumPy's would be an error, which some records cause and others do not.
        with np.errstate(all="ignore"):
            return self._words(order, state)

    def _words(self, order: Order, state: SiteState) -> tuple[Tree, SiteState]:
        match order.header.step:
            case "open":
                return self.open(order, state)
            case "train":
                return self.train(order, state)
            case "own":
                return {}, self.train_own(order, state)
            case "evaluate":
                return self.evaluate(order, state), state
            case "personal":
                return {}, self.personalise(order, state)
            case "close":
                return {}, replace(state, masked=ended(state.masked), closed=True, asks={}, said={})

    def open(self, order: Order, before: SiteState) -> tuple[Tree, SiteState]:
        """Keeps what does not travel, and contributes the counts of this site's patients, images and labels: under privacy
        they stay in its own report. The report has them as they are; those of training leave in steps of
        `summation.weight_step`, the images as the weights of all rounds will."""
        if self.plan.study.privacy.of_patients:
            from wardround.training.per_patient.position_proof import require_fixed_gradients

            require_fixed_gradients(self.home.study.learned, self.plan.inputs, self._head(None), self.plan.records)
        model = unpack_bundle(order.arrays).get("model", {})
        self._frozen = {name: array for name, array in model.items() if name not in self.plan.shared_names}
        self.store.write_tree("start", model)
        parts = [self.splits[split] for split in SPLITS]
        counts = {
            "images": np.array([len(part) for part in parts]),
            "patients": np.array([part.patient_count for part in parts]),
        }
        labelled = [self.home.task.count_labels(part.labels) for part in parts]
        counts |= {name: np.array([one[name] for one in labelled]) for name in self.home.task.words.counted}
        self.store.add_to_report("dataset_counts", "counts", {name: array.tolist() for name, array in counts.items()})
        header = order.header
        state = replace(before, study=header.study, records=self._read.fingerprint, memory={}, pending=None)
        state = replace(state, opening=header.round, opened=content_of(order), opened_with=tuple(map(SiteId, header.cohort)))
        if header.label == AGAIN or "open" not in self.plan.summed:
            return {}, state
        frame = self.plan.opening_frame(len(header.cohort))
        leaving = {name: self._stepped(counts[name]) for name in self.plan.dataset_counts}
        return protect(Contribution({}, 0, leaving), {}, frame, self._rounding_key("open", 0)), state

    def _stepped(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Counts in train, validation and test, that of train in steps of `summation.weight_step`; none of a study that does not
        look at it."""
        step = (lambda _: 0) if self.plan.study.evaluates_only else self.plan.study.summation.stepped
        return np.array([step(int(count)) if split == "train" else count for split, count in zip(SPLITS, counts, strict=True)])

    def train(self, order: Order, state: SiteState) -> tuple[Tree, SiteState]:
        self.require_same_records(state)
        bundle = unpack_bundle(order.arrays)
        number = order.header.round
        scored = self._scores(self._local_model(bundle, state.memory), SCORED_EACH_ROUND)
        contribution, memory, run = self._update(bundle, number, state.memory)
        reference = self.plan.algorithm.reference(bundle)
        counts: Counts = {}
        if self.plan.tells_figures:
            counts = {**_prefixed(scored), "loss": self._loss_counts(run, contribution.weight)}
        frame = self.plan.training_frame(bundle["model"], len(order.header.cohort), order.header.weight)
        if contribution.weight > order.header.weight:
            self.store.log("total", f"Round {number} states a total weight below this site's own: its coordinator is not honest.")
        arrays = protect(replace(contribution, counts=counts), reference, frame, self._rounding_key("train", number))
        self._report_round("rounds", number, run, scored)
        return arrays, replace(state, round=number, pending=memory)

    def _update(self, bundle: Bundle, number: int, before: Bundle) -> tuple[Contribution, Bundle, LocalRun]:
        """What this site has to say in a round, the memory that goes with it, and the run. before: the memory until then."""
        own_memory, moments = parted(without_head(before))
        trainer = self._trainer("train", number, moments)
        head = head_in(before, self.home, self.name) if self.plan.study.keeps_heads else None
        if head is not None:
            trainer = WithOwnHead(trainer, head, self.home.study, number)
        contribution, memory, run = self.plan.algorithm.work(bundle, trainer, own_memory)
        memory = joined(memory, run.moments)
        if head is not None:
            memory = head.put_into(memory)
        if not (contribution.is_finite and all(map(is_finite, memory.values()))):
            self.store.log("diverged", f"Round {number} ended in values that are not finite and counts as no change. {_MENDS}")
            contribution, memory = contribution.unchanged(self.plan.algorithm.reference(bundle)), before
        elif not math.isfinite(run.loss_sum):
            self.store.log("loss", f"In round {number} the loss was not a finite number, so figures of the loss lack it. {_LOOK}")
        return contribution.weighing(self.plan.study.summation.stepped(contribution.weight)), memory, run

    def _local_model(self, bundle: Bundle, memory: Bundle) -> Tree:
        """The model of an order as this hospital would use it."""
        model = self.plan.algorithm.local_model(bundle, without_head(memory))
        return {**model, **head_in(memory, self.home, self.name).arrays} if self.plan.study.keeps_heads else model

    def _loss_counts(self, run: LocalRun, weight: int) -> NDArray[np.int64]:
        """The loss of a round in units of LOSS_UNIT, and the records that it is of. weight: of the contribution; where weights
        have steps, the loss is that of as many records, since the true number would tell what the steps hide."""
        loss, records = (run.loss_sum, run.loss_count) if math.isfinite(run.loss_sum) else (0.0, 0)
        if records and self.plan.study.summation.weight_step > 1:
            loss, records = loss * weight / records, weight
        return np.array([round(min(max(loss, 0.0), LARGEST_LOSS) / LOSS_UNIT), records])

    def train_own(self, order: Order, state: SiteState) -> SiteState:
        """The model that learns from this site's records alone, up to the order's round. Nothing of it leaves, so rounds whose
        orders were missed are made up for."""
        self.require_same_records(state)
        for number in range(state.own_round + 1, order.header.round + 1):
            self._train_own_round(number)
        return replace(state, own_round=max(state.own_round, order.header.round))

    def _train_own_round(self, number: int) -> None:
        earlier, file = own_file(number - 1), own_file(number)
        before, moments = self._own_model(number - 1), self.store.read_tree(own_moments_file(earlier)) or {}
        run = self._trainer("own", number, moments).compute(TrainedModel(before))
        usable = is_usable(run.model) and is_finite(run.moments)
        if not usable:  # it could not be evaluated later, and everything that follows from it would be no number either
            self.store.log("diverged", f"Own round {number} ended in values beyond all use and counts as no change. {_MENDS}")
        self.store.write_tree(file, run.model if usable else before)
        if self.plan.study.training.keep_optimizer:
            self.store.write_tree(own_moments_file(file), run.moments if usable else moments)
        self._report_round("own_rounds", number, run, {})

    def _own_model(self, number: int) -> Tree:
        """What learns of the own model after so many own rounds; 0: what it starts from."""
        model = self.store.read_tree(own_file(number)) or {}
        if number == 0 and self.plan.study.keeps_heads:
            model |= first_head(self.home, self.name)
        return self.home.trainable(model)

    def evaluate(self, order: Order, state: SiteState) -> Tree:
        self.require_same_records(state)
        bundle = unpack_bundle(order.arrays)
        if self.plan.study.keeps_heads:
            self._judge_at_home(self._local_model(bundle, state.memory), state)
            return {}
        label = order.header.label
        shifted = self.plan.wants_shifted(label)
        local = self.plan.algorithm.local_model(bundle, state.memory) if label in (FEDERATED, LAST) else bundle["model"]
        scored = self._scores(local, SCORED_AT_THE_END)
        if self.plan.study.evaluation.own_baseline and label in (FEDERATED, own_label(self.name)):
            self._keep_outputs(label, local)
        if shifted:
            scored[SHIFTED] = self._shifted_scores(local)
        self.store.add_to_report("evaluations", label, {split: sums.to_json() for split, sums in scored.items()})
        if label == FEDERATED and self.plan.study.evaluation.threshold == "local":
            self._keep_threshold(scored["validation"])
        if "evaluate" not in self.plan.summed:
            return {}
        frame = self.plan.evaluation_frame(len(order.header.cohort), shifted=shifted)
        return protect(Contribution({}, 0, _prefixed(scored)), {}, frame, self._rounding_key(f"evaluate-{label}", 1))

    def _judge_at_home(self, averaged: Tree, state: SiteState) -> None:
        """The last trunk under this hospital's own head, refitted: judged here and kept here. Whether the order is followed does
        not depend on what becomes of it: what goes wrong is told in the log."""
        own = self._own_model(state.own_round) if state.own_round else None
        try:
            keep_model_with_own_head(self._bench(self.home.study.training), averaged, own)
        except Exception as error:  # noqa: BLE001  the records may have caused it, and a refusal would tell
            self.store.log("own-head", f"The model with the own head was not kept: {''.join(format_exception(error))}")

    def _keep_threshold(self, validation: Sums) -> None:
        """This hospital's own threshold of the federated model, in its own report alone."""
        decision = self.plan.task.decide(self.plan.study.evaluation.home_rule, {"validation": validation})
        self.store.add_to_report(*THRESHOLD, decision)

    def personalise(self, order: Order, state: SiteState) -> SiteState:
        """The personal models of this hospital. Nothing of them leaves, and whether the order is followed does not depend on what
        becomes of them: what goes wrong is told in the log, and the hospital has its own model still."""
        state = self.train_own(order, state)
        federated = self._local_model(unpack_bundle(order.arrays), state.memory)
        if self.plan.study.keeps_heads:  # as it was judged
            federated = self.store.read_tree(REFITTED) or federated
        own = self._own_model(order.header.round)
        try:
            keep_personal_model(self.bench, own, federated)
        except Exception as error:  # noqa: BLE001  the records may have caused it, and a refusal would tell
            self.store.log("personal", f"The personal models were not made: {''.join(format_exception(error))}")
        return state

    @property
    def bench(self) -> Bench:
        study = self.home.study
        return self._bench(study.training.changed(learning_rate=study.training.learning_rate * study.personal.rate))

    def _bench(self, training: TrainingSection) -> Bench:
        """What personal models and a refitted head are made with. training: at its learning rate they are trained."""

        def outputs(model: Tree, split: Split) -> NDArray[np.float32]:
            return self._outputs(model, self.splits[split], self._read.mirrored.get(split))

        def inner(model: Tree, split: Split) -> NDArray[np.float32]:
            return self._outputs(model, self.splits[split], self._read.mirrored.get(split), inner=True)

        def trainer(passes: int) -> Trainer:
            """Of so many passes in one go, at a steady rate; plain under every privacy mode, since nothing leaves."""
            steady = {"schedule": "constant", "warmup_rounds": 0.0, "local_epochs": float(passes)}
            return self._plain_trainer("personal", training.changed(**steady), 1, 1)

        return Bench(
            self.name,
            self.home,
            self.store,
            self.splits,
            self.frozen,
            self.synthetic,
            outputs,
            inner,
            trainer,
            self._read.fingerprint,
        )

    def _trainer(self, purpose: str, number: int, moments: Tree | None = None) -> Trainer:
        """moments: what the optimiser goes on with; none for a new start."""
        study = self.home.study
        if study.privacy.of_patients and purpose == "train":  # nothing of an own model leaves
            return _WholeModelTrainer(self._private_trainer(number, moments), self.frozen)
        return self._plain_trainer(purpose, study.training, number, study.algorithm.rounds, moments)

    def _plain_trainer(
        self, purpose: str, training: TrainingSection, number: int, rounds: int, moments: Tree | None = None
    ) -> Trainer:
        """Of this site's training records as they are. purpose: keys its random choices."""
        from wardround.training.loop import TorchTrainer

        records = self.splits["train"]
        trainer = TorchTrainer(
            self.home.study.learned,
            training,
            self.home.inputs,
            records,
            self._head(records.labels),
            seed=seed_of(purpose, training.seed, self.name),
            round_number=number,
            rounds=rounds,
            device=self._device,
            threads=self._threads,
            moments=moments,
        )
        return _WholeModelTrainer(trainer, self.frozen)

    def _private_trainer(self, number: int, moments: Tree | None = None) -> Trainer:
        from wardround.training.per_patient.private_loop import PrivateTrainer

        study, private = self.home.study, self.plan.private
        assert private is not None

        def noise(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            noise_grid = private.noise_grid(sums.size)
            finite = sums if np.isfinite(sums).all() else np.zeros_like(sums)
            return noise_grid.decode(noise_grid.encode(finite))

        return PrivateTrainer(
            study.learned,
            study.training,
            study.privacy,
            self.home.inputs,
            self._read.learned_from,
            self._head(None),
            patients=private.patients(self.name),
            noise=noise,
            round_number=number,
            rounds=study.algorithm.rounds,
            device=self._device,
            threads=self._threads,
            moments=moments,
        )

    def _head(self, labels: NDArray[Any] | None) -> "Head":
        from wardround.training.head import Head

        task = self.home.task
        return Head(task.outputs, task.row_loss(self.home.study.training, labels), task.targets, task.drawn)

    @property
    def opened(self) -> Tree:
        """The whole model of the opening."""
        return self.store.read_tree("start") or {}

    @property
    def frozen(self) -> Tree:
        """What training never changes: it came with the opening and did not travel again."""
        if self._frozen is None:
            self._frozen = {name: array for name, array in self.opened.items() if name not in self.plan.shared_names}
        return self._frozen

    def _scores(self, model: Tree, splits: tuple[Split, ...]) -> dict[str, Sums]:
        return {split: self._sums(model, self.splits[split], self._read.mirrored.get(split)) for split in splits}

    def _keep_outputs(self, label: str, model: Tree) -> None:
        """What a model says of each of this site's test patients, for a paired comparison. It stays in the folder."""
        records = self.splits["test"]
        outputs = self._outputs(model, records, self._read.mirrored.get("test"))
        self.store.write_tree(outputs_file(label), kept_outputs(outputs, records.labels, self._read.fingerprint))

    def _sums(self, model: Tree, records: Records, mirrored: Records | None = None) -> Sums:
        return self.home.task.sums(self._outputs(model, records, mirrored), records.labels)

    def _outputs(self, model: Tree, records: Records, mirrored: Records | None, *, inner: bool = False) -> NDArray[np.float32]:
        """inner: what goes into the last layer, in place of what comes out."""
        from wardround.training.scoring import score

        study = self.home.study
        outputs = score(
            study.learned,
            self.home.inputs,
            {**self.frozen, **model},
            records,
            flip_average=study.evaluation.flip_average,
            device=self._device,
            threads=self._threads,
            mirrored=mirrored,
            outputs=self.home.task.outputs,
            inner=inner,
        )
        if (lost := ~np.isfinite(outputs) if inner else np.isnan(outputs)).any():
            what = "inner values" if inner else "outputs"
            self.store.log("diverged", f"{lost.sum()} of {lost.size} {what} are not numbers; they count as 0")
            outputs = np.where(lost, np.float32(0.0), outputs)
        return outputs

    def _shifted_scores(self, model: Tree) -> Sums:
        """Validation images seen through simulated scanners: the threshold that holds there holds at the next hospital."""
        from wardround.training.images.scanner_shift import SHIFT_NAMES, shifted

        total = self.plan.no_scores
        for name in SHIFT_NAMES:
            total = total + self._sums(model, *self._read.seen(shifted(self._read.validation, name)))
        return total

    def require_same_records(self, state: SiteState) -> None:
        """RefusedError where they are not those that the study was opened with."""
        if self._read.fingerprint != state.records:
            raise RefusedError(
                "The records of this site are not those it opened the study with",
                hint="bring back the earlier files, or start a new run",
                code="data-changed",
            )

    def _rounding_key(self, step: str, number: int) -> RoundingKey:
        seed = self.plan.study.training.seed
        return lambda part: rounding_key(seed, self.name, step, number, part)

    def _report_round(self, section: str, number: int, run: LocalRun, scored: dict[str, Sums]) -> None:
        loss = finite_or_none(run.loss_sum)
        figures = {"loss_sum": loss, "loss_count": 0 if loss is None else run.loss_count, "steps": run.steps}
        evaluations = {split: sums.to_json() for split, sums in scored.items()}
        self.store.add_to_report(section, str(number), {**figures, "evaluations": evaluations})


class _WholeModelTrainer:
    """Joins what travels with what is frozen, since a network runs on all of its arrays."""

    def __init__(self, trainer: Trainer, frozen: Tree) -> None:
        self._trainer, self._frozen = trainer, frozen

    @property
    def examples(self) -> int:
        return self._trainer.examples

    def compute(self, quantity: Quantity[Result]) -> Result:
        whole = replace(quantity, model={**self._frozen, **quantity.model})
        return self._trainer.compute(whole).only(quantity.model)


def fingerprint(records: Records) -> str:
    """A hash of every byte that training reads. It stays at the site."""
    digest = hashlib.sha256()
    for array in (records.inputs, records.labels, records.patients, records.splits):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _prefixed(scored: dict[str, Sums]) -> Counts:
    return {f"{split}.{name}": array for split, sums in scored.items() for name, array in sums.to_counts().items()}
