"""What releases cost together: epsilon at a delta, and the noise that a wanted epsilon needs. The one home of dp-accounting.

Guarantee: (epsilon, delta)-differential privacy under adding or removing one unit (a patient with all their images, or a site),
for any adaptive order of the releases. Each sampled release must have drawn each unit by itself with the stated probability, in
secret. Shuffled batches are *not* Poisson samples: accounted as such they claimed epsilon 5.5 where 17.9 was true.

Method: privacy loss distributions, discretised so that the answer is never below the exact epsilon (Doroshenko, Ghazi, Kamath,
Kumar, Manurangsi: Connect the Dots, PETS 2022), on a grid of 1e-4. Renyi DP (Mironov, Talwar, Zhang 2019) stands in only where
that grid would not fit into memory or time: noise below a fifth of the clip norm, an epsilon above 100, or more than a million
sampled releases of one kind.

Releases that are not sampled are one Gaussian: n_i of multiplier z_i are one of (sum n_i / z_i^2)^(-1/2).

The result is a function of the counts alone, the same in every process; work is remembered within a process.
"""

import contextlib
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from wardround.privacy.events import NO_SLACK, Event, Slack
from wardround.values.errors import StudyError

GRID = 1e-4
_ROUGH = 1e-3  # ten times faster; finds where to look, never answers
_LOWEST_NOISE, _HIGHEST_EPSILON = 0.2, 100.0
MOST_RELEASES = 10**6
DIGITS = 4  # of a calibrated multiplier, so that a study file shows all of it

Spent = Mapping[Event, int]
_Mechanisms = tuple[tuple[float, float, int], ...]
"""(multiplier, rate, count), sorted; at most one with rate 1, whose count is 1."""


@dataclass(frozen=True)
class Bill:
    """What `steps` releases of one event cost. epsilons: delta -> epsilon."""

    event: Event
    steps: int
    epsilons: Mapping[float, float]


def epsilon(spent: Spent, delta: float) -> float:
    """The epsilon of all these releases together: 0 for none, infinite with one that has no noise. All are of one unit.

    Slack is paid first: epsilon(continuous, delta - sum of slack deltas) + sum of slack epsilons.

    >>> epsilon({}, 1e-5), epsilon({Event(0): 1}, 1e-5)
    (0.0, inf)
    >>> round(epsilon({Event(10.0): 100}, 1e-5), 2)
    4.38
    """
    return _epsilon(spent, delta, GRID)


def curve(spent: Spent, deltas: Iterable[float] = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)) -> dict[float, float]:
    """epsilon at several deltas, for a report."""
    return {delta: epsilon(spent, delta) for delta in deltas}


def bill(event: Event, steps: int, deltas: Iterable[float] = (1e-5,)) -> Bill:
    """What a study of `steps` such releases costs by itself."""
    return Bill(event, steps, curve({event: steps}, deltas))


def affordable(event: Event, target_epsilon: float, delta: float, beside: Spent | None = None) -> int:
    """The largest number of such releases that may come on top of `beside` with epsilon at most the target (at most 10^6)."""
    others = dict(beside or {})
    before = others.pop(event, 0)

    def fits(grid: float) -> Callable[[int], bool]:
        return lambda n: n <= MOST_RELEASES and _epsilon({**others, event: before + n}, delta, grid) <= target_epsilon

    if not fits(GRID)(0):
        return 0
    return _largest(fits(GRID), _largest(fits(_ROUGH), 1))


@lru_cache(maxsize=256)
def calibrate(target_epsilon: float, delta: float, sampling_rate: float, steps: int, slack: Slack = NO_SLACK) -> float:
    """The smallest noise multiplier of four digits with which `steps` releases cost at most the target. slack: of one release.

    Raises StudyError where none up to LARGEST_MULTIPLIER is enough, which is so where the slack alone is more than the target.

    >>> calibrate(2.0, 1e-5, 1.0, 60)
    15.45
    """
    if not target_epsilon > 0 or steps < 1:
        raise ValueError("the target epsilon must be above 0, and steps at least 1")

    def cost_on(grid: float) -> Callable[[float], float]:
        return lambda multiplier: _epsilon({Event(multiplier, sampling_rate, slack=slack): steps}, delta, grid)

    def enough(below: int) -> bool:
        return below <= _TOP and cost_on(GRID)(_multiplier(_TOP - below)) <= target_epsilon

    near = _as_gaussians(target_epsilon, delta, sampling_rate, steps)
    for grid, tolerance in ((_ROUGH, 1e-2), (GRID, 3e-5)):
        near = _approached(target_epsilon, cost_on(grid), near, tolerance)
    below = _largest(enough, _TOP - _index(near))
    if not enough(below):
        raise _out_of_reach(target_epsilon, delta, steps, slack)
    return _multiplier(_TOP - below)


def _out_of_reach(target_epsilon: float, delta: float, steps: int, slack: Slack) -> StudyError:
    rounding = slack.delta * steps >= delta or slack.epsilon * steps >= target_epsilon
    return StudyError(
        "Rounding to whole numbers alone costs more than this epsilon or delta"
        if rounding
        else f"No noise multiplier up to {LARGEST_MULTIPLIER:,} keeps to this epsilon",
        expected="an epsilon and a delta that the steps can reach",
        found=f"epsilon {target_epsilon:g} at delta {delta:g} over {steps} steps",
        hint="a larger epsilon or delta, or fewer steps",
    )


def _as_gaussians(target_epsilon: float, delta: float, sampling_rate: float, steps: int) -> float:
    """The multiplier that the target would take if all steps together were one Gaussian: exact where everybody is drawn, else the
    limit of many steps (Bu, Dong, Long, Su: Deep learning with Gaussian differential privacy, 2020, corollary 5.4)."""
    low, high = 1e-9, 1e3
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _delta_of_gaussian(middle, target_epsilon) <= delta else (low, middle)
    if sampling_rate == 1:
        return math.sqrt(steps) / low
    return 1 / math.sqrt(math.log1p((low / sampling_rate) ** 2 / steps))


def _delta_of_gaussian(distance: float, target_epsilon: float) -> float:
    """Of two Gaussians of deviation 1 at this distance (Balle, Wang: ICML 2018, theorem 5). Near enough to begin a search at."""

    def below(x: float) -> float:
        return math.erfc(-x / math.sqrt(2)) / 2

    shift = min(target_epsilon, _HIGHEST_EPSILON) / distance
    return below(distance / 2 - shift) - math.exp(min(target_epsilon, _HIGHEST_EPSILON)) * below(-distance / 2 - shift)


def _approached(target_epsilon: float, cost: Callable[[float], float], multiplier: float, tolerance: float) -> float:
    """A multiplier whose cost differs from the target by about this part of it. Secants of log cost over log multiplier, each at
    most a factor of e^2: a few do what dozens of halvings would."""
    at, slope, before = math.log(multiplier), -1.0, None
    for _ in range(_SECANTS):
        apart = math.log(max(cost(math.exp(at)), _TINY) / target_epsilon)
        if abs(apart) <= tolerance:
            break
        if before is not None and before[0] != at:
            slope = min(max((apart - before[1]) / (at - before[0]), -4.0), -0.25)
        before = (at, apart)
        at = min(max(at - min(max(apart / slope, -2.0), 2.0), math.log(_LEAST)), math.log(LARGEST_MULTIPLIER))
    return math.exp(at)


LARGEST_MULTIPLIER = 10**6
"""A study may state no larger one."""
_LEAST, _TINY, _SECANTS = 0.01, 1e-12, 12
_PER_DECADE: int = 9 * 10 ** (DIGITS - 1)
_TOP = 8 * _PER_DECADE  # the index of LARGEST_MULTIPLIER


def _index(multiplier: float) -> int:
    """Of the four-digit number next to this one."""
    mantissa, decade = f"{multiplier:.{DIGITS - 1}e}".split("e")
    beyond_one: int = round((float(mantissa) - 1) * 10 ** (DIGITS - 1))
    return min(max((int(decade) + 2) * _PER_DECADE + beyond_one, 0), _TOP)


def _multiplier(index: int) -> float:
    """The four-digit numbers from 0.01 on, in order: 0.01, 0.01001, ..."""
    decade, digits = divmod(max(index, 0), _PER_DECADE)
    return float(f"{digits + 10 ** (DIGITS - 1)}e{decade - DIGITS - 1}")


def _largest(holds: Callable[[int], bool], guess: int) -> int:
    """The largest n from 0 with holds(n), which is true at 0 and false from some n on. Gallops away from a guess, then halves."""
    low, high, step = 0, max(guess, 0) + 1, 1
    if guess > 0 and holds(guess):
        low = guess
        while holds(high := low + step):
            low, step = high, step * 2
    else:
        high = max(guess, 1)
        while (low := max(high - step, 0)) > 0 and not holds(low):
            high, step = low, step * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _epsilon(spent: Spent, delta: float, grid: float) -> float:
    if not 0 < delta < 1:
        raise ValueError("delta must lie between 0 and 1")
    counts = {event: count for event, count in spent.items() if count}
    if any(count < 0 for count in counts.values()):
        raise ValueError("a count may not be negative")
    if len({event.unit for event in counts}) > 1:
        raise ValueError("events of two units are never composed with each other")
    if not counts:
        return 0.0
    left = delta - sum(event.slack.delta * count for event, count in counts.items())
    if left <= 0 or not all(event.private for event in counts):
        return math.inf
    return _continuous(_merged(counts), left, grid) + sum(event.slack.epsilon * count for event, count in counts.items())


def _merged(counts: Spent) -> _Mechanisms:
    """The same releases with nothing said twice: events that differ in their slack only, and all that is not sampled."""
    sampled: dict[tuple[float, float], int] = defaultdict(int)
    precision = 0.0
    for event, count in sorted(counts.items(), key=lambda item: (item[0].noise_multiplier, item[0].sampling_rate, item[1])):
        if event.sampling_rate < 1:
            sampled[event.noise_multiplier, event.sampling_rate] += count
        else:
            precision += count / event.noise_multiplier**2
    whole = [(1 / math.sqrt(precision), 1.0, 1)] if precision else []
    return tuple(sorted([(z, rate, count) for (z, rate), count in sampled.items()] + whole))


@lru_cache(maxsize=4096)
def _continuous(mechanisms: _Mechanisms, delta: float, grid: float) -> float:
    if any(count > MOST_RELEASES for _, _, count in mechanisms):  # minutes of convolutions, and no real study
        return _by_renyi(mechanisms, delta)
    lowest = min(multiplier for multiplier, _, _ in mechanisms)
    rho = sum(count / (2 * multiplier**2) for multiplier, _, count in mechanisms)
    if lowest < _LOWEST_NOISE or rho + 2 * math.sqrt(rho * math.log(1 / delta)) > _HIGHEST_EPSILON:
        coarse = _by_renyi(mechanisms, delta)
        if lowest < _LOWEST_NOISE or coarse > _HIGHEST_EPSILON:
            return coarse
    return float(_composed(mechanisms, grid).get_epsilon_for_delta(delta))


def _by_renyi(mechanisms: _Mechanisms, delta: float) -> float:
    import dp_accounting
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant()
    with _quiet_absl():  # it tells of orders that did not converge; leaving one out only raises the bound
        for multiplier, rate, count in mechanisms:
            event = dp_accounting.GaussianDpEvent(multiplier)
            accountant.compose(dp_accounting.PoissonSampledDpEvent(rate, event) if rate < 1 else event, count)
        return float(accountant.get_epsilon(delta))


@contextlib.contextmanager
def _quiet_absl() -> Iterator[None]:
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@lru_cache(maxsize=8)
def _composed(mechanisms: _Mechanisms, grid: float) -> Any:
    """The privacy loss distribution of all together."""
    first, *others = mechanisms
    together = _repeated(*first, grid)
    for mechanism in others:
        together = together.compose(_repeated(*mechanism, grid))
    return together


@lru_cache(maxsize=8)
def _repeated(multiplier: float, rate: float, count: int, grid: float) -> Any:
    one = _once(multiplier, rate, grid)
    return one if count == 1 else one.self_compose(count)


@lru_cache(maxsize=8)
def _once(multiplier: float, rate: float, grid: float) -> Any:
    from dp_accounting.pld import privacy_loss_distribution

    return privacy_loss_distribution.from_gaussian_mechanism(
        standard_deviation=multiplier, value_discretization_interval=grid, sampling_prob=rate
    )
