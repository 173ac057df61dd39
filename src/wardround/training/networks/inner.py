"""What goes into a network's last layer: how the network sees a record, before it answers."""

import torch
from torch import nn

from wardround.study.sections.network import LAST_LAYERS
from wardround.training.networks.ordered import LAST_LAYER_KINDS


class Inner(nn.Module):
    """Rows -> (n, width). The network that is given loses its last layer, which stands beside it as `last`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        path = next(path for path in LAST_LAYERS if any(path == name for name, _ in network.named_modules()))
        parent, _, name = path.rpartition(".")
        last = network.get_submodule(path)
        assert isinstance(last, LAST_LAYER_KINDS)
        setattr(network.get_submodule(parent), name, nn.Identity())
        self.network, self.last, self.width = network, last, last.in_features

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        inner: torch.Tensor = self.network(rows)
        return inner if inner.ndim == 2 else inner.unsqueeze(1)  # networks give a single number without its axis

    def answered(self, inner: torch.Tensor) -> torch.Tensor:
        """What the whole network gives for these inner values: (n,), or (n, outputs)."""
        outputs: torch.Tensor = self.last(inner)
        return outputs.squeeze(1)
