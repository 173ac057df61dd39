"""ResNet-18-like network (He et al., CVPR 2016) without batch statistics, for images of 64 to 256 pixels.

Group normalisation with weight standardisation (Qiao et al., 2019, eq. 3 to 5): each filter is brought to mean 0 and
variance 1 before it is applied, which makes up for what group normalisation loses against batch normalisation.
"""

import torch
import torch.nn.functional as F
from torch import nn

from wardround.training.networks.scaling import Scaling
from wardround.training.networks.small_cnn import groups_for


class StandardisedConv(nn.Module):
    """A convolution whose filters are standardised over (input channels, height, width) when applied. No bias."""

    def __init__(self, before: int, after: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(after, before, size, size))
        self.stride, self.padding = stride, size // 2

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        # The paper divides by the deviation alone; 1 / fan-in keeps the size of the output that He initialisation gives.
        scale = (centred.square().sum((1, 2, 3), keepdim=True) + 1e-5).rsqrt()
        return F.conv2d(features, centred * scale, stride=self.stride, padding=self.padding)


class Block(nn.Module):
    """Two standardised 3x3 convolutions and a shortcut (the basic block of the paper, figure 5 left)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = StandardisedConv(before, after, 3, stride)
        self.norm1 = nn.GroupNorm(groups_for(after), after)
        self.conv2 = StandardisedConv(after, after, 3)
        self.norm2 = nn.GroupNorm(groups_for(after), after)
        self.shortcut = StandardisedConv(before, after, 1) if before != after else nn.Identity()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inner = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(features)), inplace=True)))
        kept = F.avg_pool2d(features, 2, ceil_mode=True, count_include_pad=False) if self.stride == 2 else features
        return F.relu(inner + self.shortcut(kept), inplace=True)


class ResNet(nn.Module):
    """pixels (n, channels, height, width) in 0..1 -> (n,), or (n, outputs)."""

    def __init__(self, channels: int, width: int, blocks: tuple[int, ...], scaling: Scaling, outputs: int = 1) -> None:
        super().__init__()
        self.scaling = scaling
        self.stem = StandardisedConv(channels, width, 7, 2)
        self.stem_norm = nn.GroupNorm(groups_for(width), width)
        stages: list[nn.Module] = []
        before = width
        for number, count in enumerate(blocks):
            after = width * 2**number
            stages += [Block(before if i == 0 else after, after, 2 if i == 0 and number > 0 else 1) for i in range(count)]
            before = after
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(before, outputs)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = F.relu(self.stem_norm(self.stem(self.scaling(pixels))), inplace=True)
        features = F.max_pool2d(features, 3, 2, 1)
        outputs: torch.Tensor = self.head(self.stages(features).mean((2, 3)))
        return outputs.squeeze(1)
