"""The model after a round of a hospital's own steps."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from wardround.algorithms.quantities import TrainedModel
from wardround.training.local_descent import Loaded, descend
from wardround.training.model_tree import tree_of
from wardround.training.schedule import learning_rate, steps_in_round
from wardround.training.threads import PieceThreads
from wardround.training.updates import Gradients
from wardround.values.local_run import LocalRun
from wardround.values.tree import Tree, flatten, unflatten

if TYPE_CHECKING:
    from wardround.training.loop import TorchTrainer
    from wardround.training.per_patient.private_loop import PrivateTrainer


def plain(trainer: "TorchTrainer", quantity: TrainedModel) -> LocalRun:
    """The quantity's model itself is left as it was. Without records it comes back unchanged."""
    network = trainer.loaded(quantity.model).learning(quantity.learns)
    steps = steps_in_round(trainer.training, trainer.examples)
    rates = _rates(trainer, steps)
    with PieceThreads(trainer.threads) as piece_threads:
        done = descend(
            network,
            trainer.training,
            rates,
            lambda step: trainer.mean_gradient(network, piece_threads, step, steps),
            proximal_mu=quantity.proximal_mu,
            gradient_shift=quantity.gradient_shift,
            moments=trainer.moments,
            stages=[_steps_of(trainer, passes) for passes in quantity.passes],
        )
    losses = done.losses
    last = losses[-max(1, round(trainer.examples / trainer.batch)) :] if losses else []
    model = tree_of(network.module)
    count = len(last) * trainer.batch
    return LocalRun(model, steps, sum(rates), trainer.examples, sum(last), count, done.moments, done.stages)


def _steps_of(trainer: "TorchTrainer", passes: int) -> int:
    """As many steps as a round of so many passes has."""
    return steps_in_round(trainer.training.changed(local_epochs=float(passes)), trainer.examples)


def private(trainer: "PrivateTrainer", quantity: TrainedModel) -> LocalRun:
    """DP-SGD. What comes back is private: it, and all that is worked out from it, may leave. The losses are not, and stay.

    Moments of noised gradients are worked out from what was charged: to keep them from round to round costs nothing more.
    """
    if quantity.learns is not None or quantity.passes:
        raise ValueError("only plain training holds arrays still or stops on the way: a private round is charged as a whole")
    network = trainer.loaded(quantity.model)
    gradients_of = trainer.patient_gradients(network)
    steps = trainer.privacy.steps or 1
    rates = _rates(trainer, steps)
    counts: list[int] = []

    def noised(_: int) -> tuple[Gradients, float]:
        sums, loss, drawn = trainer.clipped_sum(network, gradients_of)
        counts.append(drawn)
        return _noised_mean(trainer, network, sums), loss

    done = descend(
        network,
        trainer.training,
        rates,
        noised,
        proximal_mu=quantity.proximal_mu,
        gradient_shift=quantity.gradient_shift,
        moments=trainer.moments,
    )
    model = tree_of(network.module)
    return LocalRun(model, steps, sum(rates), trainer.examples, sum(done.losses), sum(counts), done.moments)


def _rates(trainer: "TorchTrainer | PrivateTrainer", steps: int) -> list[float]:
    """The learning rate of each step, which stands in the middle of its share of the round."""
    before = trainer.round_number - 1
    return [learning_rate(trainer.training, before + (step + 0.5) / steps, trainer.rounds) for step in range(steps)]


def _noised_mean(trainer: "PrivateTrainer", network: Loaded, sums: Tree) -> Gradients:
    noised = trainer.noise(flatten(sums)) / (trainer.privacy.sampling_rate * trainer.examples)
    shapes = {name: tuple(array.shape) for name, array in sums.items()}
    tree = unflatten(noised, shapes)
    return [torch.from_numpy(tree[name].astype(np.float32)).to(trainer.device) for name in network.names]
