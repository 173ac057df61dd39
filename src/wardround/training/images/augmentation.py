"""Random changes of a piece of training images: where they lie, how they were exposed, what is hidden.

All choices of a piece come from one numpy generator that its caller keyed by study, site, round, step and piece, or, in a private
step, from a secret one for each image; nothing is drawn from a global generator. The order is: mirror, affine warp, blur or
sharpen, gamma, contrast, brightness, noise, blanked square, mixup.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from wardround.study.sections.training import AugmentationSection

Draws = NDArray[np.float32]
_BEYOND = {"zeros": "zeros", "repeat": "border", "reflect": "reflection"}
"""What torch calls that which lies beyond an image's edge."""


def augment(
    pixels: torch.Tensor, targets: torch.Tensor, settings: AugmentationSection, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, c, h, w) in 0..1 and targets (n, ...), changed; the images stay in 0..1, the shapes as they were."""
    pixels = _mirror_some(pixels, settings.flip, rng)
    changed = _expose(_blur_or_sharpen(_warp(pixels, settings, rng), settings, rng), settings, rng)
    if settings.chance < 1.0:
        chosen = torch.from_numpy(rng.random(len(pixels)) < settings.chance).to(pixels.device)
        changed = torch.where(chosen.reshape(-1, 1, 1, 1), changed, pixels)
    pixels = _blank(changed, settings, rng)
    return mix(pixels, targets, settings.mixup, rng)


def augment_each(
    pixels: torch.Tensor, settings: AugmentationSection, new_generator: Callable[[], np.random.Generator]
) -> torch.Tensor:
    """Images (n, c, h, w), each changed alone, in memory of its own, with a generator of its own; never with mixup.

    So an image follows from its record and its own secret draws, to the last bit: in a private step it may not depend on who else
    was drawn. Of images changed together it would, since kernels round and generators draw by an image's place.
    """
    if settings == AugmentationSection():
        return pixels
    alone = (augment(image.clone(), torch.zeros(1), settings, new_generator()) for image in torch.split(pixels, 1))
    return torch.cat([changed for changed, _ in alone])


def mix(inputs: torch.Tensor, targets: torch.Tensor, alpha: float, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup (Zhang et al., ICLR 2018, eq. 1): each row with its neighbour in the piece, share drawn from Beta(alpha, alpha)."""
    if alpha == 0.0 or len(inputs) < 2:
        return inputs, targets
    share = torch.from_numpy(rng.beta(alpha, alpha, len(inputs)).astype(np.float32)).to(inputs.device)
    rows = share.reshape(-1, *([1] * (inputs.ndim - 1)))
    mixed = torch.lerp(inputs.roll(1, 0), inputs, rows)
    return mixed, torch.lerp(targets.roll(1, 0), targets, share.reshape(-1, *([1] * (targets.ndim - 1))))


def _symmetric(rng: np.random.Generator, n: int, largest: float) -> Draws:
    return rng.uniform(-largest, largest, n).astype(np.float32)


def _factor(rng: np.random.Generator, n: int, largest: float) -> Draws:
    """Even in the logarithm between 1 / largest and largest."""
    return np.exp(_symmetric(rng, n, math.log(largest)))


def _column(values: NDArray[np.floating[Any]], like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(like.device).reshape(-1, 1, 1, 1)


def _warp(pixels: torch.Tensor, settings: AugmentationSection, rng: np.random.Generator) -> torch.Tensor:
    moves = (settings.shift, settings.rotate, settings.scale - 1.0, settings.stretch - 1.0, settings.shear)
    if not any(moves):
        return pixels
    n = len(pixels)
    angle = np.deg2rad(_symmetric(rng, n, settings.rotate))
    slant = np.tan(np.deg2rad(_symmetric(rng, n, settings.shear)))
    zoom, stretch = _factor(rng, n, settings.scale), np.sqrt(_factor(rng, n, settings.stretch))
    cos, sin = np.cos(angle), np.sin(angle)
    theta = np.zeros((n, 2, 3), np.float32)  # from the place in the new image to the place in the old one
    theta[:, 0, 0], theta[:, 0, 1] = zoom * stretch * cos, zoom * stretch * (cos * slant - sin)
    theta[:, 1, 0], theta[:, 1, 1] = zoom / stretch * sin, zoom / stretch * (sin * slant + cos)
    theta[:, 0, 2], theta[:, 1, 2] = _symmetric(rng, n, 2 * settings.shift), _symmetric(rng, n, 2 * settings.shift)
    grid = F.affine_grid(torch.from_numpy(theta).to(pixels.device), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode=_BEYOND[settings.border], align_corners=False)


def _mirror_some(pixels: torch.Tensor, chance: float, rng: np.random.Generator) -> torch.Tensor:
    if chance == 0.0:
        return pixels
    chosen = torch.from_numpy(rng.random(len(pixels)) < chance).to(pixels.device).reshape(-1, 1, 1, 1)
    return torch.where(chosen, pixels.flip(3), pixels)


def gaussian_kernel(sigma: float) -> torch.Tensor:
    """Weights of a Gaussian of `sigma` pixels, cut at three deviations, summing to 1."""
    reach = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()


def blurred(pixels: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur of `sigma` pixels, one axis after the other, the border repeated."""
    kernel = gaussian_kernel(sigma).to(pixels.device)
    reach, (n, c, h, w) = len(kernel) // 2, pixels.shape
    flat = F.pad(pixels.reshape(n * c, 1, h, w), (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(flat, kernel.reshape(1, 1, 1, -1)), kernel.reshape(1, 1, -1, 1)).reshape(n, c, h, w)


def _blur_or_sharpen(pixels: torch.Tensor, settings: AugmentationSection, rng: np.random.Generator) -> torch.Tensor:
    """Each image moves from itself towards its blurred copy (blur) or away from it (sharpen): one blur serves the whole piece."""
    if settings.blur == 0.0 and settings.sharpen == 0.0:
        return pixels
    soft = blurred(pixels, max(0.4, (settings.blur or 0.015) * pixels.shape[-1]))
    lowest = -settings.sharpen
    highest = 1.0 if settings.blur > 0.0 else 0.0
    return torch.lerp(pixels, soft, _column(rng.uniform(lowest, highest, len(pixels)), pixels)).clamp_(0.0, 1.0)


def _expose(pixels: torch.Tensor, settings: AugmentationSection, rng: np.random.Generator) -> torch.Tensor:
    n = len(pixels)
    if settings.gamma > 1.0:
        pixels = pixels.clamp(min=1e-4).pow(_column(_factor(rng, n, settings.gamma), pixels))
    if settings.contrast > 1.0:
        mean = pixels.mean((1, 2, 3), keepdim=True)
        pixels = torch.lerp(mean, pixels, _column(_factor(rng, n, settings.contrast), pixels))
    if settings.brightness > 0.0:
        pixels = pixels + _column(_symmetric(rng, n, settings.brightness), pixels)
    if settings.noise > 0.0:
        draws = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**62))))
        pixels = pixels + draws.to(pixels.device) * _column(rng.uniform(0.0, settings.noise, n), pixels)
    return pixels.clamp(0.0, 1.0)


def _blank(pixels: torch.Tensor, settings: AugmentationSection, rng: np.random.Generator) -> torch.Tensor:
    """Cut-out (DeVries and Taylor, 2017): one square set to 0 or to each channel's own mean, its centre anywhere in the image."""
    if settings.cutout == 0.0:
        return pixels
    n, _, height, width = pixels.shape
    top, left = rng.random(n), rng.random(n)
    chosen = rng.random(n) < settings.cutout_chance
    half = settings.cutout / 2
    rows = np.abs((np.arange(height) + 0.5) / height - top[:, None]) < half
    columns = np.abs((np.arange(width) + 0.5) / width - left[:, None]) < half
    hidden = chosen[:, None, None] & rows[:, :, None] & columns[:, None, :]
    mask = torch.from_numpy(hidden).to(pixels.device).unsqueeze(1)
    if settings.cutout_fill == "zero":
        return pixels.masked_fill(mask, 0.0)
    return torch.where(mask, pixels.mean((2, 3), keepdim=True), pixels)
