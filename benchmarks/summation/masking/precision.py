"""How near the mean of 16-bit words comes to the exact mean, on updates that training made.

Three sites train the same small network by Adam from the same start on unlike data. A step of Adam moves a value by about the
learning rate at most, so `learning rate x steps` is a bound that the study alone tells: nobody looks at an update to choose it.
Each site sends a third of its change, as the mean of equal hospitals has it. The study's default bound, 4.0, is shown as well: it
fits any training, and is far too wide for 16 bits.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from wardround.privacy.fixed_point import Grid, WordBits

SITES, STEPS, LEARNING_RATE = 3, 40, 1e-3
PUBLIC_BOUND = LEARNING_RATE * STEPS
DEFAULT_BOUND = 4.0


def updates(seed: int) -> list[NDArray[np.float32]]:
    """The change of every value of the network at each site, float32."""
    torch.manual_seed(seed)
    start = _network().state_dict()
    return [_trained(start, site) for site in range(SITES)]


def _network() -> torch.nn.Module:
    layers = [torch.nn.Linear(64, 512), torch.nn.ReLU(), torch.nn.Linear(512, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1)]
    return torch.nn.Sequential(*layers)


def _trained(start: dict[str, torch.Tensor], site: int) -> NDArray[np.float32]:
    network = _network()
    network.load_state_dict(start)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    direction = torch.randn(64, generator=torch.Generator().manual_seed(1))
    draw = torch.Generator().manual_seed(10 + site)
    for _ in range(STEPS):
        records = torch.randn(32, 64, generator=draw) * (1 + 0.3 * site) + 0.2 * site
        labels = (records @ direction + torch.randn(32, generator=draw) > 0).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(records)[:, 0], labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    changes = [(new - start[name]).reshape(-1) for name, new in network.state_dict().items()]
    return torch.cat(changes).numpy()


def nmse(changes: list[NDArray[np.float32]], bound: float, bits: WordBits = 16) -> tuple[float, int]:
    """|decoded mean - exact mean|^2 / |exact mean|^2, and how many values the bound clipped."""
    grid = Grid(bound, SITES, bits)
    total = np.zeros(changes[0].size, grid.word)
    clipped = 0
    for site, change in enumerate(changes):
        words, beyond = grid.encode(change / np.float32(SITES), bytes([site]) * 32)
        total += words
        clipped += beyond
    exact = np.mean([change.astype(np.float64) for change in changes], axis=0)
    return float(np.sum((grid.decode(total) - exact) ** 2) / np.sum(exact**2)), clipped


def measure(seed: int) -> float:
    changes = updates(seed)
    spread = float(np.std(changes[0]))
    print(f"\nNMSE of the mean, {SITES} sites, 16-bit words, {changes[0].size:,} values, standard deviation {spread:.2g}")
    print(f"  {'bound':>6} {'NMSE':>9} {'clipped':>8}  where the bound is from")
    errors: dict[float, float] = {}
    for bound, origin in ((PUBLIC_BOUND, "learning rate x steps"), (DEFAULT_BOUND, "the study's default")):
        errors[bound], clipped = nmse(changes, bound)
        print(f"  {bound:6g} {errors[bound]:9.2e} {clipped:8}  {origin}")
    return errors[PUBLIC_BOUND]
