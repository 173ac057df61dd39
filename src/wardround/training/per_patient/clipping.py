"""How much of a patient's gradient counts.

Abadi et al., "Deep learning with differential privacy", CCS 2016, algorithm 1: g / max(1, |g| / C), here with C' = C (1 - ROOM)
in place of C: one patient more or less then changes the exact sum by at most C'. What is left, ROOM C, is for rounding:

- A patient who comes or goes does not change a bit of the numbers that the others' gradients are made of: for dense layers by
  construction (`fixed_order`), for others because the site has checked it.
- What is clipped is what is summed, and the rest is float64, u = 2^-53, in any order (Higham, Accuracy and Stability, section
  3.1). Take a dense layer with m inputs and o outputs and a patient with t records, D = t + m + o. The squared norm errs by at
  most 2 D u |G|^2 |X|^2; as |G| |X| is never more than K = 64 times the norm (`contributions.bounded_below`), the factor errs
  by a relative 2 K^2 D u = D 2^-40. The piece's sum errs by at most 256 K u C = 2^-39 C for each patient in it, adding up p
  pieces by p u C.

Two worlds with n patients then differ by at most C' + n C (2 D 2^-40 + 2^-38 + 2 p u). The bracket is below D 2^-38: there is
room, whatever the model, while n D <= 2^28: 100,000 patients in one step with D = 2,600. With one record for each patient
nothing cancels, and the room is a thousand times larger.

A convolution's sum over the patients of a piece, and gradients behind a function of parameters (standardised filters, folded
normalisations), are still float32: e C for each patient, measured as e near 1e-8, room for tens of thousands whose roundings
all agree. For image networks the margin is measured, not proved.
"""

import math

import torch

ROOM = 2.0**-10
LONGEST = 2.0**100
"""In clip norms. Factors below float32's normal numbers (2**-126) are coarse: rounded up, one could be twice what it should be,
and a coordinator can craft a model whose gradients are so long."""


def scales(norms: torch.Tensor, losses: torch.Tensor, clip_norm: float) -> torch.Tensor:
    """Factors (P,) in [0, 1] for norms (P,), float64: min(1, C' / norm); 1 everywhere with clip_norm = inf.

    A patient whose norm or loss is not finite counts zero: refusing the batch instead would tell that such a patient is in it. So
    does one whose gradient is longer than LONGEST clip norms.
    """
    finite = torch.isfinite(norms) & torch.isfinite(losses) & (norms <= clip_norm * LONGEST)
    bounded = (clip_norm * (1.0 - ROOM) / norms).clamp(max=1.0) if math.isfinite(clip_norm) else torch.ones_like(norms)
    return torch.where(finite, bounded, torch.zeros_like(norms))
