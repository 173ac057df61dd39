"""Between a torch module and a Tree, the named arrays that travel.

A Tree holds every float32 parameter and buffer of a module under its state_dict name, so it is all that is needed to run the
model; integer buffers (counters) are left out. `trainable_names` says which of them training changes: the others are the
same at every site and need not travel after the first model.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import FEATURE_MEAN, InputShape
from wardround.training.networks import build
from wardround.values.errors import RegistryError
from wardround.values.randomness import generator
from wardround.values.tree import Shapes, Tree

_NORMS = (nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._BatchNorm)


def initial_tree(network: NetworkSection, inputs: InputShape, seed: int, outputs: int = 1) -> Tree:
    """The model before round 1: He initialisation keyed by `seed` and each name, or ImageNet weights with a new head."""
    module = build(network, inputs, outputs)
    _initialise(module, seed)
    if network.pretrained:
        from wardround.training.networks.efficientnet_lite0 import load_imagenet

        load_imagenet(module)
    return tree_of(module)


def tree_of(module: nn.Module) -> Tree:
    """Copies of all float32 parameters and buffers, row by row in memory, whatever layout the module keeps them in."""
    return {
        name: np.array(tensor.detach().cpu().contiguous().numpy(), order="C")
        for name, tensor in module.state_dict().items()
        if tensor.dtype == torch.float32
    }


def wide(tensor: torch.Tensor) -> NDArray[np.float64]:
    """A tensor's values in float64, row by row, whatever its layout and device."""
    return np.array(tensor.detach().cpu().contiguous().numpy(), np.float64, order="C")


def load_tree(module: nn.Module, tree: Tree) -> None:
    """Put `tree` into `module`. RegistryError unless names and shapes are exactly the module's."""
    state = {name: tensor for name, tensor in module.state_dict().items() if tensor.dtype == torch.float32}
    wrong = sorted(state.keys() ^ tree.keys()) or sorted(
        name for name, tensor in state.items() if tuple(tensor.shape) != tuple(np.shape(tree[name]))
    )
    if wrong:
        raise RegistryError(
            "the model does not belong to this network",
            expected=f"{len(state)} arrays named and shaped as the network's",
            found=f"{len(wrong)} that differ, the first is {wrong[0]}",
            hint="use the study that the model was trained with",
        )
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(torch.tensor(np.asarray(tree[name], np.float32)))


def trainable_names(module: nn.Module) -> frozenset[str]:
    """Names of the parameters that training changes, and of the mean of features, which a round of sums does."""
    learned = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return frozenset(learned | {name for name, _ in module.named_buffers() if name == FEATURE_MEAN})


def float_shapes(module: nn.Module) -> Shapes:
    """Names and shapes of what `tree_of` copies, in name order."""
    tensors = module.state_dict()
    return {name: tuple(tensors[name].shape) for name in sorted(tensors) if tensors[name].dtype == torch.float32}


def norm_names(module: nn.Module) -> frozenset[str]:
    """Names of the float parameters and buffers of normalisation layers: what FedBN keeps at the site."""
    return frozenset(
        f"{path}.{name}" if path else name
        for path, part in module.named_modules()
        if isinstance(part, _NORMS)
        for name, tensor in part.state_dict().items()
        if tensor.dtype == torch.float32
    )


def _initialise(module: nn.Module, seed: int) -> None:
    """Weights of two or more axes: normal with deviation sqrt(2 / fan-in) (He et al., ICCV 2015, eq. 10); norms to identity.

    The head starts at zero, so that the first model says one half for everybody; biases are zero.
    """
    norms = norm_names(module)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name == "scaling.deviation":
                tensor.fill_(1.0)  # what is measured later replaces it
            elif name in norms:
                tensor.fill_(1.0 if name.endswith(("weight", "running_var")) else 0.0)
            elif tensor.ndim >= 2 and not name.startswith("head."):
                fan_in = math.prod(tensor.shape[1:])
                draws = generator("initial", seed, name).standard_normal(tuple(tensor.shape), np.float32)
                tensor.copy_(torch.from_numpy(draws * np.float32(math.sqrt(2.0 / fan_in))))
