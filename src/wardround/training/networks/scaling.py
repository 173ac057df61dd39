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

    def __init__(self, kind: PixelScaling, side: int) -> None:
        """side: the images' width in pixels; fixed here, since an exported model needs windows of known size."""
        super().__init__()
        self.kind, self.reach = kind, max(1, side // 8)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.kind == "none":
            return 2.0 * pixels - 1.0
        if self.kind == "standardise":
            centred = pixels - pixels.mean((1, 2, 3), keepdim=True)
            return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + _FLOOR)
        return _against_surroundings(pixels, self.reach)


def _against_surroundings(pixels: torch.Tensor, reach: int) -> torch.Tensor:
    centred = pixels - _window_mean(pixels, reach)
    return centred / (_window_mean(centred.square(), reach).sqrt() + 2 * _FLOOR)


def _window_mean(pixels: torch.Tensor, reach: int) -> torch.Tensor:
    """The mean over the square window that reaches so far each way, cut at the border; one axis after the other is the same."""
    window = 2 * reach + 1
    along = F.avg_pool2d(pixels, (1, window), 1, (0, reach), count_include_pad=False)
    return F.avg_pool2d(along, (window, 1), 1, (reach, 0), count_include_pad=False)
