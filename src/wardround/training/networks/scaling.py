"""Scaling of pixels or features inside a network, so that an exported model carries it."""

import torch
import torch.nn.functional as F
from torch import nn

from wardround.study.sections.backbone import BackboneSection
from wardround.study.sections.network import PixelScaling

_FLOOR = 1e-2  # of the full range: a blank image has no contrast to scale up
_NOTHING = 1e-6  # below it a part of the features says nothing


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


class FeatureScaling(nn.Module):
    """(n, features) of a backbone to the range of the network that learns. No parameters.

    none: as they are. unit: each part within its image, then each row to length 1. synthetic: each part within its image, then
    (value - mean) / deviation, two arrays that come with the first model and never change, then each row to length 1.
    feature_mean:
    where the study wants it, what is then taken away before each row is brought to length 1 once more.
    """

    mean: torch.Tensor
    deviation: torch.Tensor
    feature_mean: torch.Tensor

    def __init__(self, section: BackboneSection) -> None:
        super().__init__()
        self.kind, self.parts = section.scaling, section.parts
        if self.kind == "synthetic":
            self.register_buffer("mean", torch.zeros(section.features))
            self.register_buffer("deviation", torch.ones(section.features))
        self.has_feature_mean = section.feature_mean
        if self.has_feature_mean:
            self.register_buffer("feature_mean", torch.zeros(section.features))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.kind == "none":
            return features
        rows = self.uncentred(features)
        return _of_length_one(rows - self.feature_mean) if self.has_feature_mean else rows

    def uncentred(self, features: torch.Tensor) -> torch.Tensor:
        """Rows of length at most 1, and 1 but for rounding unless an image says nothing. Not for scaling "none"."""
        scaled = within_image(features, self.parts)
        if self.kind == "synthetic":
            scaled = (scaled - self.mean) / self.deviation
        return _of_length_one(scaled)


def _of_length_one(rows: torch.Tensor) -> torch.Tensor:
    return rows / (rows.square().sum(1, keepdim=True) + _NOTHING).sqrt()


def within_image(features: torch.Tensor, parts: tuple[int, ...]) -> torch.Tensor:
    """Each part of each row to mean 0 and deviation 1: an image that is brighter or harder as a whole stays what it was."""
    scaled = []
    for part in torch.split(features, list(parts), dim=1):
        centred = part - part.mean(1, keepdim=True)
        scaled.append(centred / (centred.square().mean(1, keepdim=True) + _NOTHING).sqrt())
    return torch.cat(scaled, dim=1)


def _against_surroundings(pixels: torch.Tensor, reach: int) -> torch.Tensor:
    centred = pixels - _window_mean(pixels, reach)
    return centred / (_window_mean(centred.square(), reach).sqrt() + 2 * _FLOOR)


def _window_mean(pixels: torch.Tensor, reach: int) -> torch.Tensor:
    """The mean over the square window that reaches so far each way, cut at the border; one axis after the other is the same."""
    window = 2 * reach + 1
    along = F.avg_pool2d(pixels, (1, window), 1, (0, reach), count_include_pad=False)
    return F.avg_pool2d(along, (window, 1), 1, (reach, 0), count_include_pad=False)
