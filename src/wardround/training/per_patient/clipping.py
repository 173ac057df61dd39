"""How much of a patient's gradient counts.

Abadi et al., "Deep learning with differential privacy", CCS 2016, algorithm 1: g / max(1, |g| / C), here with C' = C (1 - ROOM)
in place of C: one patient more or less then changes the exact sum by at most C'. What is left, ROOM C, is for rounding:

- a patient's float32 gradient and its norm differ from exact ones, but what is clipped is what is summed: it counts up to a
  relative 1e-6 (norms are taken of the summed numbers themselves, or in float64 from the same factors);
- a patient who comes or goes does not change the others' gradients by a bit (`pieces`), but moves them to other pieces, where
  float32 adds them to other neighbours: e C for each patient in the worst case, all in one direction.

So there is room as long as 1e-6 + n e <= ROOM for n sampled patients. Measured: e near 1e-8 (tests/training/per_patient/
test_sensitivity.py), that is room for tens of thousands of patients whose roundings all agree; they do not, and then it is room
for millions. It is a measured margin and not a proof: a bound for every input would have to follow every kernel of the library.
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
