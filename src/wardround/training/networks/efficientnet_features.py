"""EfficientNet-Lite0 as a fixed description of an image: what its stages answer, averaged or at its largest over the image.

    pixels -> stem -> stage 1 -> ... -> stage 7 -> last convolution (stage 8)
                         \\ average and maximum of each channel of the named stages, side by side -> features

Nothing of it learns, so batch normalisation is multiplied into the convolutions once and for all.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from wardround.study.sections.backbone import BackboneSection
from wardround.training.networks.efficientnet_lite0 import Block, EfficientNetLite0, FrozenNorm, load_imagenet

LAST_BLOCKS = (1, 3, 5, 8, 11, 15, 16)
"""The last block of stages 1 to 7, counted from 1."""


class EfficientNetFeatures(nn.Module):
    """pixels (n, 1 or 3, height, width) in 0..1 -> features (n, section.features): averages stage by stage, then maxima."""

    def __init__(self, network: EfficientNetLite0, section: BackboneSection) -> None:
        super().__init__()
        self.average, self.maximum = section.average, section.maximum
        self.stem = _fixed(network._conv_stem, network._bn0)
        self.blocks = nn.ModuleList([FixedBlock(block) for block in network._blocks if isinstance(block, Block)])
        self.top = _fixed(network._conv_head, network._bn1)
        self.requires_grad_(False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        scaled = ((pixels * 255.0) - 127.0) / 128.0
        if scaled.shape[1] == 1:
            scaled = scaled.repeat(1, 3, 1, 1)
        stages = list(self._stages(scaled))
        averages = [stages[stage - 1].mean((2, 3)) for stage in self.average]
        return torch.cat([*averages, *(stages[stage - 1].amax((2, 3)) for stage in self.maximum)], dim=1)

    def _stages(self, scaled: torch.Tensor) -> Iterator[torch.Tensor]:
        """What comes out of stages 1 to 8, as (n, channels, height, width)."""
        answer = F.relu6(self.stem(scaled))
        for number, block in enumerate(self.blocks, start=1):
            answer = block(answer)
            if number in LAST_BLOCKS:
                yield answer
        yield F.relu6(self.top(answer))


class FixedBlock(nn.Module):
    """`efficientnet_lite0.Block` with its normalisations multiplied in."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.adds = block.adds
        self.expand = _fixed(block._expand_conv, block._bn0) if block.expands else None
        self.depthwise = _fixed(block._depthwise_conv, block._bn1)
        self.project = _fixed(block._project_conv, block._bn2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inner = features if self.expand is None else F.relu6(self.expand(features))
        inner = torch.as_tensor(self.project(F.relu6(self.depthwise(inner))))
        return inner + features if self.adds else inner


def _fixed(conv: nn.Conv2d, norm: FrozenNorm) -> nn.Conv2d:
    """Convolution and normalisation as one convolution with bias; see `efficientnet_lite0.folded`."""
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None and var is not None
    scale = norm.weight.detach() * (var + norm.eps).rsqrt()
    assert not isinstance(conv.padding, str)
    kernel, stride, padding = (_pair(size) for size in (conv.kernel_size, conv.stride, conv.padding))
    with torch.random.fork_rng(devices=[]):
        made = nn.Conv2d(conv.in_channels, conv.out_channels, kernel, stride, padding, groups=conv.groups)
    with torch.no_grad():
        made.weight.copy_(conv.weight * scale.reshape(-1, 1, 1, 1))
        assert made.bias is not None
        made.bias.copy_(norm.bias - mean * scale)
    return made


def _pair(sizes: Sequence[int]) -> tuple[int, int]:
    height, width = sizes
    return height, width


def imagenet_features(section: BackboneSection) -> EfficientNetFeatures:
    """With the published weights. MissingExtraError or DataError where they cannot be had."""
    with torch.random.fork_rng(devices=[]):
        network = EfficientNetLite0(first_trained_block=None)
    load_imagenet(network)
    return EfficientNetFeatures(network, section).eval()
