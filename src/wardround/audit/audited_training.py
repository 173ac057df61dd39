"""Record canaries in real training: patients with made-up records whose gradients point apart, in `PrivateTrainer` as it is.

    canaries' records --in or out--> a site's records --Poisson, clipping (training)--> clipped sums
        LocalTraining: + noise in every step of the site             SharedTraining: + shares of noise of all honest sites
    noised sum --least squares over the canaries' own gradients--> views

Records that lie out of the distribution (`lone_features`) or carry a wrong label (`mislabelled`) are what a network remembers
most; nothing but the clipping of each patient bounds what they do.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms.quantities import BatchGradient, TrainedModel
from wardround.algorithms.statement import PrivacyMode
from wardround.audit.audited_sums import SharedNoise
from wardround.privacy.noise_grid import NoiseGrid
from wardround.study.label import LabelContract
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary import BinaryTask
from wardround.training.head import Head
from wardround.training.inputs import shape_of
from wardround.training.per_patient.private_loop import Noise, PrivateTrainer
from wardround.values.records import Records
from wardround.values.tree import Tree, flatten


def lone_features(canaries: int, *, size: float = 1000.0, others: int = 0, label: int = 1) -> Records:
    """A table in which canary i (patient c00000i) has `size` in column i and 0 elsewhere, so that a linear model's gradients of
    any two of them touch in nothing but the bias. others: ordinary patients, with columns of their own behind these."""
    columns = canaries + (8 if others else 0)
    inputs = np.zeros((canaries + others, columns), np.float32)
    inputs[:canaries, :canaries] = np.eye(canaries, dtype=np.float32) * size
    inputs[canaries:, canaries:] = np.random.default_rng(5).normal(size=(others, columns - canaries))
    patients = np.array([f"c{number:06}" for number in range(canaries)] + [f"other-{number}" for number in range(others)])
    labels = np.concatenate([np.full(canaries, label), np.arange(others) % 2]).astype(np.int8)
    return Records(inputs, labels, patients, np.full(len(labels), "train"))


def mislabelled(records: Records, names: NDArray[np.str_]) -> Records:
    """The same records, with the other label on all of the named patients'."""
    wrong = np.isin(records.patients, names)
    return replace(records, labels=np.where(wrong, 1 - records.labels, records.labels).astype(np.int8))


@dataclass(frozen=True)
class TrainingCanaries:
    """records: of the canaries (`names`, patients) and of others, who are always in. model: where training starts, or, at the
    coordinator's choice, what each step's gradient is taken at."""

    network: NetworkSection
    training: TrainingSection
    privacy: PrivacySection
    records: Records
    names: NDArray[np.str_]
    model: Tree

    def trainer(self, records: Records, noise: Noise, mode: PrivacyMode, **changes: Any) -> PrivateTrainer:
        """The trainer of the study's privacy, in the mode that the attack needs. Only local training counts its steps."""
        steps = (self.privacy.steps or 1) if mode == "patient-local" else None
        return PrivateTrainer(
            self.network,
            self.training,
            self.privacy.changed(mode=mode, steps=steps, **changes),
            shape_of(self.records),
            records,
            Head(1, BinaryTask(LabelContract()).row_loss(self.training, None)),
            patients=max(1, len(self.names)),
            noise=noise,
            round_number=1,
            rounds=1,
            device="cpu",
            threads=1,
        )

    def kept(self, included: NDArray[np.bool_]) -> Records:
        """Records without the canaries that are out."""
        return self.records.select(np.flatnonzero(~np.isin(self.records.patients, self.names[~included])))

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """(canaries, values): each canary's gradient at `model`, brought to length 1."""
        rows = [self._gradient(self.records.patients == name) for name in self.names]
        return np.array([row / np.linalg.norm(row) for row in rows])

    @cached_property
    def _fit(self) -> NDArray[np.float64]:
        """(canaries, values): sum -> how much of each direction is in it, by least squares."""
        return np.asarray(np.linalg.pinv(self.directions.T), np.float64)

    @cached_property
    def others(self) -> NDArray[np.float64]:
        """What all other patients add to a step, on average over who is drawn: the auditor knows them."""
        return self._gradient(~np.isin(self.records.patients, self.names)) * self.privacy.sampling_rate

    def views(self, noised: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of a noised sum: how much of each canary is in it, all of them fitted together."""
        views: NDArray[np.float64] = self._fit @ (noised - self.others) / self.privacy.clip_norm
        return views

    def _gradient(self, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        alone = self.records.select(np.flatnonzero(rows))
        exact = self.trainer(alone, np.asarray, "patient-distributed", sampling_rate=1.0)
        return np.asarray(flatten(exact.compute(BatchGradient(self.model)).sums))


@dataclass(frozen=True)
class LocalTraining:
    """A `TrainedModel`, patient-local: the auditor reads every step's noised sum, though the site sends the model only.

    The learning rate must be so small that gradients at the start are those of all steps."""

    canaries: TrainingCanaries
    noise_grid: NoiseGrid

    def __call__(self, included: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
        seen: list[NDArray[np.float64]] = []

        def noise(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            seen.append(self.noise_grid.decode(self.noise_grid.encode(sums)))
            return seen[-1]

        self.canaries.trainer(self.canaries.kept(included), noise, "patient-local").compute(TrainedModel(self.canaries.model))
        return iter([self.canaries.views(noised) for noised in seen])


@dataclass(frozen=True)
class SharedTraining:
    """A `BatchGradient` of every honest site, patient-distributed. A canary belongs to one site; the others' records are
    at the first. The coordinator orders the same model in every step, which a study's does not: it makes the views plain."""

    canaries: TrainingCanaries
    noise: SharedNoise
    steps: int = 1

    def __call__(self, included: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
        kept, names, honest = self.canaries.kept(included), self.canaries.names, self.noise.honest
        home = {name: number % len(honest) for number, name in enumerate(names.tolist())}
        homes = np.array([home.get(patient, 0) for patient in kept.patients.tolist()])
        sites = {
            site: self.canaries.trainer(kept.select(homes == at), np.asarray, "patient-distributed")
            for at, site in enumerate(honest)
        }
        for _ in range(self.steps):
            sums = {
                site: np.asarray(flatten(trainer.compute(BatchGradient(self.canaries.model)).sums))
                for site, trainer in sites.items()
            }
            yield self.canaries.views(self.noise.seen(sums))
