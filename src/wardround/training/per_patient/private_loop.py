"""Training in which one patient more or less hardly shows: DP-SGD.

Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang: Deep Learning with Differential Privacy, CCS 2016, Algorithm 1, with the
patient in the place of the example:

    patients drawn (Poisson) -> records, views -> each patient's mean gradient, clipped to C -> sum -> + noise -> / (q N) -> step

The divisor q N is public (the study's rate and rounded number of patients), never the number drawn. What is drawn, how pictures
are turned and the noise are secret, so a private run cannot be repeated bit by bit.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from wardround.algorithms.quantities import Quantity, Result
from wardround.crypto.secret_draws import SecretDraws
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.training import TrainingSection
from wardround.training.devices import resolve
from wardround.training.head import Head
from wardround.training.images.augmentation import augment_each
from wardround.training.images.pixels import rows_of
from wardround.training.inputs import InputShape
from wardround.training.local_descent import Loaded, loaded
from wardround.training.model_tree import wide
from wardround.training.per_patient import PatientGradients
from wardround.training.per_patient.patient_sampling import Drawn, PatientRows
from wardround.training.quantities import computation_of
from wardround.values.cores import usable_cores
from wardround.values.errors import StudyError
from wardround.values.records import Records
from wardround.values.tree import Tree

Noise = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A sum of clipped gradients, as one vector, -> the noised sum that the accounting is about."""


class PrivateTrainer:
    """Works out what an algorithm asks of one site's patients in one round (`training/quantities/`).

    head: its loss follows from the row alone; a weight of a class would be a count of patients. patients: the site's public
    number of training patients. noise: what a local step adds. A sum that leaves as it is gets none here: all
    sites together noise it. DataError for records of another shape.
    """

    def __init__(
        self,
        network: NetworkSection,
        training: TrainingSection,
        privacy: PrivacySection,
        inputs: InputShape,
        records: Records,
        head: Head,
        *,
        patients: int,
        noise: Noise,
        round_number: int,
        rounds: int,
        device: str,
        threads: int = 0,
        moments: Tree | None = None,
    ) -> None:
        """moments: what the optimiser goes on with, from the run of the round before."""
        self.examples = patients
        self.training, self.privacy, self.noise = training, privacy, noise
        self.round_number, self.rounds, self.moments = round_number, rounds, moments
        self._network, self._inputs, self._head = network, inputs, head
        resolve(device)  # refuses one that is not there; the patients' gradients are taken on a processor, whatever there is
        self.device = torch.device("cpu")
        self._threads = threads or usable_cores()
        self.rows = rows_of(records, inputs, self.device, head.targets)
        self._patients = PatientRows(records.patients)
        self._secret = SecretDraws()

    def compute(self, quantity: Quantity[Result]) -> Result:
        """What an algorithm asks for, from this site's patients in this round. StudyError where nobody would noise it."""
        computation = computation_of(quantity)
        if computation.mode != self.privacy.mode:
            raise StudyError(
                f"{type(quantity).__name__} is not private in this study: its noise is not made where it would have to be",
                expected=f'privacy.mode = "{computation.mode}"',
                found=f'"{self.privacy.mode}"',
                hint="choose another algorithm, or that mode",
            )
        result: Result = computation.private(self, quantity)
        return result

    @property
    def step_weight(self) -> int:
        """How many patients one step stands for: a public number."""
        return self.privacy.step_weight(self.examples)

    def drawn(self) -> Drawn:
        """The patients of one step, drawn in secret."""
        privacy = self.privacy
        return self._patients.draw(privacy.sampling_rate, privacy.images_per_patient, privacy.views, self._secret)

    def loaded(self, model: Tree) -> Loaded:
        """The network with a model in it, as per-patient gradients are fastest with."""
        return loaded(self._network, self._inputs, model, self.device, outputs=self._head.outputs, channels_last=False)

    def patient_gradients(self, network: Loaded) -> PatientGradients:
        """What clips each patient's gradient."""
        return PatientGradients(network.module, clip_norm=self.privacy.clip_norm, threads=self._threads)

    def clipped_sum(self, network: Loaded, gradients_of: PatientGradients) -> tuple[Tree, float, int]:
        """Of one step, without noise. By parameter; the loss summed over the patients drawn; and how many these were."""
        drawn = self.drawn()
        if not len(drawn.counts):
            return network.zeros(), 0.0, 0
        index = torch.from_numpy(drawn.rows).to(self.device)
        inputs, labels = self.rows.read(index), self.rows.labels[index]
        if self.rows.is_image:
            inputs = augment_each(inputs, self.training.augmentation, self._secret.generator)
        clipped = gradients_of.clipped_sum(inputs, labels, drawn.counts, self._head.loss)
        sums = {name: wide(total) for name, total in zip(network.names, clipped.sums, strict=True)}
        return sums, float(clipped.loss), len(drawn.counts)
