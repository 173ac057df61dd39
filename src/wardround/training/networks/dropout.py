"""Dropout (Srivastava et al., JMLR 2014) whose draws are keyed as all others of training: by study, site, round, step and piece.

    generator of a piece --draws_from--> Dropout: some values 0, the others larger      nowhere else: values as they are

So a piece of a batch has the same bits whatever was computed before it. Evaluation, export and the gradients of single patients
see the whole network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import nn

_GENERATOR: ContextVar[np.random.Generator | None] = ContextVar("generator of a piece", default=None)


@contextmanager
def draws_from(rng: np.random.Generator) -> Iterator[None]:
    """Inside, in this thread, networks drop what this generator says."""
    token = _GENERATOR.set(rng)
    try:
        yield
    finally:
        _GENERATOR.reset(token)


class Dropout(nn.Module):
    """Each value 0 with the chance `share`, 0 <= share < 1, else divided by 1 - share. No parameters."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        rng = _GENERATOR.get()
        if rng is None or self.share == 0.0:
            return features
        kept = rng.random(tuple(features.shape), np.float32) >= self.share
        return features * torch.from_numpy(kept).to(features.device) / (1.0 - self.share)
