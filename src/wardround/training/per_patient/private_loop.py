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

from wardround.crypto.secret_draws import SecretDraws
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.training import TrainingSection
from wardround.training.devices import resolve
from wardround.training.head import Head
from wardround.training.images.augmentation import augment
from wardround.training.images.pixels import rows_of
from wardround.training.inputs import InputShape
from wardround.training.local_descent import Loaded, descend, loaded, no_gradient, scaled_rows
from wardround.training.model_tree import FEATURE_MEAN, tree_of, wide
from wardround.training.per_patient import PatientGradients
from wardround.training.per_patient.patient_sampling import Drawn, PatientRows
from wardround.training.schedule import learning_rate
from wardround.training.updates import Gradients
from wardround.values.cores import usable_cores
from wardround.values.local_run import GradientSum, LocalRun
from wardround.values.records import Records
from wardround.values.tree import Tree, flatten, unflatten

Noise = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A sum of clipped gradients, as one vector, -> the noised sum that the accounting is about."""


class PrivateTrainer:
    """Trains on one site's records for one round, or gives one step's clipped sum.

    head: its loss follows from the row alone; a weight of a class would be a count of patients. patients: the site's public
    number of training patients. noise: what `train` adds in every step; `gradient` adds none, since
    there the sum of all sites is noised. DataError for records of another shape.
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
    ) -> None:
        self.examples = patients
        self._network, self._training, self._privacy, self._inputs = network, training, privacy, inputs
        self._head, self._noise, self._round, self._rounds = head, noise, round_number, rounds
        resolve(device)  # refuses one that is not there; the patients' gradients are taken on a processor, whatever there is
        self._device = torch.device("cpu")
        self._threads = threads or usable_cores()
        self._rows = rows_of(records, inputs, self._device)
        self._patients = PatientRows(records.patients)
        self._secret = SecretDraws()

    def train(self, model: Tree, *, proximal_mu: float = 0.0, gradient_shift: Tree | None = None) -> LocalRun:
        """The round's private steps from `model`. What comes back is private: it, and all that is worked out from it, may leave.
        The losses are not, and stay."""
        of = self._loaded(model)
        gradients_of = self._gradients_of(of)
        steps = self._privacy.steps or 1
        rates = [learning_rate(self._training, self._round - 1 + (step + 0.5) / steps, self._rounds) for step in range(steps)]
        counts: list[int] = []

        def noised(_: int) -> tuple[Gradients, float]:
            sums, loss, drawn = self._clipped_sum(of, gradients_of)
            counts.append(drawn)
            return self._mean(of, sums), loss

        losses = descend(of, self._training, rates, noised, proximal_mu=proximal_mu, gradient_shift=gradient_shift)
        return LocalRun(tree_of(of.module), steps, sum(rates), self.examples, sum(losses), sum(counts))

    def gradient(self, model: Tree) -> GradientSum:
        """One step's clipped gradients, summed, without noise; weight: q N, rounded to a whole number of at least 1."""
        of = self._loaded(model)
        sums, loss, drawn = self._clipped_sum(of, self._gradients_of(of))
        return GradientSum({**no_gradient(of), **sums}, self._weight, loss, drawn)

    def feature_mean(self, model: Tree) -> GradientSum:
        """The drawn patients' mean feature vectors, summed, without noise; one of length 1 counts as clip_norm long, at most."""
        of = self._loaded(model)
        drawn = self._drawn()
        rows = scaled_rows(of, self._rows.read(torch.from_numpy(drawn.rows).to(self._device)))
        total = wide(_clipped_means(rows.double(), drawn, self._privacy.clip_norm).sum(0))
        return GradientSum({**of.zeros(), FEATURE_MEAN: total}, self._weight, 0.0, 0)

    @property
    def _weight(self) -> int:
        return public_weight(self._privacy.sampling_rate, self.examples)

    def _drawn(self) -> Drawn:
        how = self._privacy
        return self._patients.draw(how.sampling_rate, how.images_per_patient, how.views, self._secret)

    def _loaded(self, model: Tree) -> Loaded:
        """As per-patient gradients are fastest with."""
        return loaded(self._network, self._inputs, model, self._device, outputs=self._head.outputs, channels_last=False)

    def _gradients_of(self, of: Loaded) -> PatientGradients:
        return PatientGradients(of.module, clip_norm=self._privacy.clip_norm, threads=self._threads)

    def _clipped_sum(self, of: Loaded, gradients_of: PatientGradients) -> tuple[Tree, float, int]:
        """By parameter; the loss summed over the patients drawn; and how many these were."""
        drawn = self._drawn()
        if not len(drawn.counts):
            return of.zeros(), 0.0, 0
        index = torch.from_numpy(drawn.rows).to(self._device)
        inputs, labels = self._rows.read(index), self._rows.labels[index]
        if self._rows.is_image:
            inputs, labels = augment(inputs, labels, self._training.augmentation, self._secret.generator())
        found = gradients_of.clipped_sum(inputs, labels, drawn.counts, self._head.loss)
        sums = {name: wide(total) for name, total in zip(of.names, found.sums, strict=True)}
        return sums, float(found.loss), len(drawn.counts)

    def _mean(self, of: Loaded, sums: Tree) -> Gradients:
        noised = self._noise(flatten(sums)) / (self._privacy.sampling_rate * self.examples)
        shapes = {name: tuple(array.shape) for name, array in sums.items()}
        tree = unflatten(noised, shapes)
        return [torch.from_numpy(tree[name].astype(np.float32)).to(self._device) for name in of.names]


def public_weight(rate: float, patients: int) -> int:
    """How many patients one step stands for: a public number."""
    return max(1, round(rate * patients))


def _clipped_means(rows: torch.Tensor, drawn: Drawn, clip_norm: float) -> torch.Tensor:
    """rows (n, d), float64 -> (patients, d): each patient's mean row times clip_norm, at most so long. One that is not finite is
    zero: it must not take the others with it."""
    counts = torch.from_numpy(drawn.counts)
    owner = torch.repeat_interleave(torch.arange(len(counts)), counts)
    means = torch.zeros(len(counts), rows.shape[1], dtype=rows.dtype).index_add_(0, owner, rows.cpu()) / counts[:, None]
    means = torch.where(torch.isfinite(means).all(1, keepdim=True), means, 0.0)
    scale: torch.Tensor = clip_norm * (1 - 2.0**-30) / means.norm(dim=1, keepdim=True).clamp(min=1.0)
    return means * scale
