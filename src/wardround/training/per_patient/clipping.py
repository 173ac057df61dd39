"""How much of a patient's gradient counts.

Abadi et al., "Deep learning with differential privacy", CCS 2016, algorithm 1: g / max(1, |g| / C), here with C' = C (1 - ROOM)
in place of C: one patient more or less then changes the exact sum by at most C'. What is left, ROOM C, is for rounding:

- A patient who comes or goes does not change a bit of the numbers that the others' gradients are made of: for dense layers by
  construction (`fixed_order`), for kernels of libraries because the site has tried each shape of piece (`position_proof`). Nor
  does the patient change a bit of their norms, so that their factors stay what they are.
- What is clipped is what is summed. A gradient that exists as numbers (`contributions.Kept`) may have been rounded on the way to
  them: the same numbers are in both worlds, clipped by their own norm. All that is left is rounding of sums over patients, and
  these are float64, u = 2^-53, in any order (Higham, Accuracy and Stability, section 3.1). A sum of m products errs by at most
  m u times the sum of their lengths. Of one patient these are at most K clip norms long (`contributions.bounded_below`):
  - kept gradients: up to 256 of a piece, K = 1: below 2^-44 C for each patient;
  - dense layers: 256 rows, or one patient's r, K = 2^6: 2^-39 C, or r 2^-47 C;
  - convolutions from factors: 2^11 places of a piece, K = 2^8: 2^-34 C.
  Layers are different axes, so the largest of these counts once. Adding p pieces, in blocks of 2^10, costs (2^10 + p 2^-10) u C.
- A norm worked out from factors errs by less than K^2 D u for sums of D terms; that is one patient's own share, once.

Two worlds with n patients and r rows then differ by at most C' + 2 n (2^-34 + 2^-41) C + r 2^-46 C + 2^-13 C. That is below C,
whatever the model, for n <= 2^21 patients in one step and r <= 2^33: `MOST_PATIENTS` and `MOST_ROWS`.
"""

import math

import torch

ROOM = 2.0**-10
MOST_PATIENTS = 2**21
"""In one step of one site. A study plans for half of it, so that no draw comes near."""
MOST_ROWS = 2**33
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
