"""Models that a coordinator crafts so that every output is what rounding leaves over."""

import numpy as np
import torch
from torch import nn

from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import InputShape
from wardround.training.networks import build


def crafted_module(hidden: tuple[int, ...], features: int, exponent: float, rng: np.random.Generator) -> nn.Module:
    """A weight of 2^exponent on column 0, which is 1 for everybody, the opposite bias, and small other weights."""
    network = NetworkSection(name="mlp", hidden=hidden) if hidden else NetworkSection(name="logistic")
    module = build(network, InputShape("table", features=features))
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(torch.from_numpy(rng.normal(size=tuple(layer.weight.shape)).astype(np.float32)))
        layers[0].weight[:, 0], layers[0].bias[:] = 2.0**exponent, -(2.0**exponent)
    return module


def flagged_rows(rows: int, features: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows whose column 0 is 1, and labels by coin."""
    values = (4.0 * rng.normal(size=(rows, features))).astype(np.float32)
    values[:, 0] = 1.0
    return torch.from_numpy(values), torch.from_numpy((rng.random(rows) < 0.5).astype(np.float32))
