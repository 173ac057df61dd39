"""One site's records in one round, and the gradient of one step.

    rows --batch--> pieces of micro_batch --augment, forward, backward: one thread each--> gradients
         --added in order--> one step's gradient

The same (seed, round) gives the same bits for any number of threads, since the pieces are fixed (see `threads`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from wardround.algorithms.quantities import Quantity, Result
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.training import TrainingSection
from wardround.training.devices import resolve
from wardround.training.head import Head
from wardround.training.images.augmentation import augment, mix
from wardround.training.images.pixels import rows_of
from wardround.training.inputs import InputShape
from wardround.training.local_descent import Loaded, loaded
from wardround.training.networks.dropout import draws_from
from wardround.training.quantities import computation_of
from wardround.training.schedule import EpochSampler
from wardround.training.threads import PieceThreads
from wardround.training.updates import Gradients
from wardround.values.cores import usable_cores
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
    """Works out what an algorithm asks of one site's records in one round (`training/quantities/`).

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
        moments: Tree | None = None,
    ) -> None:
        """moments: what the optimiser goes on with, from the run of the round before."""
        if not 1 <= round_number <= rounds:
            raise ValueError(f"round {round_number} is not one of 1..{rounds}")
        self.examples = len(records)
        self.training, self.round_number, self.rounds = training, round_number, rounds
        self.moments = moments
        self._network, self._inputs, self._head, self._seed = network, inputs, head, seed
        self.device = resolve(device)
        self.threads = (threads or usable_cores()) if self.device.type == "cpu" else 1
        self.rows = rows_of(records, inputs, self.device, head.targets)
        self._sampler = EpochSampler(seed, self.examples)

    def compute(self, quantity: Quantity[Result]) -> Result:
        """What an algorithm asks for, from this site's records in this round."""
        result: Result = computation_of(quantity).plain(self, quantity)
        return result

    @property
    def batch(self) -> int:
        """Records of one step."""
        return min(self.training.batch_size, self.examples)

    def loaded(self, model: Tree) -> Loaded:
        """The network with a model in it."""
        return loaded(self._network, self._inputs, model, self.device, outputs=self._head.outputs)

    def mean_gradient(self, network: Loaded, piece_threads: PieceThreads, step: int, steps: int) -> tuple[Gradients, float]:
        """The gradient of the mean loss of one step's batch, and the sum of its losses. steps: of each round."""
        batch = self.batch
        rows = self._sampler.rows(((self.round_number - 1) * steps + step) * batch, batch)
        size = self.training.micro_batch if self.device.type == "cpu" else batch
        pieces = [_Piece(rows[start : start + size], step, number, batch) for number, start in enumerate(range(0, batch, size))]
        results = piece_threads.map(lambda piece: self._piece_gradients(network, piece), pieces)
        gradients, loss = results[0]
        for others, other_loss in results[1:]:
            torch._foreach_add_(gradients, others)
            loss += other_loss
        return gradients, loss

    def _piece_gradients(self, network: Loaded, piece: _Piece) -> tuple[Gradients, float]:
        index = torch.from_numpy(piece.rows).to(self.device)
        inputs, labels = self.rows.read(index), self.rows.labels[index]
        rng = generator("augment", self._seed, self.round_number, piece.step, piece.number)
        settings = self.training.augmentation
        if self.rows.is_image:
            inputs, targets = augment(inputs, labels, settings, rng)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        else:
            inputs, targets = mix(inputs, labels, settings.mixup, rng)
        with draws_from(rng):
            outputs = network.module(inputs)
        loss = self._head.loss(outputs, targets).sum()
        gradients = torch.autograd.grad(loss / piece.batch, network.parameters)
        return [gradient.detach() for gradient in gradients], float(loss.detach())
