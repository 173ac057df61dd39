"""A plain convolutional network for images of 32 to 128 pixels: a third of `small_cnn`'s numbers, a quarter of its time.

    pixels -> scaling -> conv 5x5 / 2 -> conv 3x3 -> conv 3x3 -> conv 3x3 -> mean and maximum over places -> linear -> outputs
                                      \\____ between two of them: the largest of 2x2 places ____/

It has no shortcuts. After each convolution follow group normalisation (Wu and He, ECCV 2018), which needs no batch statistics,
and ReLU. Each convolution has twice the channels of the one before.
"""

import torch
import torch.nn.functional as F
from torch import nn

from wardround.training.networks.dropout import Dropout
from wardround.training.networks.scaling import Scaling
from wardround.training.networks.small_cnn import groups_for

STAGES = 4


class Stage(nn.Module):
    """A convolution, its normalisation and ReLU."""

    def __init__(self, before: int, after: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, size, stride, size // 2, bias=False)
        self.norm = nn.GroupNorm(groups_for(after), after)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.conv(features)), inplace=True)


class PlainCnn(nn.Module):
    """pixels (n, channels, height, width) in 0..1 -> (n,), or (n, outputs). width: channels of the first convolution."""

    def __init__(self, channels: int, width: int, scaling: Scaling, outputs: int = 1, *, dropout: float = 0.0) -> None:
        """dropout: the share of what the head reads that is dropped in training."""
        super().__init__()
        self.scaling, self.dropout = scaling, Dropout(dropout)
        sizes = [channels, *(width * 2**number for number in range(STAGES))]
        self.stages = nn.ModuleList(
            [Stage(sizes[0], sizes[1], 5, 2), *(Stage(sizes[i], sizes[i + 1], 3) for i in range(1, STAGES))]
        )
        self.head = nn.Linear(2 * sizes[-1], outputs)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = self.scaling(pixels)
        for number, stage in enumerate(self.stages):
            features = stage(features if number == 0 else F.max_pool2d(features, 2))
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        outputs: torch.Tensor = self.head(self.dropout(pooled))
        return outputs.squeeze(1)
