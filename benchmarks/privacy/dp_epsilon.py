"""Epsilon of 30 schedules in three ways: ours (dp-accounting's PLD), an independent accountant, and the closed form.

    pip install prv-accountant        # Gopi, Lee, Wutschitz 2021; used here only
    python benchmarks/privacy/dp_epsilon.py

The closed form (Balle and Wang 2018, theorem 8) is known where every patient takes part in every step; there it is the truth. For
sampled steps the reference is the PRV accountant's estimate, whose own error in epsilon is asked to be at most 0.005 of ours.
Half of the schedules mix two studies, as a ledger does. Last line: JSON; worst = largest relative difference to either reference,
below = how far ours is at most under the closed form (0: never under it).
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

from scipy.optimize import brentq
from scipy.stats import norm

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.privacy.accounting import epsilon
from wardround.privacy.events import Event

Schedule = tuple[tuple[float, float, int], ...]
"""(multiplier, rate, steps) of each study."""

GAUSSIAN: list[Schedule] = [
    ((0.8, 1.0, 1),), ((3.0, 1.0, 5),), ((15.45, 1.0, 60),), ((30.0, 1.0, 60),), ((32.0, 1.0, 30),), ((100.0, 1.0, 1000),),
    ((10.0, 1.0, 20), (20.0, 1.0, 60)), ((40.0, 1.0, 200), (15.0, 1.0, 10)), ((5.0, 1.0, 1), (60.0, 1.0, 600)),
    ((2.0, 1.0, 2), (4.0, 1.0, 8)),
]  # fmt: skip
SAMPLED: list[Schedule] = [
    ((0.7, 0.01, 100),), ((1.0, 0.01, 1000),), ((1.1, 0.02, 500),), ((1.861, 0.1, 60),), ((2.0, 0.1, 300),), ((1.5, 0.05, 100),),
    ((9.319, 0.3, 30),), ((4.0, 0.5, 40),), ((20.0, 0.5, 1000),), ((0.9, 0.004, 2000),), ((3.0, 0.25, 100),),
    ((2.0, 0.1, 60), (1.5, 0.05, 100)), ((1.0, 0.01, 300), (2.0, 0.2, 20)), ((5.0, 0.4, 50), (3.0, 0.1, 50)),
    ((8.0, 0.5, 60), (1.2, 0.02, 200)), ((2.0, 0.1, 30), (20.0, 1.0, 40)), ((1.1, 0.02, 200), (30.0, 1.0, 60)),
    ((6.0, 0.3, 60), (10.0, 1.0, 5)), ((0.8, 0.01, 100), (50.0, 1.0, 200)), ((3.0, 0.2, 40), (3.0, 1.0, 1)),
]  # fmt: skip
DELTAS = (1e-5, 1e-6, 1e-7)


def closed_form(schedule: Schedule, delta: float) -> float | None:
    """T releases of multiplier z are one Gaussian with mu = sqrt(T) / z; their squares add."""
    if any(rate < 1 for _, rate, _ in schedule):
        return None
    mu = math.sqrt(sum(steps / multiplier**2 for multiplier, _, steps in schedule))

    def above(candidate: float) -> float:
        return float(norm.cdf(mu / 2 - candidate / mu) - math.exp(candidate + norm.logcdf(-mu / 2 - candidate / mu))) - delta

    return float(brentq(above, 0, 1000, xtol=1e-12))


def by_prv(schedule: Schedule, delta: float, error: float) -> float:
    from prv_accountant import GaussianMechanism, PoissonSubsampledGaussianMechanism, PRVAccountant

    mechanisms = [
        PoissonSubsampledGaussianMechanism(sampling_probability=rate, noise_multiplier=multiplier)
        if rate < 1
        else GaussianMechanism(noise_multiplier=multiplier)
        for multiplier, rate, _ in schedule
    ]
    steps = [count for _, _, count in schedule]
    accountant = PRVAccountant(prvs=mechanisms, eps_error=error, delta_error=delta / 1000, max_self_compositions=steps)
    _, estimate, _ = accountant.compute_epsilon(delta=delta, num_self_compositions=steps)
    return float(estimate)


def main() -> None:
    try:
        import prv_accountant  # noqa: F401
    except ImportError:
        sys.exit("The independent accountant is missing. Install it with: pip install prv-accountant")
    worst, below, seconds = 0.0, 0.0, 0.0
    print(f"{'schedule (multiplier x rate x steps)':<42} {'delta':>6} {'ours':>9} {'prv':>9} {'closed':>9} {'difference':>10}")
    for number, schedule in enumerate([*GAUSSIAN, *SAMPLED]):
        delta = DELTAS[number % len(DELTAS)]
        start = time.perf_counter()
        ours = epsilon({Event(multiplier, rate): steps for multiplier, rate, steps in schedule}, delta)
        seconds += time.perf_counter() - start
        prv, exact = by_prv(schedule, delta, 0.005 * ours), closed_form(schedule, delta)
        differences = [ours / reference - 1 for reference in (prv, exact) if reference is not None]
        largest = max(differences, key=abs)
        worst = max(worst, abs(largest))
        if exact is not None:
            below = max(below, 1 - ours / exact)
        name = " + ".join(f"{multiplier:g}x{rate:g}x{steps}" for multiplier, rate, steps in schedule)
        shown = "" if exact is None else f"{exact:.4f}"
        print(f"{name:<42} {delta:>6.0e} {ours:>9.4f} {prv:>9.4f} {shown:>9} {100 * largest:>+9.3f}%")
    print(last_line({"schedules": number + 1, "worst": worst, "below": below, "seconds": round(seconds, 2)}, seed=None))


if __name__ == "__main__":
    main()
