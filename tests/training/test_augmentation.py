"""Augmentation and scanner shifts: cheap, repeatable, and never out of range."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.study.sections.training import AugmentationSection
from wardround.training.images.augmentation import augment, augment_each, blurred, gaussian_kernel
from wardround.training.images.scanner_shift import SHIFT_NAMES, shifted
from wardround.values.errors import DataError
from wardround.values.randomness import generator

from .conftest import make_images, make_table

EACH: list[dict[str, Any]] = [
    {"shift": 0.2}, {"rotate": 20.0}, {"scale": 1.3}, {"stretch": 1.3}, {"shear": 10.0}, {"flip": 1.0}, {"gamma": 1.8},
    {"contrast": 1.5}, {"brightness": 0.2}, {"blur": 0.05}, {"sharpen": 1.0}, {"noise": 0.1}, {"mixup": 0.4},
    {"cutout": 0.4, "cutout_chance": 1.0}, {"shift": 0.2, "border": "repeat"}, {"rotate": 20.0, "border": "reflect"},
    {"cutout": 0.4, "cutout_chance": 1.0, "cutout_fill": "mean"},
]  # fmt: skip


def names_of(setting: dict[str, Any]) -> str:
    return "-".join(setting)


def pixels(n: int = 6, channels: int = 1, size: int = 16) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((n, channels, size, size), np.float32))


TARGETS = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])


@pytest.mark.parametrize("setting", [each for each in EACH if "mixup" not in each], ids=names_of)
def test_an_image_of_a_private_step_follows_from_itself_and_its_own_draws(setting: dict[str, Any]) -> None:
    """Its bits must be the same whoever else was drawn, or one patient more would change what all others are trained on."""
    settings_, before = AugmentationSection.model_validate(setting), pixels(size=13)

    def changed(order: list[int]) -> torch.Tensor:
        generators = iter([generator("image", number) for number in order])
        return augment_each(before[order], settings_, lambda: next(generators))

    everybody, others = changed([0, 1, 2, 3, 4, 5]), changed([4, 2, 5])
    assert not torch.equal(everybody, before)
    assert torch.equal(others, everybody[[4, 2, 5]])


@pytest.mark.parametrize("setting", EACH, ids=names_of)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_setting_changes_images_within_their_range(setting: dict[str, Any], channels: int) -> None:
    """A setting that does nothing, or that leaves 0..1, would only show as a worse model."""
    before = pixels(channels=channels)
    kept = before.clone()
    after, targets = augment(before, TARGETS, AugmentationSection.model_validate(setting), generator("t"))
    assert after.shape == before.shape and not torch.equal(after, before)
    assert torch.equal(before, kept)
    assert float(after.min()) >= 0.0 and float(after.max()) <= 1.0
    assert torch.equal(targets, TARGETS) == ("mixup" not in setting)


def test_nothing_set_changes_nothing() -> None:
    """The default study must train on the images as they are."""
    after, targets = augment(pixels(), TARGETS, AugmentationSection(), generator("t"))
    assert torch.equal(after, pixels()) and torch.equal(targets, TARGETS)


def test_a_certain_flip_is_the_mirror_image_with_or_without_a_warp() -> None:
    """Two ways to flip must agree: only one of them is cheap."""
    plain, _ = augment(pixels(), TARGETS, AugmentationSection(flip=1.0), generator("t"))
    warped, _ = augment(pixels(), TARGETS, AugmentationSection(flip=1.0, rotate=1e-6), generator("t"))
    assert torch.equal(plain, pixels().flip(3))
    torch.testing.assert_close(warped, plain, atol=1e-4, rtol=0)


def test_a_rotation_keeps_lengths_on_a_square() -> None:
    """A wrong matrix would shear: a round spot must stay round."""
    across = torch.linspace(-1, 1, 33)
    spot = torch.exp(-4 * (across[:, None] ** 2 + across[None] ** 2)).expand(6, 1, -1, -1)
    after, _ = augment(spot, TARGETS, AugmentationSection(rotate=45.0), generator("t"))
    assert float((after - spot).abs().mean()) < 0.01


MOVED = {"shift": 0.3, "rotate": 30.0, "scale": 1.5}


@pytest.mark.parametrize("border", ["repeat", "reflect"])
def test_a_moved_flat_image_stays_flat_where_its_border_goes_on(border: str) -> None:
    """Black corners are drawn by no scanner; a network learns where they are, and misses them at the next hospital."""
    flat = torch.full((6, 1, 16, 16), 0.6)
    after, _ = augment(flat, TARGETS, AugmentationSection.model_validate({**MOVED, "border": border}), generator("t"))
    torch.testing.assert_close(after, flat)
    black, _ = augment(flat, TARGETS, AugmentationSection.model_validate(MOVED), generator("t"))
    assert float(black.min()) == 0.0


def test_a_repeated_border_is_the_edge_and_a_reflected_one_the_inside() -> None:
    """Two words for the same thing would be one setting too many."""
    step = torch.zeros(1, 1, 8, 8)
    step[..., 1] = 1.0  # beside the edge: a repeated edge never shows it twice, a mirror image does
    settings_ = [AugmentationSection.model_validate({"shift": 0.5, "border": border}) for border in ("repeat", "reflect")]
    moved = [
        torch.cat([augment(step, TARGETS[:1], setting, generator("t", turn))[0] for turn in range(8)]) for setting in settings_
    ]
    bright = [float(images.sum((1, 2, 3)).max()) for images in moved]
    assert bright[0] <= 8.0 + 1e-3 < bright[1]


def test_a_border_changes_nothing_inside_the_image() -> None:
    """Only what lies beyond the edge may differ, or a study with the default would not be what it was."""
    spot = torch.zeros(6, 1, 33, 33)
    spot[:, :, 12:21, 12:21] = 1.0
    settings_ = [AugmentationSection.model_validate({"shift": 0.1, "rotate": 20.0, "border": b}) for b in ("zeros", "repeat")]
    zeros, repeated = (augment(spot, TARGETS, setting, generator("t"))[0] for setting in settings_)
    assert torch.equal(zeros, repeated) and not torch.equal(zeros, spot)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_blanked_square_can_have_the_images_own_mean(channels: int) -> None:
    """A black square is an exposure that no scanner has; the mean of each channel hides the place and nothing else."""
    before = pixels(channels=channels)
    setting = {"cutout": 0.5, "cutout_chance": 1.0}
    black, _ = augment(before, TARGETS, AugmentationSection.model_validate(setting), generator("t"))
    mean, _ = augment(before, TARGETS, AugmentationSection.model_validate({**setting, "cutout_fill": "mean"}), generator("t"))
    hidden = black != before
    assert hidden.any() and not hidden.all()
    assert torch.equal(mean[~hidden], before[~hidden])
    torch.testing.assert_close(mean[hidden], before.mean((2, 3), keepdim=True).expand_as(before)[hidden])


@given(sigma=st.floats(0.3, 5.0))
@settings(max_examples=20)
def test_a_blur_keeps_the_mean_of_a_flat_image(sigma: float) -> None:
    """Weights that do not sum to one would change the exposure."""
    assert float(gaussian_kernel(sigma).sum()) == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(blurred(torch.full((2, 1, 12, 12), 0.3), sigma), torch.full((2, 1, 12, 12), 0.3))


@pytest.mark.parametrize("name", SHIFT_NAMES)
@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (1, 16)])
def test_a_scanner_shift_gives_the_same_kind_of_images_every_time(name: str, channels: int, bits: int) -> None:
    """The threshold of a study must be reproducible, and the suite must not be empty talk."""
    records = make_images(5, 20, channels, bits)
    first, second = shifted(records, name), shifted(records, name)
    assert first.inputs.dtype == records.inputs.dtype and first.inputs.shape == records.inputs.shape
    assert np.array_equal(first.inputs, second.inputs) and np.array_equal(first.labels, records.labels)
    assert np.array_equal(first.inputs, records.inputs) == (name == "as_taken")


def test_tables_have_no_scanner() -> None:
    """Said clearly instead of an index error."""
    with pytest.raises(DataError, match="only images"):
        shifted(make_table(), "uneven")


def test_no_records_shift_to_no_records() -> None:
    """A site may have no validation patients."""
    none = make_images(4).select(np.arange(0))
    assert len(shifted(none, "uneven")) == 0
