"""What one patient can change where the coordinator crafts a network of images so that remainders of rounding are summed."""

import importlib.util
from collections.abc import Callable
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import InputShape
from wardround.training.networks import build
from wardround.training.networks.resnet import StandardisedConv
from wardround.training.per_patient import PatientGradients
from wardround.training.per_patient.convolution import ConvFactors
from wardround.training.per_patient.crafted_networks import chaotic_module

from .conftest import distance, loss

pytestmark = pytest.mark.permission
NETWORKS = [
    pytest.param(NetworkSection(name="small_cnn", width=8), id="small_cnn"),
    pytest.param(NetworkSection(name="plain_cnn", width=8), id="plain_cnn"),
    pytest.param(NetworkSection(name="resnet", width=8, blocks=(1, 1)), id="resnet"),
    pytest.param(NetworkSection(name="efficientnet_lite0"), id="efficientnet_lite0", marks=[pytest.mark.slow, pytest.mark.many]),
    pytest.param(
        NetworkSection(name="densenet121"),
        id="densenet121",
        marks=[pytest.mark.slow, pytest.mark.skipif(importlib.util.find_spec("monai") is None, reason="MONAI is not installed")],
    ),
]


def image_of(network: NetworkSection) -> InputShape:
    """The smallest image that a network takes, or one of a usual size."""
    side = 32 if network.name in ("efficientnet_lite0", "densenet121") else 28
    return InputShape("image", 1, side, side)


class Balanced(nn.Module):
    """A layer of images and the sum of its outputs with weights that add up to nothing: what all places share cancels."""

    signs: torch.Tensor

    def __init__(self, layer: nn.Module, outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.layer = layer
        signs = torch.randn(outputs, generator=torch.Generator().manual_seed(1))
        self.register_buffer("signs", signs - signs.mean((1, 2), keepdim=True) if outputs[1] > 1 else signs)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return (torch.as_tensor(self.layer(rows)) * self.signs).flatten(1).sum(1) * 1e-9


def nearly_alike(patients: int, row: tuple[int, ...]) -> torch.Tensor:
    """Pixels of about 4,000, the same everywhere but for 24 bits' last ones."""
    rng = torch.Generator().manual_seed(2)
    level = 4096.0 + torch.rand((patients, *[1] * len(row)), generator=rng)
    return level + 2.0**-11 * torch.randint(0, 2, (patients, *row), generator=rng)


def few_places() -> nn.Module:
    return Balanced(nn.Conv2d(32, 64, 3, padding=0, bias=False), (64, 2, 2))


def standardised() -> nn.Module:
    return Balanced(StandardisedConv(32, 64, 1), (64, 1, 1))


def small(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(1e-3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    return module


CANCELLING = [
    pytest.param(few_places, (32, 4, 4), id="places"),
    pytest.param(standardised, (32, 1, 1), id="parameters"),
]


def beyond_its_share(module: nn.Module, rows: torch.Tensor, counts: list[int]) -> float:
    """What the first patient changes beside its own share of the sum, in clip norms, where all are shortened a thousandfold."""
    targets, first = (torch.arange(len(rows)) % 2).float(), counts[0]
    norms = PatientGradients(module, 1.0, 1).clipped_sum(rows, targets, counts, loss).norms
    clip_norm = float(norms[torch.isfinite(norms) & (norms > 0)].min()) / 1000
    gradients = PatientGradients(module, clip_norm, 1)
    everybody = gradients.clipped_sum(rows, targets, counts, loss)
    alone = gradients.clipped_sum(rows[:first], targets[:first], counts[:1], loss)
    others = gradients.clipped_sum(rows[first:], targets[first:], counts[1:], loss)
    assert torch.equal(everybody.norms.nan_to_num(), torch.cat([alone.norms, others.norms]).nan_to_num())
    assert distance(everybody.sums, others.sums) <= clip_norm
    return distance(everybody.sums, [a + b for a, b in zip(alone.sums, others.sums, strict=True)]) / clip_norm


def share(patients: int) -> float:
    """Of the room in `clipping` for rounding."""
    return 2.0**-33 * patients


@pytest.mark.parametrize(("layer", "row"), CANCELLING)
def test_what_cancels_moves_nobody_else(layer: Callable[[], nn.Module], row: tuple[int, ...]) -> None:
    """A piece's sum in float32, or a function's backward of that sum, rounds for all of its patients together: 0.1 and 4.8 clip
    norms."""
    assert beyond_its_share(small(layer()), nearly_alike(401, row), [1] * 401) <= share(401)


def test_a_sum_in_float32_would_be_found() -> None:
    """An attack that could never succeed would prove nothing."""

    def narrow(factors: ConvFactors, weights: torch.Tensor) -> torch.Tensor:
        weight = factors.inputs.new_empty(factors.geometry.kernel)
        scaled = factors.gradient * weights.float().reshape(-1, 1, 1, 1)
        return factors.geometry.backward(scaled, factors.inputs, weight, (False, True))[1]

    with mock.patch.object(ConvFactors, "weighted_sum", narrow):
        assert beyond_its_share(small(few_places()), nearly_alike(401, (32, 4, 4)), [1] * 401) > 100 * share(401)


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 2, 3, 5])
@pytest.mark.parametrize("spread", [0.3, 0.004], ids=["noisy", "nearly blank"])
@pytest.mark.parametrize("network", NETWORKS)
def test_the_first_patient_changes_nothing_but_its_own_share(network: NetworkSection, spread: float, first: int) -> None:
    """Filters that sum to nothing on nearly blank images: every output is a remainder, and everybody moves one place up."""
    counts = [first, *[1] * 40, 2, 2, 3, 4, 5, 5, 8, 17]
    rng = np.random.default_rng(first)
    rows = np.clip(0.5 + spread * rng.standard_normal((sum(counts), *image_of(network).row)), 0.0, 1.0).astype(np.float32)
    assert beyond_its_share(chaotic_module(network, image_of(network), 1), torch.from_numpy(rows), counts) <= share(len(counts))


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [8, 16, 24, 30])
@pytest.mark.parametrize("network", NETWORKS)
def test_no_size_of_the_weights_lets_a_patient_move_more(network: NetworkSection, exponent: int) -> None:
    """Shifts of a normalisation so large that what is read behind it is the same everywhere, but for its last bits."""
    module = build(network, image_of(network))
    rng = torch.Generator().manual_seed(exponent)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
        for layer in module.modules():
            if isinstance(layer, nn.GroupNorm | nn.BatchNorm2d):
                layer.bias.fill_(2.0**exponent)
        *_, head = (layer for layer in module.modules() if isinstance(layer, nn.Linear))
        head.weight.mul_(2.0**-exponent)
    rows = torch.rand((61, *image_of(network).row), generator=rng)
    assert beyond_its_share(module, rows, [2, *[1] * 59]) <= share(60)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_patient_who_is_not_finite_leaves_the_others_as_they_are(network: NetworkSection) -> None:
    """Nothing of an overflow may reach the neighbours in a piece."""
    module = chaotic_module(network, image_of(network), 1)
    rows = torch.rand((40, *image_of(network).row), generator=torch.Generator().manual_seed(5))
    rows[0] = 1e38
    assert beyond_its_share(module, rows, [1] * 40) <= share(40)
