"""The one network of the comparison, in torch alone: a small residual GroupNorm CNN for grey images.

It is Wardround's `small_cnn` written out once more, so that the other simulators run without Wardround installed;
`same_network.py` proves that the two are the same before anything is timed.

    pixels -> each image to mean 0, deviation 1 -> conv 5x5 / 2 -> four stages, halving and doubling -> mean and max -> logit
"""

from argparse import ArgumentTypeError
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = 4
GROUPS = 8


def network_width(text: str) -> int:
    """Reads `--width`. ArgumentTypeError where the channels cannot be divided into the groups that are normalised."""
    if not text.isdecimal() or int(text) == 0 or int(text) % GROUPS:
        raise ArgumentTypeError(f"expected a multiple of {GROUPS}, such as 8 or 16, found {text}")
    return int(text)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; stride 2 halves height and width."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(GROUPS, after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(GROUPS, after)
        self.shortcut = nn.Conv2d(before, after, 1, bias=False) if before != after else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        inner = F.relu(self.norm1(self.conv1(features)), inplace=True)
        inner = self.norm2(self.conv2(inner))
        kept = F.avg_pool2d(features, 2, ceil_mode=True, count_include_pad=False) if self.stride == 2 else features
        return F.relu(inner + self.shortcut(kept), inplace=True)


class Network(nn.Module):
    """(n, 1, h, w) float pixels in 0..1 -> (n,) logits of the positive class. `width`: channels of the first stage."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 5, 2, 2, bias=False)
        self.stem_norm = nn.GroupNorm(GROUPS, width)
        sizes = [width * 2**stage for stage in range(STAGES)]
        later = [Block(before, after, 2) for before, after in pairwise(sizes)]
        self.stages = nn.Sequential(Block(width, width, 1), *later)
        self.head = nn.Linear(2 * sizes[-1], 1)

    def forward(self, pixels: Tensor) -> Tensor:
        centred = pixels - pixels.mean((1, 2, 3), keepdim=True)
        scaled = centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-2)
        features = F.relu(self.stem_norm(self.stem(scaled)), inplace=True)
        features = self.stages(features)
        logits: Tensor = self.head(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1))
        return logits.squeeze(1)


def starting_network(width: int, seed: int) -> Network:
    """The same weights in every simulator."""
    torch.manual_seed(seed)
    return Network(width)
