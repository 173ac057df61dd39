"""What local work at a site gives back to the algorithm: a trained model, or the sum of gradients at a given one."""

from dataclasses import dataclass

from wardround.values.tree import Tree


@dataclass(frozen=True)
class LocalRun:
    """The result of training on one site's records, starting from a given model.

    model: the trained parameters and buffers, float32. steps: optimiser steps taken. lr_sum: the sum of the learning rates of
    those steps (SCAFFOLD divides by it). examples: the records trained on, n_k. loss_sum, loss_count: the summed loss over the
    last epoch and the records it was summed over.
    """

    model: Tree
    steps: int
    lr_sum: float
    examples: int
    loss_sum: float
    loss_count: int


@dataclass(frozen=True)
class GradientSum:
    """sums: float64, by parameter: the summed gradients of one step's records (or, under privacy, of its patients, each
    clipped). weight: how many that stands for, a public number under privacy. loss_sum, loss_count: as in LocalRun."""

    sums: Tree
    weight: int
    loss_sum: float
    loss_count: int
