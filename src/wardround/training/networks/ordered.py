"""A last layer whose outputs share one score and lie in order: log-odds of lying beyond each grade, ends of a range.

    features --weight--> score, the same for every cut      output k = score + cut k,  cut 1 > cut 2 > ...

W. Cao, V. Mirjalili, S. Raschka, Pattern Recognit. Lett. 140 (2020) 325 (CORAL); P. McCullagh, J. R. Stat. Soc. B 42 (1980) 109,
the proportional odds model. The first cut is a number, each further one lies below it by a softplus: so the order also holds for
a mean of several hospitals' models. Its arrays are as a linear layer's, with one row of weights.
"""

import torch
import torch.nn.functional as F
from torch import nn

from wardround.study.sections.network import LAST_LAYERS
from wardround.values.head_outputs import Ordered, SharedScore


class OrderedHead(nn.Module):
    """Features (n, width) -> (n, cuts): a score, and cuts.

    in_order: each row falls; else the cuts are free, as hazards of intervals that are proportional.
    """

    def __init__(self, in_features: int, cuts: int, *, in_order: bool = True) -> None:
        super().__init__()
        self.in_features, self.in_order = in_features, in_order
        self.weight = nn.Parameter(torch.zeros(1, in_features))
        self.bias = nn.Parameter(torch.zeros(cuts))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        cuts = falling(self.bias) if self.in_order else self.bias
        return F.linear(features, self.weight.expand(len(self.bias), -1), cuts)


def falling(numbers: torch.Tensor) -> torch.Tensor:
    """(k,) -> (k,): the first as it is, each further one below the one before."""
    return numbers[:1] - torch.cat([numbers.new_zeros(1), F.softplus(numbers[1:])]).cumsum(0)


LAST_LAYER_KINDS = (nn.Linear, OrderedHead)


def with_shared_score(network: nn.Module, cuts: SharedScore) -> nn.Module:
    """The network with this last layer in place of its own."""
    path = next(path for path in LAST_LAYERS if any(path == name for name, _ in network.named_modules()))
    parent, _, name = path.rpartition(".")
    last = network.get_submodule(path)
    assert isinstance(last, nn.Linear)
    setattr(network.get_submodule(parent), name, OrderedHead(last.in_features, cuts, in_order=isinstance(cuts, Ordered)))
    return network
