"""Every network against torch.func, patient by patient."""

import math

import pytest
import torch

from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import InputShape
from wardround.training.per_patient import PatientGradients

from .conftest import CASES, NETWORKS, distance, length, loss, network_module, reference, rows_for


@pytest.mark.parametrize(("network", "inputs", "counts"), CASES)
def test_the_clipped_sum_is_that_of_torch_func(network: NetworkSection, inputs: InputShape, counts: list[int]) -> None:
    """In float64, where rounding hides nothing: every rule is exact, for patients with one row, as many, or not as many."""
    module = network_module(network, inputs, torch.float64)
    rows, targets = rows_for(inputs, sum(counts), torch.float64)
    expected = reference(module, rows, targets, counts)
    clip_norm = float(expected.norms.median())  # some are clipped and some are not
    found = PatientGradients(module, clip_norm, 2).clipped_sum(rows, targets, counts, loss)
    torch.testing.assert_close(found.norms, expected.norms, rtol=1e-9, atol=0.0)
    assert found.loss == pytest.approx(float(expected.losses.sum()), rel=1e-9)
    wanted = expected.clipped_sum(clip_norm)
    assert distance(found.sums, wanted) <= 1e-9 * length(wanted)
    assert all(share.dtype == torch.float64 for share in found.sums)


@pytest.mark.parametrize(("network", "inputs", "counts"), CASES)
def test_float32_is_close_to_float64(network: NetworkSection, inputs: InputShape, counts: list[int]) -> None:
    """As hospitals compute. Relative 1e-4, but 2e-2 for the networks of 50 layers and more: a unit that float32 puts on the other
    side of a ReLU's corner moves a gradient by up to a percent, in torch.func's float32 as in ours."""
    tolerance = 2e-2 if network.name in ("efficientnet_lite0", "densenet121") else 1e-4
    module = network_module(network, inputs)
    rows, targets = rows_for(inputs, sum(counts))
    found = PatientGradients(module, 0.5, 2).clipped_sum(rows, targets, counts, loss)
    expected = reference(module.double(), rows.double(), targets.double(), counts)
    torch.testing.assert_close(found.norms, expected.norms, rtol=tolerance, atol=0.0)
    assert distance(found.sums, expected.clipped_sum(0.5)) <= tolerance * length(expected.clipped_sum(0.5))


@pytest.mark.parametrize(("network", "inputs"), NETWORKS)
def test_without_clipping_it_is_the_ordinary_gradient(network: NetworkSection, inputs: InputShape) -> None:
    """Zero noise and an infinite clip norm are training without privacy."""
    module = network_module(network, inputs, torch.float64)
    rows, targets = rows_for(inputs, 5, torch.float64)
    found = PatientGradients(module, math.inf, 1).clipped_sum(rows, targets, [1] * 5, loss)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    ordinary = torch.autograd.grad(loss(module(rows), targets).sum(), parameters)
    assert distance(found.sums, ordinary) <= 1e-9 * length(ordinary)
