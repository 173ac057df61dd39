"""What an ONNX file holds, as modules of torch: one or more networks, what they ask of their neighbours, and what is shown.

rows, and their mirror images --frozen network--> views --Alone or Asking, weighted sum--> outputs --Show--> what is shown
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from wardround.algorithms.personal import Neighbours
from wardround.algorithms.personal.memory import EDGE
from wardround.training.networks.inner import Inner

Show = Callable[[torch.Tensor], torch.Tensor]
WithVotes = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]


class Shown(nn.Module):
    """What the task shows of a model's outputs: (n,), or several of them. seen: the frozen network before it; None for none.
    mirrored: the model sees the image and its mirror image."""

    def __init__(self, seen: nn.Module | None, learned: "Mixture", mirrored: bool, shown: Show) -> None:
        super().__init__()
        self.seen, self.learned, self.mirrored, self.shown = seen, learned, mirrored, shown

    def forward(self, rows: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        views = [rows, rows.flip(3)] if self.mirrored else [rows]
        answers = self.shown(self.learned(views if self.seen is None else [self.seen(view) for view in views]))
        return answers if answers.ndim == 1 else tuple(answers.unbind(1))


class Mixture(nn.Module):
    """Several models on the same views of the same rows: the weighted sum of what they give."""

    def __init__(self, modules: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.parts, self.weights = nn.ModuleList(modules), tuple(weights)

    def forward(self, views: list[torch.Tensor]) -> torch.Tensor:
        if self.weights == (1.0,):
            return torch.as_tensor(self.parts[0](views))
        answers = [weight * part(views) for weight, part in zip(self.weights, self.parts, strict=True)]
        outputs: torch.Tensor = torch.stack(answers).sum(0)
        return outputs


class Alone(nn.Module):
    """A network: the mean of what it gives for the views."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, views: list[torch.Tensor]) -> torch.Tensor:
        return _mean([self.network(view) for view in views])


class Asking(nn.Module):
    """A network and the vote of those of its remembered records that are nearest: `Neighbours.asked` in torch.

    Distances are taken in float64: the difference of two squares of float32 would lose the small ones.
    """

    inner_values: torch.Tensor
    lengths: torch.Tensor
    votes: torch.Tensor

    def __init__(self, network: nn.Module, neighbours: Neighbours, with_votes: WithVotes) -> None:
        super().__init__()
        self.inner, self.with_votes = Inner(network), with_votes
        self.nearest, self.scale, self.share = neighbours.nearest, neighbours.scale, neighbours.share
        self.register_buffer("inner_values", torch.from_numpy(neighbours.memory.inner).double())
        self.register_buffer("lengths", self.inner_values.square().sum(1))
        self.register_buffer("votes", torch.from_numpy(neighbours.memory.votes).double())

    def forward(self, views: list[torch.Tensor]) -> torch.Tensor:
        inner = _mean([self.inner(view) for view in views])
        distances = self._distances(inner.double())
        nearest = torch.topk(distances, self.nearest, dim=1, largest=False).values
        fading = (1.0 - (distances - nearest[:, -1:]) / (EDGE * self.scale)).clamp(0.0, 1.0)
        weights = fading * ((nearest[:, :1] - distances) / self.scale).exp()
        weights = weights / weights.sum(1, keepdim=True)
        votes, voters = (weights.unsqueeze(2) * self.votes).sum(1), 1.0 / weights.square().sum(1)
        return self.with_votes(self.inner.answered(inner), votes.float(), voters.float(), self.share)

    def _distances(self, here: torch.Tensor) -> torch.Tensor:
        squares = here.square().sum(1, keepdim=True) - 2.0 * (here @ self.inner_values.T) + self.lengths
        return squares.clamp(min=0.0).sqrt()


def _mean(values: list[torch.Tensor]) -> torch.Tensor:
    return values[0] if len(values) == 1 else (values[0] + values[1]) / 2
