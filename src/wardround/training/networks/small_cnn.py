"""A small residual network for images of 32 to 128 pixels, chosen for accuracy per second of one CPU core.

Stem at half the resolution, then stages that halve the image and double the channels; group normalisation (Wu and He, ECCV
2018), which needs no batch statistics; average-pooled shortcuts (He et al., "Bag of tricks", CVPR 2019, figure 2c).

    pixels -> scaling -> conv 5x5 / 2 -> stage 1 -> stage 2 / 2 -> ... -> mean and maximum over places -> linear -> outputs

The maximum lets one small opacity speak at once: with the mean alone ten rounds learn clearly less (docs/benchmarks.md).
"""

import torch
import torch.nn.functional as F
from torch import nn

from wardround.training.networks.scaling import Scaling


def groups_for(channels: int) -> int:
    """8 groups, or fewer where 8 does not divide the channels."""
    return next(count for count in (8, 4, 2, 1) if channels % count == 0)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; `stride` 2 halves height and width."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(groups_for(after), after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(groups_for(after), after)
        self.shortcut = nn.Conv2d(before, after, 1, bias=False) if before != after else nn.Identity()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inner = F.relu(self.norm1(self.conv1(features)), inplace=True)
        inner = self.norm2(self.conv2(inner))
        kept = F.avg_pool2d(features, 2, ceil_mode=True, count_include_pad=False) if self.stride == 2 else features
        return F.relu(inner + self.shortcut(kept), inplace=True)


class SmallCnn(nn.Module):
    """pixels (n, channels, height, width) in 0..1 -> (n,), or (n, outputs)."""

    def __init__(self, channels: int, width: int, blocks: tuple[int, ...], scaling: Scaling, outputs: int = 1) -> None:
        super().__init__()
        self.scaling = scaling
        self.stem = nn.Conv2d(channels, width, 5, 2, 2, bias=False)
        self.stem_norm = nn.GroupNorm(groups_for(width), width)
        stages: list[nn.Module] = []
        before = width
        for number, count in enumerate(blocks):
            after = width * 2**number
            stages += [Block(before if i == 0 else after, after, 2 if i == 0 and number > 0 else 1) for i in range(count)]
            before = after
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(2 * before, outputs)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = F.relu(self.stem_norm(self.stem(self.scaling(pixels))), inplace=True)
        features = self.stages(features)
        outputs: torch.Tensor = self.head(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1))
        return outputs.squeeze(1)
