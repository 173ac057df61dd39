"""One step of a last layer that stays at a hospital, beside a step that the coordinator takes of all layers below it."""

import numpy as np
import torch
from torch import nn

from wardround.study.sections.training import TrainingSection
from wardround.training.schedule import learning_rate
from wardround.training.updates import Descent, clip
from wardround.values.tree import Tree


def stepped(
    training: TrainingSection, head: Tree, gradient: Tree, round_number: int, rounds: int, moments: Tree
) -> tuple[Tree, Tree]:
    """The head after one step of the study's optimiser, and its moments after it.

    head, gradient: by array, of one shape; the gradient of the mean loss. round_number: from 1; its middle says the rate.
    moments: those after the step before, empty before the first.
    """
    names = sorted(head)
    parameters = [nn.Parameter(torch.tensor(np.asarray(head[name], np.float32))) for name in names]
    gradients = [torch.tensor(np.asarray(gradient[name], np.float32)) for name in names]
    clip(gradients, training.clip_norm)
    descent = Descent(training, names, parameters, moments)
    descent.step(gradients, learning_rate(training, round_number - 0.5, rounds))
    after = {name: parameter.detach().numpy().copy() for name, parameter in zip(names, parameters, strict=True)}
    return after, descent.moments()
