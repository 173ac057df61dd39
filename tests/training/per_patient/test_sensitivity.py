"""What one patient can change."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import InputShape
from wardround.training.per_patient import ClippedSum, PatientGradients

from .conftest import NETWORKS, TABLE, distance, length, loss, network_module, rows_for


def without(
    gradients: PatientGradients, rows: torch.Tensor, targets: torch.Tensor, counts: list[int], left_out: int
) -> ClippedSum:
    kept = torch.ones(len(rows), dtype=torch.bool)
    start = sum(counts[:left_out])
    kept[start : start + counts[left_out]] = False
    return gradients.clipped_sum(rows[kept], targets[kept], counts[:left_out] + counts[left_out + 1 :], loss)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "inputs"), NETWORKS)
def test_one_patient_more_or_less_changes_the_sum_by_at_most_the_clip_norm(network: NetworkSection, inputs: InputShape) -> None:
    """The whole guarantee rests on this. The others' gradients keep their bits, so only float64 additions remain."""
    module, clip_norm = network_module(network, inputs), 0.1
    rng = np.random.default_rng(5)
    counts = rng.choice([1, 1, 2, 5], 12).tolist() if network.name != "efficientnet_lite0" else [1, 2, 1, 1]
    rows, targets = rows_for(inputs, sum(counts), seed=6)
    rows[0] *= 30.0  # somebody whose gradient is large
    gradients = PatientGradients(module, clip_norm, 2)
    everybody = gradients.clipped_sum(rows, targets, counts, loss)
    assert everybody.norms.max() > clip_norm
    for left_out in range(0, len(counts), 1 if len(counts) < 5 else 3):
        others = without(gradients, rows, targets, counts, left_out)
        change = distance(everybody.sums, others.sums)
        assert change <= clip_norm
        wanted = min(float(everybody.norms[left_out]), clip_norm * (1 - 2**-10))
        assert abs(change - wanted) <= 1e-9 * clip_norm


@pytest.mark.parametrize(("network", "inputs"), NETWORKS)
def test_a_patient_has_the_same_bits_whoever_else_was_drawn(network: NetworkSection, inputs: InputShape) -> None:
    """Rounding that depends on the others would let one patient's presence switch units in everybody's gradients."""
    module = network_module(network, inputs)
    count = 40 if network.name != "efficientnet_lite0" else 18
    rows, targets = rows_for(inputs, count, seed=7)
    gradients = PatientGradients(module, 1.0, 2)
    norms = gradients.clipped_sum(rows, targets, [1] * count, loss).norms
    for chosen in (torch.randperm(count, generator=torch.Generator().manual_seed(8))[: count - 5], torch.tensor([3])):
        found = gradients.clipped_sum(rows[chosen], targets[chosen], [1] * len(chosen), loss).norms
        assert torch.equal(found, norms[chosen])


def test_blocks_of_pieces_add_up_to_the_same_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that are lost between two blocks would be patients who count nothing."""
    rows, targets = rows_for(TABLE, 1300, seed=9)
    gradients = PatientGradients(network_module(NetworkSection(name="mlp"), TABLE), 0.1, 1)
    whole = gradients.clipped_sum(rows, targets, [1] * 1300, loss)
    for block in (1, 2, 4, 6):
        monkeypatch.setattr("wardround.training.per_patient.gradients._BLOCK", block)
        assert distance(gradients.clipped_sum(rows, targets, [1] * 1300, loss).sums, whole.sums) <= 1e-13 * length(whole.sums)


@pytest.mark.slow
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_row_of_any_size_exceeds_the_clip_norm(data: st.DataObject) -> None:
    """Whatever the rows hold: huge, tiny, equal, not a number."""
    module = network_module(NetworkSection(name="mlp"), TABLE)
    counts = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    values = st.floats(width=32, allow_nan=True, allow_infinity=True)
    rows = torch.tensor(data.draw(st.lists(st.lists(values, min_size=7, max_size=7), min_size=sum(counts), max_size=sum(counts))))
    targets = torch.tensor([float(place % 2) for place in range(len(rows))])
    clip_norm, left_out = data.draw(st.floats(1e-3, 1e3)), data.draw(st.integers(0, len(counts) - 1))
    gradients = PatientGradients(module, clip_norm, 1)
    everybody = gradients.clipped_sum(rows, targets, counts, loss)
    assert all(bool(share.isfinite().all()) for share in everybody.sums)
    assert length(everybody.sums) <= clip_norm * len(counts)
    assert distance(everybody.sums, without(gradients, rows, targets, counts, left_out).sums) <= clip_norm
