"""The same images as other scanners and other staff might have taken them, to choose a threshold that holds elsewhere.

Validation images come from the hospitals that trained the model, so the threshold that is best on them is too sure of itself
at a hospital that did not. Each site scores its validation images as they are and under every shift below; the sums of all
sites and shifts then choose one threshold. The shifts are tone curves, processing and geometry outside the family that
augmentation draws from (an S-curve, equalisation, photon noise, uneven exposure, lost resolution, collimation, framing).

They have no random part but the noise, whose generator is keyed by the shift and the number of the piece.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from wardround.training.images.augmentation import blurred
from wardround.values.errors import DataError
from wardround.values.randomness import generator
from wardround.values.records import Records

_PIECE = 256
Shift = Callable[[torch.Tensor, np.random.Generator], torch.Tensor]


def _tone(exponent: float) -> Shift:
    return lambda pixels, _rng: pixels.clamp(min=1e-4).pow(exponent)


def _hard_film(pixels: torch.Tensor, _rng: np.random.Generator) -> torch.Tensor:
    """An S-shaped characteristic curve: dark and bright ends pressed together."""
    low, high = torch.sigmoid(torch.tensor(-3.0)), torch.sigmoid(torch.tensor(3.0))
    return (torch.sigmoid(6.0 * (pixels - 0.5)) - low) / (high - low)


def _flat_film(pixels: torch.Tensor, _rng: np.random.Generator) -> torch.Tensor:
    """Scatter: a grey veil over everything."""
    return 0.25 + 0.55 * pixels


def _equalised(pixels: torch.Tensor, _rng: np.random.Generator) -> torch.Tensor:
    """Half-way to an even histogram of each image, as some consoles do."""
    flat = pixels.flatten(1)
    ranks = flat.argsort(dim=1, stable=True).argsort(dim=1, stable=True).to(torch.float32) / max(1, flat.shape[1] - 1)
    return torch.lerp(pixels, ranks.reshape(pixels.shape), 0.6)


def _photon_noise(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Noise that grows with the square root of the signal: a low dose."""
    draws = torch.from_numpy(rng.standard_normal(tuple(pixels.shape), np.float32))
    return pixels + 0.08 * pixels.sqrt() * draws


def _uneven(pixels: torch.Tensor, _rng: np.random.Generator) -> torch.Tensor:
    """The tube's heel effect: exposure falls from one side to the other."""
    fall = torch.linspace(1.25, 0.7, pixels.shape[2])
    return pixels * fall[None, None, :, None]


def _half_resolution(pixels: torch.Tensor, _rng: np.random.Generator) -> torch.Tensor:
    small = F.avg_pool2d(pixels, 2, ceil_mode=True, count_include_pad=False)
    return F.interpolate(small, size=list(pixels.shape[2:]), mode="bilinear", align_corners=False)


def _edges_up(pixels: torch.Tensor, _rng: np.random.Generator) -> torch.Tensor:
    """Edge enhancement by the console."""
    return pixels + 1.5 * (pixels - blurred(pixels, 0.02 * pixels.shape[-1]))


def _framed(top: float, bottom: float, left: float, right: float) -> Shift:
    """Cut these fractions off each side and bring the rest to full size; a negative fraction adds a black margin."""

    def shift(pixels: torch.Tensor, _rng: np.random.Generator) -> torch.Tensor:
        height, width = pixels.shape[2:]
        rows = (torch.arange(height) + 0.5) / height * (1 - top - bottom) + top
        columns = (torch.arange(width) + 0.5) / width * (1 - left - right) + left
        across, down = (2 * columns - 1).expand(height, -1), (2 * rows - 1)[:, None].expand(-1, width)
        grid = torch.stack((across, down), dim=-1)
        return F.grid_sample(pixels, grid.expand(len(pixels), -1, -1, -1), padding_mode="zeros", align_corners=False)

    return shift


def _collimated(pixels: torch.Tensor, _rng: np.random.Generator) -> torch.Tensor:
    """A narrow collimator: black bars above, below and on both sides."""
    height, width = pixels.shape[2:]
    shown = torch.zeros(height, width)
    shown[round(0.06 * height) : round(0.94 * height), round(0.08 * width) : round(0.92 * width)] = 1.0
    return pixels * shown


SHIFTS: dict[str, Shift] = {
    "as_taken": lambda pixels, _rng: pixels,
    "overexposed": _tone(1.7),
    "underexposed": _tone(0.6),
    "hard_film": _hard_film,
    "flat_film": _flat_film,
    "equalised": _equalised,
    "photon_noise": _photon_noise,
    "uneven": _uneven,
    "half_resolution": _half_resolution,
    "edges_up": _edges_up,
    "close_up": _framed(0.08, 0.08, 0.08, 0.08),
    "wide": _framed(-0.08, -0.08, -0.08, -0.08),
    "tall": _framed(0.0, 0.0, -0.1, -0.1),
    "broad": _framed(-0.1, -0.1, 0.0, 0.0),
    "high": _framed(0.12, -0.04, 0.0, 0.0),
    "collimated": _collimated,
}
SHIFT_NAMES: tuple[str, ...] = tuple(SHIFTS)


def shifted(records: Records, name: str) -> Records:
    """The records with their images under one shift of SHIFT_NAMES, same shape and pixel type. DataError for a table.

    "as_taken" gives the images as they are.
    """
    if records.inputs.ndim not in (3, 4):
        raise DataError("only images have scanner shifts", found=f"records of shape {records.inputs.shape}")
    if name == "as_taken":
        return records
    pieces = [
        _shifted_piece(records.inputs[start : start + _PIECE], name, start // _PIECE) for start in range(0, len(records), _PIECE)
    ]
    inputs = np.concatenate(pieces) if pieces else records.inputs
    return Records(inputs, records.labels, records.patients, records.splits)


def _shifted_piece(images: NDArray[Any], name: str, number: int) -> NDArray[Any]:
    full_range = np.iinfo(images.dtype).max
    pixels = torch.from_numpy(images.astype(np.float32) / full_range)
    pixels = pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels.unsqueeze(1)
    changed = SHIFTS[name](pixels, generator("scanner shift", name, number)).clamp(0.0, 1.0)
    changed = changed.permute(0, 2, 3, 1) if images.ndim == 4 else changed.squeeze(1)
    result: NDArray[Any] = np.rint(changed.numpy() * full_range).astype(images.dtype)
    return result
