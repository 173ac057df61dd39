"""The gradients of one step's records, summed: what FedSGD adds up."""

from typing import TYPE_CHECKING

import numpy as np

from wardround.algorithms.quantities import BatchGradient
from wardround.training.inputs import FEATURE_MEAN
from wardround.training.local_descent import Loaded
from wardround.training.model_tree import wide
from wardround.training.threads import PieceThreads
from wardround.values.local_run import RecordSum
from wardround.values.tree import Tree

if TYPE_CHECKING:
    from wardround.training.loop import TorchTrainer
    from wardround.training.per_patient.private_loop import PrivateTrainer


def plain(trainer: "TorchTrainer", quantity: BatchGradient) -> RecordSum:
    """Of one batch, the round's."""
    network = trainer.loaded(quantity.model)
    with PieceThreads(trainer.threads) as piece_threads:
        gradients, loss = trainer.mean_gradient(network, piece_threads, 0, 1)
    batch = trainer.batch
    sums = {name: wide(gradient) * batch for name, gradient in zip(network.names, gradients, strict=True)}
    return RecordSum({**_no_gradient(network), **sums}, batch, loss, batch)


def private(trainer: "PrivateTrainer", quantity: BatchGradient) -> RecordSum:
    """Of the drawn patients, each one's clipped, without noise; weight: q N, rounded to a whole number of at least 1."""
    network = trainer.loaded(quantity.model)
    sums, loss, drawn = trainer.clipped_sum(network, trainer.patient_gradients(network))
    return RecordSum({**_no_gradient(network), **sums}, trainer.step_weight, loss, drawn)


def _no_gradient(network: Loaded) -> Tree:
    """Zeros for what travels with the gradients and has none."""
    return {name: np.zeros(tuple(buffer.shape)) for name, buffer in network.module.named_buffers() if name == FEATURE_MEAN}
