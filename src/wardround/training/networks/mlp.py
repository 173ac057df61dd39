"""Fully connected layers with ReLU between them; logistic regression is the same with no hidden layer."""

import torch
from torch import nn

from wardround.training.networks.scaling import FeatureScaling, Scaling


class Mlp(nn.Module):
    """Rows (n, features), or images (n, c, h, w) laid out as rows -> (n,), or (n, outputs).

    `hidden` empty: logistic regression.
    """

    def __init__(
        self, features: int, hidden: tuple[int, ...], scaling: Scaling | FeatureScaling | None, outputs: int = 1
    ) -> None:
        super().__init__()
        self.scaling = scaling if scaling is not None else nn.Identity()
        layers: list[nn.Module] = []
        for before, after in zip((features, *hidden[:-1]), hidden, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(hidden[-1] if hidden else features, outputs)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.head(self.hidden(self.scaling(rows).flatten(1)))
        return outputs.squeeze(1)
