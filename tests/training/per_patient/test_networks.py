"""Every network against torch.func, patient by patient."""

import math
from typing import Any

import pytest
import torch

from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import InputShape
from wardround.training.per_patient import PatientGradients, arrays

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


@pytest.mark.parametrize("name", ["resnet", pytest.param("efficientnet_lite0", marks=pytest.mark.slow)])
def test_what_was_clipped_is_kept_for_the_sum_where_there_is_room_and_has_the_same_bits_where_there_is_none(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients behind a function of parameters are dear to work out twice; the room for them may decide time, never a bit."""
    sizes = {"width": 8, "blocks": (1,)} if name == "resnet" else {}
    network = NetworkSection.model_validate({"name": name, **sizes})
    inputs = InputShape("image", 1, 32, 32)
    module, rows = network_module(network, inputs), torch.rand((6, *inputs.row), generator=torch.Generator().manual_seed(1))
    back, calls = arrays.PatientGradientTerms._back, []

    def counted(*terms: Any) -> Any:
        calls.append(1)
        return back(*terms)

    monkeypatch.setattr(arrays.PatientGradientTerms, "_back", counted)

    def clipped(room: int) -> tuple[list[torch.Tensor], int]:
        monkeypatch.setattr(arrays, "_ROOM", room)
        calls.clear()
        targets = (torch.arange(6) % 2).float()
        return PatientGradients(module, 0.1, 1).clipped_sum(rows, targets, [1, 2, 1, 2], loss).sums, len(calls)

    (kept, once), (anew, twice) = clipped(2**26), clipped(0)
    assert twice == 2 * once > 0
    assert all(map(torch.equal, kept, anew))
