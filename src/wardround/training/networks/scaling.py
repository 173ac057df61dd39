"""Pixel scaling inside a network, so that an exported model carries it."""

import torch
import torch.nn.functional as F
from torch import nn

from wardround.study.network import PixelScaling

_FLOOR = 1e-2  # of the full range: a blank image has no contrast to scale up


class Scaling(nn.Module):
    """(n, c, h, w) in 0..1 to the network's own range. No parameters.

    standardise: each image to mean 0 and deviation 1. local: each pixel against mean and deviation within a window of about
    a quarter of the image. none: 2 x - 1.
    """

    def __init__(self, kind: PixelScaling) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.kind == "none":
            return 2.0 * pixels - 1.0
        if self.kind == "standardise":
            centred = pixels - pixels.mean((1, 2, 3), keepdim=True)
            return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + _FLOOR)
        return _against_surroundings(pixels)


def _against_surroundings(pixels: torch.Tensor) -> torch.Tensor:
    reach = max(1, pixels.shape[-1] // 8)
    window = 2 * reach + 1
    centred = pixels - F.avg_pool2d(pixels, window, 1, reach, count_include_pad=False)
    spread = F.avg_pool2d(centred.square(), window, 1, reach, count_include_pad=False).sqrt()
    return centred / (spread + 2 * _FLOOR)
