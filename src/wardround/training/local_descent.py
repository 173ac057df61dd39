"""The steps of one local training, whatever its gradients come from.

gradient of step i --clipped (if asked)--> + mu (w - w_start) + shift --> optimiser step --> ... --> weights (or their average)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from wardround.study.sections.network import NetworkSection
from wardround.study.sections.training import TrainingSection
from wardround.training.inputs import InputShape
from wardround.training.model_tree import load_tree, tree_of
from wardround.training.networks import build
from wardround.training.updates import Descent, Gradients, MovingAverage, clip, shift_of
from wardround.values.tree import Tree

GradientOf = Callable[[int], tuple[Gradients, float]]
"""step -> its gradients, in the order of the parameters, and its loss."""


@dataclass(frozen=True)
class Loaded:
    """A network with a model in it, on its device. names, parameters: what training changes, in the module's order."""

    module: nn.Module
    names: tuple[str, ...]
    parameters: list[nn.Parameter]

    def learning(self, learns: frozenset[str] | None) -> "Loaded":
        """The same network, of which training changes these arrays alone; None for all."""
        if learns is None:
            return self
        named = [(name, one) for name, one in zip(self.names, self.parameters, strict=True) if name in learns]
        return Loaded(self.module, tuple(name for name, _ in named), [parameter for _, parameter in named])

    def zeros(self) -> Tree:
        """float64, shaped as what training changes: the sum of no gradients."""
        return {name: np.zeros(tuple(p.shape)) for name, p in zip(self.names, self.parameters, strict=True)}


def loaded(
    network: NetworkSection,
    inputs: InputShape,
    model: Tree,
    device: torch.device,
    *,
    outputs: int = 1,
    channels_last: bool = True,
) -> Loaded:
    """RegistryError where `model` does not belong to `network`. channels_last: for images, how they lie in memory."""
    module = build(network, inputs, outputs).to(device)
    load_tree(module, model)
    if inputs.kind == "image" and channels_last:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    named = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    return Loaded(module, tuple(name for name, _ in named), [parameter for _, parameter in named])


@dataclass(frozen=True)
class Descended:
    """losses: of each step. moments: of the optimiser, for the next round; empty where the study keeps none. stages: the model
    after each step that was asked for."""

    losses: list[float]
    moments: Tree
    stages: tuple[Tree, ...] = ()


def descend(
    network: Loaded,
    training: TrainingSection,
    rates: Sequence[float],
    gradient_of: GradientOf,
    *,
    proximal_mu: float = 0.0,
    gradient_shift: Tree | None = None,
    moments: Tree | None = None,
    stages: Sequence[int] = (),
) -> Descended:
    """One step for each learning rate; the network's parameters change in place. moments: those of the round before. stages:
    numbers of steps, rising, after which the model is kept as if this had been the last step.

    proximal_mu adds mu (w - w_start) to the gradient (FedProx, Li et al., MLSys 2020, eq. 2). gradient_shift, by parameter name,
    is added to every gradient (SCAFFOLD, Karimireddy et al., ICML 2020, eq. 3: c - c_i); names it lacks are not shifted. Both are
    added after clip_norm, which bounds what the data say.
    """
    parameters = network.parameters
    shifts = [shift_of(gradient_shift, name, parameter) for name, parameter in zip(network.names, parameters, strict=True)]
    starts = [parameter.detach().clone() for parameter in parameters] if proximal_mu else []
    descent = Descent(training, network.names, parameters, moments)
    average = MovingAverage(training.ema_decay, parameters)
    losses: list[float] = []
    kept: list[Tree] = []
    for step, rate in enumerate(rates):
        gradients, loss = gradient_of(step)
        clip(gradients, training.clip_norm)
        if proximal_mu:
            for gradient, parameter, start in zip(gradients, parameters, starts, strict=True):
                gradient.add_(parameter.detach() - start, alpha=proximal_mu)
        for gradient, shift in zip(gradients, shifts, strict=True):
            if shift is not None:
                gradient.add_(shift)
        descent.step(gradients, rate)
        average.take(parameters)
        losses.append(loss)
        if step + 1 in stages:
            kept += [_as_if_last(network, average)] * stages.count(step + 1)
    average.put(parameters)
    return Descended(losses, descent.moments() if training.keep_optimizer else {}, tuple(kept))


def _as_if_last(network: Loaded, average: MovingAverage) -> Tree:
    """What the model is where training ends here. The weights themselves go on as they are."""
    going_on = [parameter.detach().clone() for parameter in network.parameters]
    average.put(network.parameters)
    model = tree_of(network.module)
    with torch.no_grad():
        for parameter, weights in zip(network.parameters, going_on, strict=True):
            parameter.copy_(weights)
    return model
