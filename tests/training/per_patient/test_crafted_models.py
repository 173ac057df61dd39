"""What one patient can change where the coordinator crafts the model."""

import gzip
import os
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wardround.training.per_patient import PatientGradients
from wardround.training.per_patient.fixed_order import product, row_losses, tree_sum

from .conftest import distance, length, loss
from .crafted import crafted_module, flagged_rows

pytestmark = pytest.mark.permission
HIDDEN = [(), (1,), (4,), (8,), (10,), (4, 4), (16,), (64, 32)]


def moved(module: nn.Module, rows: torch.Tensor, targets: torch.Tensor, counts: list[int], left_out: int) -> float:
    """How far the clipped sum moves, in clip norms, when one patient is left out."""
    gradients = PatientGradients(module, 1.0, 1)
    kept = torch.ones(len(rows), dtype=torch.bool)
    kept[sum(counts[:left_out]) : sum(counts[: left_out + 1])] = False
    everybody = gradients.clipped_sum(rows, targets, counts, loss)
    others = gradients.clipped_sum(rows[kept], targets[kept], counts[:left_out] + counts[left_out + 1 :], loss)
    assert torch.equal(others.norms, torch.cat([everybody.norms[:left_out], everybody.norms[left_out + 1 :]]))
    return distance(everybody.sums, others.sums)


@pytest.mark.parametrize("exponent", [26, 28, 30])
@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_the_first_patient_moves_nobody_else(hidden: tuple[int, ...], first: int, exponent: int) -> None:
    """Everybody moves one row up, or two when the first has two records: the sum moved by 27 clip norms."""
    rng = np.random.default_rng(0)
    module, (rows, targets) = crafted_module(hidden, 49, exponent, rng), flagged_rows(600 + first, 49, rng)
    assert moved(module, rows, targets, [first, *[1] * 600], 0) <= 1.0


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 200), st.floats(20.0, 30.0), st.data())
def test_no_width_and_no_number_of_inputs_lets_a_patient_move_more(
    seed: int, width: int, features: int, exponent: float, data: st.DataObject
) -> None:
    """Kernels change with the shape: luck in one of them is no bound."""
    rng = np.random.default_rng(seed)
    counts = data.draw(st.lists(st.sampled_from([1, 1, 1, 2, 3, 5, 17]), min_size=2, max_size=120))
    hidden = data.draw(st.sampled_from([(), (width,), (width, 3)]))
    module, (rows, targets) = crafted_module(hidden, features, exponent, rng), flagged_rows(sum(counts), features, rng)
    assert moved(module, rows, targets, counts, data.draw(st.integers(0, len(counts) - 1))) <= 1.0


def test_records_that_cancel_are_not_a_way_around() -> None:
    """Two records whose gradients are opposite leave a remainder, and a remainder is what another order of adding changes."""
    rng = np.random.default_rng(3)
    module = crafted_module((6, 5), 30, 0.0, rng)
    rows, _ = flagged_rows(400, 30, rng)
    pairs = torch.stack([rows, rows + 1e-6 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))], 1).flatten(
        0, 1
    )
    targets = torch.tensor([0.0, 1.0]).repeat(len(rows))
    assert moved(module, pairs * 1e4, targets, [2] * len(rows), 0) <= 1.0


@pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="real rows are outside of the repository")
@pytest.mark.parametrize("hidden", [(), (4,), (10,)], ids=str)
def test_real_rows_of_intensive_care_are_bounded_too(hidden: tuple[int, ...]) -> None:
    """The attack on real people's first-day values: it moved the sum by 21 clip norms."""
    path = Path(os.environ["WARDROUND_DATA"]) / "eicu_demo" / "apacheapsvar.csv.gz"
    table = pl.read_csv(gzip.decompress(path.read_bytes()), null_values="NA", infer_schema_length=None)
    values = table.select(pl.selectors.numeric()).fill_null(0).to_numpy().astype(np.float64)
    values = (values - values.mean(0)) / (values.std(0) + 1e-9)
    rows = torch.from_numpy(np.concatenate([np.ones((len(values), 1)), values], 1).astype(np.float32))
    rng = np.random.default_rng(4)
    targets = torch.from_numpy((rng.random(len(rows)) < 0.1).astype(np.float32))
    module = crafted_module(hidden, rows.shape[1], 28, rng)
    assert moved(module, rows, targets, [2, *[1] * (len(rows) - 2)], 0) <= 1.0


def test_the_attack_is_one() -> None:
    """With a library's product in the place of ours the same patient moves the sum by many clip norms."""
    rng = np.random.default_rng(0)
    module, (rows, targets) = crafted_module((10,), 49, 28, rng), flagged_rows(601, 49, rng)
    gradients = PatientGradients(module, 1.0, 1)
    with mock.patch("wardround.training.per_patient.layers.product", F.linear):
        everybody = gradients.clipped_sum(rows, targets, [1] * 601, loss)
        others = gradients.clipped_sum(rows[1:], targets[1:], [1] * 600, loss)
    assert distance(everybody.sums, others.sums) > 3.0


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 200), st.integers(0, 70))
def test_a_row_has_the_same_product_and_loss_wherever_it_stands(seed: int, width: int, features: int, lead: int) -> None:
    """The whole proof is this sentence."""
    rng = np.random.default_rng(seed)
    weight = torch.from_numpy((rng.normal(size=(width, features)) * 2.0 ** rng.uniform(-20, 20, features)).astype(np.float32))
    rows, targets = flagged_rows(70, features, rng)
    order = torch.from_numpy(np.roll(rng.permutation(70), lead))
    outputs, moved_outputs = product(rows, weight), product(rows[order], weight)
    assert torch.equal(outputs[order], moved_outputs)
    losses = row_losses(loss, outputs[:, 0], targets)
    assert torch.equal(losses[order][lead:], row_losses(loss, moved_outputs[lead:, 0], targets[order][lead:]))


@given(st.integers(1, 300))
def test_a_tree_adds_every_value_once(size: int) -> None:
    """Whole numbers have no rounding to hide behind."""
    values = torch.arange(1.0, size + 1.0, dtype=torch.float64)
    assert float(tree_sum(values)) == size * (size + 1) / 2
    assert length([product(torch.ones(3, size).double(), values[None]) - size * (size + 1) / 2]) == 0.0
