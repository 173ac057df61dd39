"""Who counts, how much, and that nothing else matters."""

import math

import pytest
import torch
from torch import nn

from wardround.study.sections.network import NetworkSection
from wardround.training.per_patient import PatientGradients

from .conftest import IMAGE, TABLE, distance, length, loss, network_module, reference, rows_for

SMALL = NetworkSection(name="small_cnn", width=8, blocks=(1, 1))


@pytest.mark.parametrize("clip_norm", [0.3, math.inf])
def test_the_number_of_threads_changes_no_bit(clip_norm: float) -> None:
    """A hospital with more cores must not train another model."""
    module, counts = network_module(SMALL, IMAGE), [1, 2, 3, 1, 1, 2] * 9
    rows, targets = rows_for(IMAGE, sum(counts))
    results = [PatientGradients(module, clip_norm, threads).clipped_sum(rows, targets, counts, loss) for threads in (1, 2, 3)]
    for other in results[1:]:
        assert all(map(torch.equal, other.sums, results[0].sums))
        assert torch.equal(other.norms, results[0].norms) and other.loss == results[0].loss


def test_how_a_batch_is_cut_changes_roundings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Physical batches are smaller than logical ones; the law is about the logical one."""
    module, counts = network_module(SMALL, IMAGE, torch.float64), [1, 3, 1, 2, 1, 1, 1, 3, 1]
    rows, targets = rows_for(IMAGE, sum(counts), torch.float64)
    found = []
    for most in (1, 2, 5, 64):
        monkeypatch.setattr("wardround.training.per_patient.gradients.most_rows", lambda _, most=most: most)
        found.append(PatientGradients(module, 0.3, 1).clipped_sum(rows, targets, counts, loss))
    for other in found[1:]:
        assert distance(other.sums, found[0].sums) <= 1e-12 * length(found[0].sums)
        torch.testing.assert_close(other.norms, found[0].norms, rtol=1e-11, atol=0.0)


@pytest.mark.slow
def test_a_patient_with_many_rows_is_one_patient() -> None:
    """Thirty images are one unit: the mean of their gradients is what is clipped, not each of them."""
    module = network_module(SMALL, IMAGE, torch.float64)
    rows, targets = rows_for(IMAGE, 41, torch.float64)
    found = PatientGradients(module, 1e-3, 1).clipped_sum(rows, targets, [40, 1], loss)
    expected = reference(module, rows, targets, [40, 1])
    assert distance(found.sums, expected.clipped_sum(1e-3)) <= 1e-12
    assert length(found.sums) <= 2e-3


def test_copies_of_a_row_change_nothing() -> None:
    """Augmented views of one image are one patient's; a patient gains no weight by them."""
    module = network_module(SMALL, IMAGE, torch.float64)
    rows, targets = rows_for(IMAGE, 3, torch.float64)
    once = PatientGradients(module, 0.3, 1).clipped_sum(rows, targets, [1] * 3, loss)
    thrice = PatientGradients(module, 0.3, 1).clipped_sum(
        rows.repeat_interleave(3, 0), targets.repeat_interleave(3), [3] * 3, loss
    )
    assert distance(once.sums, thrice.sums) <= 1e-12 and once.loss == pytest.approx(thrice.loss)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_a_patient_who_is_not_finite_counts_zero_and_harms_nobody(bad: float) -> None:
    """Refusing the batch would tell that such a patient is in it; adding the gradient would spoil the study."""
    for network, inputs in ((SMALL, IMAGE), (NetworkSection(name="mlp"), TABLE)):
        module, counts = network_module(network, inputs), [1, 2, 1, 1, 2, 1]
        rows, targets = rows_for(inputs, sum(counts))
        kept = torch.ones(len(rows), dtype=torch.bool)
        kept[1:3] = False
        alone = PatientGradients(module, 0.3, 2).clipped_sum(rows[kept], targets[kept], [1, 1, 1, 2, 1], loss)
        spoiled = rows.clone()
        spoiled[2] = bad
        found = PatientGradients(module, 0.3, 2).clipped_sum(spoiled, targets, counts, loss)
        if bool(
            found.norms[1].isfinite()
        ):  # 1e30 is a number like any other where the network scales its images, else too long to count
            assert distance(found.sums, alone.sums) <= (0.3 if network is SMALL else 0.0) and bad == 1e30
            continue
        assert all(map(torch.equal, found.sums, alone.sums))
        assert found.loss == pytest.approx(alone.loss) and not bool(found.norms[1].isfinite())


def test_nobody_finite_is_a_sum_of_zeros() -> None:
    """The last filler of a piece must not bring anybody back."""
    module = network_module(NetworkSection(name="mlp"), TABLE)
    rows, targets = torch.full((3, 7), math.nan), torch.zeros(3)
    found = PatientGradients(module, 1.0, 1).clipped_sum(rows, targets, [1] * 3, loss)
    assert length(found.sums) == 0.0 and found.loss == 0.0


def test_nobody_drawn_is_a_sum_of_zeros() -> None:
    """Poisson sampling draws nobody now and then; the step is noise alone."""
    for network, inputs in ((SMALL, IMAGE), (NetworkSection(name="logistic"), TABLE)):
        module = network_module(network, inputs)
        rows, targets = rows_for(inputs, 0)
        found = PatientGradients(module, 1.0, 2).clipped_sum(rows, targets, [], loss)
        shapes = [parameter.shape for parameter in module.parameters()]
        assert [share.shape for share in found.sums] == shapes and length(found.sums) == 0.0
        assert found.norms.shape == (0,) and found.loss == 0.0


def test_an_unused_parameter_has_no_gradient_and_its_place() -> None:
    """The sums are added to the parameters by their order."""

    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.idle, self.head, self.frozen = nn.Linear(2, 2), nn.Linear(7, 1), nn.Linear(7, 7).requires_grad_(False)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.frozen(rows))
            return logits.squeeze(1)

    rows, targets = rows_for(TABLE, 4)
    found = PatientGradients(Part(), 1.0, 1).clipped_sum(rows, targets, [1] * 4, loss)
    assert [tuple(share.shape) for share in found.sums] == [(2, 2), (2,), (1, 7), (1,)]
    assert length(found.sums[:2]) == 0.0 < length(found.sums[2:])


@pytest.mark.parametrize("network", [pytest.param(SMALL, id="small_cnn"), pytest.param(NetworkSection(name="mlp"), id="mlp")])
def test_rows_and_weights_in_another_memory_format_are_the_same(network: NetworkSection) -> None:
    """The loop for plain training keeps its channels last."""
    inputs = IMAGE if network.name == "small_cnn" else TABLE
    module = network_module(network, inputs, torch.float64)
    rows, targets = rows_for(inputs, 6, torch.float64)
    plain = PatientGradients(module, 0.3, 1).clipped_sum(rows, targets, [1] * 6, loss)
    if inputs is IMAGE:
        rows, module = rows.contiguous(memory_format=torch.channels_last), module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    other = PatientGradients(module, 0.3, 1).clipped_sum(rows, targets, [1] * 6, loss)
    assert distance(plain.sums, other.sums) <= 1e-12


@pytest.mark.parametrize("counts", [[1, 1], [2, 2], [3, 0], [4, -1], [[1, 2]]])
def test_counts_that_do_not_fit_the_rows_are_refused(counts: list[int]) -> None:
    """A shifted count would give one patient's rows to another."""
    rows, targets = rows_for(TABLE, 3)
    with pytest.raises(ValueError, match="add up"):
        PatientGradients(network_module(NetworkSection(name="mlp"), TABLE), 1.0, 1).clipped_sum(rows, targets, counts, loss)


@pytest.mark.parametrize("clip_norm", [0.0, -1.0, math.nan])
def test_a_clip_norm_is_above_zero(clip_norm: float) -> None:
    """Zero would be training on noise; not a number would clip nothing."""
    with pytest.raises(ValueError, match="above 0"):
        PatientGradients(nn.Linear(1, 1), clip_norm, 1)


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_opacus_finds_the_same_norms() -> None:
    """An independent implementation, where it is installed."""
    opacus = pytest.importorskip("opacus")
    convolutions = [
        nn.Conv2d(1, 16, 5, 2, 2),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, padding=1, groups=2),
        nn.ReLU(),
    ]
    module = nn.Sequential(
        *convolutions, nn.MaxPool2d(2), nn.Conv2d(24, 32, 1), nn.Flatten(), nn.Linear(32 * 64, 1), nn.Flatten(0)
    )
    rows, targets = rows_for(IMAGE, 6)
    found = PatientGradients(module, 0.3, 1).clipped_sum(rows, targets, [1] * 6, loss)
    private = opacus.GradSampleModule(module, loss_reduction="sum")
    loss(private(rows), targets).sum().backward()
    each = [parameter.grad_sample.double().flatten(1).norm(dim=1) for parameter in private.parameters()]
    torch.testing.assert_close(found.norms, torch.stack(each).norm(dim=0), rtol=1e-4, atol=0.0)
