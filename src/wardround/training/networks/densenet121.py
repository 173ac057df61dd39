"""DenseNet-121 (Huang et al., CVPR 2017) from MONAI, for images of 64 to 256 pixels.

MONAI's own option replaces batch normalisation by group normalisation: the network starts from random weights, so there are
no trained statistics that one could freeze, and statistics of a batch would differ from hospital to hospital.
"""

import torch
from torch import nn

from wardround.training.networks.scaling import Scaling
from wardround.values.errors import MissingExtraError


class DenseNet121(nn.Module):
    """pixels (n, channels, height, width) in 0..1 -> (n,), or (n, outputs). MissingExtraError when MONAI is not installed."""

    def __init__(self, channels: int, scaling: Scaling, outputs: int = 1) -> None:
        super().__init__()
        try:
            from monai.networks.nets import DenseNet121 as Dense
        except ImportError as error:
            raise MissingExtraError(
                "the network densenet121 comes from MONAI, which is not installed",
                expected="the package monai",
                hint='pip install "wardround[monai]", or choose another network',
            ) from error
        self.scaling = scaling
        self.dense = Dense(spatial_dims=2, in_channels=channels, out_channels=outputs, norm=("group", {"num_groups": 8}))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.dense(self.scaling(pixels))
        return outputs.squeeze(1)
