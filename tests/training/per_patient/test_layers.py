"""Each layer alone, in every shape that a network of ours, or the next one, may give it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wardround.training.per_patient import PatientGradients
from wardround.training.per_patient.convolution import ConvFactors, Geometry, by_patient, contribution
from wardround.training.per_patient.tape import Tape, strangers

from .conftest import COUNTS, distance, length, loss, reference


class Summed(nn.Module):
    """A layer, a nonlinearity, and the mean as the logit: the layer's outputs get gradients that differ from place to place."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.sin(3.0 * self.layers(rows)).flatten(1).mean(1) * 5.0


class Tied(nn.Module):
    """One parameter behind two layers and behind a function of itself."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        inner = torch.sin(F.linear(rows, self.weight))
        return F.linear(torch.tanh(F.linear(inner, self.weight)), self.weight.T / self.weight.norm()).sum((1, 2))


class Scaled(nn.Module):
    """A parameter outside of any layer that we know."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.scale = nn.Linear(4, 3), nn.Parameter(torch.ones(3))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return (torch.sin(self.first(rows)) * self.scale).sum((1, 2))


SHAPES = [
    ("linear", (6,), Summed(nn.Linear(6, 5))),
    ("linear-no-bias", (6,), Summed(nn.Linear(6, 5, bias=False))),
    ("linear-places", (3, 6), Summed(nn.Linear(6, 5))),
    ("linear-many-places", (40, 6), Summed(nn.Linear(6, 5))),
    ("conv-3x3", (4, 12, 10), Summed(nn.Conv2d(4, 5, 3, padding=1))),
    ("conv-5x5-stride", (3, 13, 11), Summed(nn.Conv2d(3, 4, 5, 2, 2, bias=False))),
    ("conv-7x7-stride", (1, 17, 17), Summed(nn.Conv2d(1, 8, 7, 2, 3))),
    ("conv-uneven", (3, 9, 8), Summed(nn.Conv2d(3, 4, (3, 5), (1, 2), (2, 1)))),
    ("conv-no-padding", (3, 9, 8), Summed(nn.Conv2d(3, 4, 3))),
    ("conv-much-padding", (16, 2, 2), Summed(nn.Conv2d(16, 24, 3, padding=3))),
    ("conv-1x1", (24, 3, 3), Summed(nn.Conv2d(24, 32, 1, bias=False))),
    ("conv-1x1-stride", (24, 5, 4), Summed(nn.Conv2d(24, 32, 1, 2))),
    ("conv-1x1-padding", (24, 3, 3), Summed(nn.Conv2d(24, 32, 1, padding=1))),
    ("conv-few-places", (32, 3, 3), Summed(nn.Conv2d(32, 32, 3, padding=1))),
    ("conv-few-places-stride", (32, 5, 5), Summed(nn.Conv2d(32, 48, 3, 2, 1))),
    ("conv-one-place", (32, 1, 1), Summed(nn.Conv2d(32, 48, 3, padding=1))),
    ("conv-groups", (6, 8, 8), Summed(nn.Conv2d(6, 9, 3, padding=1, groups=3))),
    ("conv-depthwise", (6, 8, 8), Summed(nn.Conv2d(6, 6, 5, 2, 2, groups=6, bias=False))),
    ("conv-dilation", (3, 12, 12), Summed(nn.Conv2d(3, 4, 3, padding=2, dilation=2))),
    ("conv-same", (3, 8, 8), Summed(nn.Conv2d(3, 4, 3, padding="same"))),
    ("conv-circular", (3, 8, 8), Summed(nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"))),
    ("group-norm", (8, 6, 6), Summed(nn.GroupNorm(4, 8))),
    ("group-norm-no-arrays", (8, 6, 6), Summed(nn.GroupNorm(4, 8, affine=False), nn.Conv2d(8, 2, 1))),
    ("group-norm-flat", (8, 5), Summed(nn.GroupNorm(2, 8))),
    ("max-pool", (4, 9, 9), Summed(nn.Conv2d(4, 5, 3), nn.MaxPool2d(3, 2, 1), nn.GroupNorm(1, 5))),
    ("average-pool", (4, 9, 9), Summed(nn.Conv2d(4, 5, 3), nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(5, 3, 1))),
    ("layer-norm", (3, 6), Summed(nn.LayerNorm(6), nn.Linear(6, 2))),
    ("tied", (3, 4), Tied()),
    ("outside", (2, 4), Scaled()),
]


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize(("row", "module"), [pytest.param(row, module, id=name) for name, row, module in SHAPES])
def test_a_layer_gives_what_torch_func_gives(row: tuple[int, ...], module: nn.Module, counts: list[int]) -> None:
    """One wrong rule is one wrong bound on what a patient can change."""
    rng = torch.Generator().manual_seed(1)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.3 + 0.2)
    rows = torch.randn((sum(counts), *row), generator=rng, dtype=torch.float64)
    targets = torch.rand(sum(counts), generator=rng, dtype=torch.float64)
    expected = reference(module, rows, targets, counts)
    clip_norm = float(expected.norms.median())
    found = PatientGradients(module, clip_norm, 1).clipped_sum(rows, targets, counts, loss)
    torch.testing.assert_close(found.norms, expected.norms, rtol=1e-9, atol=0.0)
    assert distance(found.sums, expected.clipped_sum(clip_norm)) <= 1e-9 * length(expected.clipped_sum(clip_norm))


@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding"), [(7, 3, 1, 1), (6, 5, 1, 0), (9, 3, 2, 1), (5, 1, 1, 0), (5, 1, 2, 0)]
)
def test_both_ways_through_a_convolution_agree(side: int, kernel: int, stride: int, padding: int, each: int) -> None:
    """Shapes alone decide which is taken, so each must be right where the other would have been."""
    rng = torch.Generator().manual_seed(2)
    geometry = Geometry((8, 5, kernel, kernel), (stride, stride), (padding, padding), (1, 1), 1)
    inputs = torch.randn((4 * each, 5, side, side), generator=rng, dtype=torch.float64)
    out = (side + 2 * padding - kernel) // stride + 1
    gradient = torch.randn((4 * each, 8, out, out), generator=rng, dtype=torch.float64)
    kept = by_patient(geometry, inputs, gradient, 4)
    factors = ConvFactors(geometry, inputs, gradient, 4)
    torch.testing.assert_close(factors.squared_norms(), kept.flatten(1).square().sum(1), rtol=1e-10, atol=0.0)
    weights = torch.rand(4, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(factors.weighted_sum(weights), torch.tensordot(weights, kept, 1), rtol=1e-9, atol=1e-9)


def test_ghost_norms_are_taken_where_they_are_cheaper() -> None:
    """The rule of thumb must not send a large image through a Gram matrix of its pixels."""
    small, large = torch.zeros(2, 128, 4, 4), torch.zeros(2, 32, 64, 64)
    geometry = Geometry((128, 128, 3, 3), (1, 1), (1, 1), (1, 1), 1)
    assert isinstance(contribution(geometry, small, small, 2), ConvFactors)
    geometry = Geometry((32, 32, 3, 3), (1, 1), (1, 1), (1, 1), 1)
    assert not isinstance(contribution(geometry, large, large, 2), ConvFactors)


def test_a_parameter_outside_of_known_layers_is_noticed() -> None:
    """Otherwise its gradient would be zero, and clipping would not see it."""
    for module, outside in ((Scaled(), True), (Tied(), False)):
        rows = torch.randn(5, 2, 4)
        with Tape(5, 5) as tape:
            outputs = module(rows)
        assert strangers(outputs.sum(), module.parameters()) is outside
        assert tape.layers


def test_batch_normalisation_in_training_mode_is_refused() -> None:
    """It mixes patients: no clipping of one patient's gradient would bound what that patient changes."""
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    rows, targets = torch.randn(6, 3), torch.rand(6)

    def mixed(outputs: torch.Tensor, aims: torch.Tensor) -> torch.Tensor:
        return loss(outputs.sum(1), aims)

    with pytest.raises(ValueError, match="mixes patients"):
        PatientGradients(module, 1.0, 1).clipped_sum(rows, targets, [1] * 6, mixed)
    assert PatientGradients(module.eval(), 1.0, 1).clipped_sum(rows, targets, [1] * 6, mixed).norms.min() > 0
