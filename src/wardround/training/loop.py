"""The local loop of one site in one round.

    rows --batch--> pieces of micro_batch --augment, forward, backward: one thread each--> gradients
         --added in order--> `descend`

The same (seed, round) gives the same bits for any number of threads, since the pieces are fixed (see `threads`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround.study.sections.network import NetworkSection
from wardround.study.sections.training import TrainingSection
from wardround.training.devices import resolve
from wardround.training.head import Head
from wardround.training.images.augmentation import augment, mix
from wardround.training.images.pixels import rows_of
from wardround.training.inputs import InputShape
from wardround.training.local_descent import descend, loaded, no_gradient, scaled_rows
from wardround.training.model_tree import FEATURE_MEAN, tree_of, wide
from wardround.training.schedule import EpochSampler, learning_rate, steps_in_round
from wardround.training.threads import PieceThreads
from wardround.training.updates import Gradients
from wardround.values.cores import usable_cores
from wardround.values.local_run import GradientSum, LocalRun
from wardround.values.randomness import generator
from wardround.values.records import Records
from wardround.values.tree import Tree


@dataclass(frozen=True)
class _Piece:
    """What one worker computes: these rows, in this step, as this piece of a batch of `batch` records."""

    rows: NDArray[np.intp]
    step: int
    number: int
    batch: int


class TorchTrainer:
    """Trains a given model on one site's records for one round.

    seed belongs to the study and the site; round_number (from 1) is mixed in here. threads: pieces computed at once on a CPU,
    0 for as many as there are usable cores; it never changes the result. DataError for records of another shape.
    """

    def __init__(
        self,
        network: NetworkSection,
        training: TrainingSection,
        inputs: InputShape,
        records: Records,
        head: Head,
        *,
        seed: int,
        round_number: int,
        rounds: int,
        device: str,
        threads: int = 0,
    ) -> None:
        if not 1 <= round_number <= rounds:
            raise ValueError(f"round {round_number} is not one of 1..{rounds}")
        self.examples = len(records)
        self._network, self._training, self._inputs, self._head = network, training, inputs, head
        self._seed, self._round, self._rounds = seed, round_number, rounds
        self._device = resolve(device)
        self._threads = (threads or usable_cores()) if self._device.type == "cpu" else 1
        self._rows = rows_of(records, inputs, self._device)
        self._sampler = EpochSampler(seed, self.examples)

    def train(self, model: Tree, *, proximal_mu: float = 0.0, gradient_shift: Tree | None = None) -> LocalRun:
        """Train from `model`; `model` itself is left as it was. proximal_mu, gradient_shift: see `descend`. Without records the
        model comes back unchanged."""
        of = loaded(self._network, self._inputs, model, self._device, outputs=self._head.outputs)
        steps = steps_in_round(self._training, self.examples)
        rates = [learning_rate(self._training, self._round - 1 + (step + 0.5) / steps, self._rounds) for step in range(steps)]
        with PieceThreads(self._threads) as piece_threads:
            losses = descend(
                of,
                self._training,
                rates,
                lambda step: self._gradients(of.module, of.parameters, piece_threads, step, steps),
                proximal_mu=proximal_mu,
                gradient_shift=gradient_shift,
            )
        batch = min(self._training.batch_size, self.examples)
        last = losses[-max(1, round(self.examples / batch)) :] if losses else []
        return LocalRun(tree_of(of.module), steps, sum(rates), self.examples, sum(last), len(last) * batch)

    def gradient(self, model: Tree) -> GradientSum:
        """The summed gradients of one batch, the round's, at `model`."""
        of = loaded(self._network, self._inputs, model, self._device, outputs=self._head.outputs)
        batch = min(self._training.batch_size, self.examples)
        with PieceThreads(self._threads) as piece_threads:
            gradients, loss = self._gradients(of.module, of.parameters, piece_threads, 0, 1)
        sums = {name: wide(gradient) * batch for name, gradient in zip(of.names, gradients, strict=True)}
        return GradientSum({**no_gradient(of), **sums}, batch, loss, batch)

    def feature_mean(self, model: Tree) -> GradientSum:
        """The scaled features of all records, summed."""
        of = loaded(self._network, self._inputs, model, self._device, outputs=self._head.outputs)
        rows = scaled_rows(of, self._rows.read(torch.arange(self.examples, device=self._device)))
        return GradientSum({**of.zeros(), FEATURE_MEAN: wide(rows.double().sum(0))}, self.examples, 0.0, 0)

    def _gradients(
        self, module: nn.Module, parameters: Sequence[nn.Parameter], piece_threads: PieceThreads, step: int, steps: int
    ) -> tuple[Gradients, float]:
        """The gradient of the batch's mean loss, and the sum of its losses."""
        batch = min(self._training.batch_size, self.examples)
        rows = self._sampler.rows(((self._round - 1) * steps + step) * batch, batch)
        size = self._training.micro_batch if self._device.type == "cpu" else batch
        pieces = [_Piece(rows[start : start + size], step, number, batch) for number, start in enumerate(range(0, batch, size))]
        results = piece_threads.map(lambda piece: self._piece_gradients(module, parameters, piece), pieces)
        gradients, loss = results[0]
        for others, other_loss in results[1:]:
            torch._foreach_add_(gradients, others)
            loss += other_loss
        return gradients, loss

    def _piece_gradients(self, module: nn.Module, parameters: Sequence[nn.Parameter], piece: _Piece) -> tuple[Gradients, float]:
        index = torch.from_numpy(piece.rows).to(self._device)
        inputs, labels = self._rows.read(index), self._rows.labels[index]
        rng = generator("augment", self._seed, self._round, piece.step, piece.number)
        settings = self._training.augmentation
        if self._rows.is_image:
            inputs, targets = augment(inputs, labels, settings, rng)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        else:
            inputs, targets = mix(inputs, labels, settings.mixup, rng)
        loss = self._head.loss(module(inputs), targets).sum()
        gradients = torch.autograd.grad(loss / piece.batch, parameters)
        return [gradient.detach() for gradient in gradients], float(loss.detach())
