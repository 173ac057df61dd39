"""The integers that leave a hospital: what one patient can move, what the total holds, what integers cost over real numbers."""

from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from statistics import NormalDist
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from wardround.crypto.keystream import Mask, apply_masks
from wardround.privacy import noise_grid as module
from wardround.privacy.discrete_gaussian import DEVIATION, VARIANCE
from wardround.privacy.fixed_point import NotFiniteError
from wardround.privacy.noise_grid import REACH, NoiseGrid, narrowest, rounding_ratio
from wardround.values.errors import StudyError

FALSE_ALARM = 1e-6
clip_norms = st.floats(1e-6, 1e6)
multipliers = st.floats(1e-3, 1e3)
sizes = st.integers(1, 60)
seeds = st.integers(0, 2**32 - 1)
honest_numbers = st.integers(1, 50)
no_noise_bits: Any = st.sampled_from([32, 64])


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def noise_grid(**changes: Any) -> NoiseGrid:
    return NoiseGrid(
        **({"clip_norm": 1.0, "multiplier": 1.0, "size": 1000, "capacity": 100.0, "sites": 4, "honest": 3} | changes)
    )


def patient(clip_norm: float, size: int, seed: int) -> list[Fraction]:
    """A vector whose Euclidean length is just below the clip norm, along a few axes or many."""
    direction = generator(seed).normal(size=size) * generator(seed + 1).integers(0, 2, size)
    shortened = direction / max(float(np.linalg.norm(direction)), 1e-300) * clip_norm * (1 - 2.0**-40)
    return [Fraction(x) for x in shortened.tolist()]


@given(
    clip_norm=clip_norms,
    multiplier=multipliers,
    size=sizes,
    honest=honest_numbers,
    seed=seeds,
    scale=st.sampled_from([0.0, 1e-9, 1.0, 1e3, 1e9, 1e20, 1e300]),
)
@example(clip_norm=1.0, multiplier=1e3, size=60, honest=1, seed=0, scale=1.0)
def test_one_patient_moves_the_integers_by_at_most_the_sensitivity(
    clip_norm: float, multiplier: float, size: int, honest: int, seed: int, scale: float
) -> None:
    """The number that every epsilon rests on; it must hold for every data set, also for sums that no honest hospital has."""
    grid = noise_grid(clip_norm=clip_norm, multiplier=multiplier, size=size, honest=honest, sites=honest, capacity=1.0, bits=64)
    before = generator(seed + 2).normal(size=size) * min(clip_norm * scale, 1e300)
    after = np.array([float(Fraction(float(x)) + y) for x, y in zip(before, patient(clip_norm, size, seed), strict=True)])
    moved = sum((Fraction(float(b)) - Fraction(float(a))) ** 2 for a, b in zip(before, after, strict=True))
    assume(moved <= Fraction(clip_norm) ** 2)  # the sum itself was rounded to float64 here
    distance = grid._levels(after) - grid._levels(before)
    assert sum(int(d) ** 2 for d in distance) <= Fraction(grid.sensitivity) ** 2


def test_the_sensitivity_is_nearly_reached() -> None:
    """A bound that is never met could hide a formula that is wrong: a patient who pushes every value over an edge."""
    grid = noise_grid(size=10_000, capacity=10.0)
    edge = np.full(10_000, (0.5 - 1e-9) * grid.step)
    near = edge.copy()
    near += 2e-9 * grid.step  # moves next to nothing in real numbers, sqrt(d) in levels
    assert np.linalg.norm(grid._levels(near) - grid._levels(edge)) == 100.0
    near[0] += grid.clip_norm * (1 - 1e-9)
    assert 0.9995 * grid.sensitivity < np.linalg.norm(grid._levels(near) - grid._levels(edge)) + 100.0 < grid.sensitivity + 1


@given(clip_norm=clip_norms, multiplier=multipliers, size=st.integers(1, 10**7), honest=honest_numbers)
@example(clip_norm=1.0, multiplier=1.0, size=17_000_000_000, honest=1)
@example(clip_norm=1.0, multiplier=41.2, size=10_000_000, honest=1)
def test_the_multiplier_that_is_accounted_for_is_the_one_that_is_there(
    clip_norm: float, multiplier: float, size: int, honest: int
) -> None:
    """sqrt(h S^2 - 1/12) over the sensitivity of the step in use, in exact arithmetic: at least z, and no more than need be."""
    try:
        grid = noise_grid(
            clip_norm=clip_norm, multiplier=multiplier, size=size, honest=honest, sites=honest, capacity=1.0, bits=64
        )
    except StudyError:
        assume(False)
    with mpmath.workdps(50):
        exact = mpmath.mpf(grid.clip_norm) / mpmath.mpf(grid.step) + (1 + mpmath.mpf(2) ** -8) * mpmath.sqrt(size)
        assert exact <= mpmath.mpf(grid.sensitivity)
        there = mpmath.sqrt(honest * VARIANCE - mpmath.mpf(1) / 12) / mpmath.mpf(grid.sensitivity)
        assert multiplier <= there < multiplier * (1 + 1e-11)


def test_the_division_is_as_exact_as_the_bound_says() -> None:
    """2^-9 of a level, up to the largest quotient: the part of the sensitivity that float64 adds."""
    grid = noise_grid(size=20_000, bits=64)
    values = generator(1).uniform(-REACH, REACH, 20_000) * grid.step
    step = Fraction(grid.step)
    for value, level in zip(values.tolist(), np.clip(values / grid.step, -REACH, REACH).tolist(), strict=True):
        exact = min(max(Fraction(value) / step, -Fraction(REACH)), Fraction(REACH))
        assert abs(Fraction(level) - exact) <= Fraction(1, 2**9)


rows_of_sites = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.floats(-1, 1), min_size=n, max_size=n), min_size=1, max_size=9)
)


@given(bits=no_noise_bits, clip_norm=clip_norms, capacity=st.floats(0.1, 1e5), rows=rows_of_sites)
@example(bits=32, clip_norm=1.0, capacity=1.0, rows=[[1.0]])
@example(bits=64, clip_norm=1.0, capacity=3.0, rows=[[-1.0]])
@example(bits=32, clip_norm=3.0, capacity=0.3, rows=[[1.0]] * 9)
def test_without_noise_the_total_is_the_plain_sum_within_the_stated_bound(
    bits: Any, clip_norm: float, capacity: float, rows: list[list[float]]
) -> None:
    """Zero noise is non-private training: the law that ties the private path to the plain one, up to the edge of capacity."""
    grid = NoiseGrid(clip_norm=clip_norm, multiplier=0.0, size=len(rows[0]), capacity=capacity, sites=len(rows), bits=bits)
    values = np.array(rows) * (capacity * clip_norm / len(rows) * (1 - 2.0**-45))
    total = sum((grid.encode(row) for row in values), np.zeros(grid.size, grid.word))
    for column, decoded in enumerate(grid.decode(total)):
        exact = sum((Fraction(float(x)) for x in values[:, column]), Fraction(0))
        assert abs(Fraction(float(decoded)) - exact) <= Fraction(grid.error_bound)


def test_without_noise_the_step_is_as_fine_as_the_word_allows() -> None:
    """A coarser grid would cost accuracy for nothing: 2^-31 of the capacity, or 2^-44."""
    assert noise_grid(multiplier=0.0, bits=32).step * 2.0**31 == pytest.approx(100.0, rel=1e-8)
    assert noise_grid(multiplier=0.0, bits=64).step * 2.0**44 == pytest.approx(100.0, rel=1e-8)


@given(bits=no_noise_bits, order=st.permutations(range(5)), seed=seeds, multiplier=st.sampled_from([0.0, 2.0]))
def test_the_order_of_sites_and_masks_on_top_change_nothing(bits: Any, order: list[int], seed: int, multiplier: float) -> None:
    """Masked, plain and in any order: the same words, hence the same model."""
    grid = noise_grid(bits=bits, multiplier=multiplier, size=50, sites=5)
    words = [grid.encode(generator(seed + site).normal(size=50)) for site in range(5)]
    plain = grid.decode(sum(words, np.zeros(50, grid.word)))
    masked = [word.copy() for word in words]
    for first, second in combinations(range(5), 2):
        mask = Mask(bytes([first, second]) * 16)
        apply_masks(masked[first], [mask])
        apply_masks(masked[second], [mask.inverse])
    assert not np.array_equal(masked[0], words[0])
    total = np.zeros(50, grid.word)
    for site in order:
        total = total + masked[site]
    assert np.array_equal(grid.decode(total), plain)


@pytest.mark.parametrize("bits", [32, 64])
def test_sums_wrap_and_come_back(bits: Any) -> None:
    """Partial sums may pass the word's end; only the total must fit. A clamp on the way would bias it."""
    grid = noise_grid(multiplier=0.0, bits=bits, size=1, sites=3, capacity=10.0)
    parts = [np.array([x]) for x in (9.9, 9.9, -9.9)]
    assert abs(grid.decode(sum(map(grid.encode, parts), np.zeros(1, grid.word)))[0] - 9.9) <= grid.error_bound


def test_noise_wraps_and_is_never_clamped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clamped noise is no longer the noise that was accounted for."""
    grid = noise_grid(size=3)
    far = np.array([2**31, -(2**31) - 1, 2**40 + 5])
    monkeypatch.setattr(module, "draw", lambda size: far[:size].copy())
    assert grid.encode(np.zeros(3)).tolist() == [2**31, 2**31 - 1, 5]


def shares(grid: NoiseGrid, sites: int) -> np.ndarray:
    """What `sites` sites with nothing to tell send, as signed integers."""
    return np.stack([grid.encode(np.zeros(grid.size)).view(np.int32).astype(np.int64) for _ in range(sites)])


def mean_square(values: int, probability: float) -> float:
    """A mean of that many squares of standard normals is below this with that probability (Wilson and Hilferty)."""
    part = 2 / (9 * values)
    return float((1 - part + NormalDist().inv_cdf(probability) * part**0.5) ** 3)


@pytest.mark.parametrize(("threshold", "colluding", "sites"), [(2, 1, 2), (3, 1, 5), (4, 2, 6)])
def test_noise_less_the_shares_of_any_colluding_sites_has_the_variance_of_the_central_one(
    threshold: int, colluding: int, sites: int
) -> None:
    """The guarantee against the coordinator and c hospitals, for every set that answers, down to the threshold, and every set
    that colludes; one false alarm in a million over them all. One share less must be seen, or the test proves nothing."""
    honest, size = threshold - colluding, 100_000
    grid = noise_grid(size=size, honest=honest, sites=sites, multiplier=1.5, clip_norm=0.1)
    sent = shares(grid, sites)
    patterns = [
        sorted(set(answering) - set(known_sites))
        for number in range(threshold, sites + 1)
        for answering in combinations(range(sites), number)
        for known_sites in combinations(answering, colluding)
    ]
    alarm = FALSE_ALARM / (2 * len(patterns))
    limit = mean_square(size, alarm)
    central = (grid.multiplier * grid.clip_norm) ** 2
    for left in patterns:
        variance = float((sent[left].sum(axis=0).astype(np.float64) ** 2).mean())
        assert variance >= honest * VARIANCE * limit
        assert variance * grid.step**2 >= central * limit
        if len(left) == honest:
            fewer = float((sent[left[1:]].sum(axis=0).astype(np.float64) ** 2).mean())
            assert fewer < honest * VARIANCE * limit
            assert variance <= honest * VARIANCE * mean_square(size, 1 - alarm)  # no accuracy is given away


def test_the_total_of_honest_shares_follows_the_normal_law_it_is_accounted_as() -> None:
    """Not only the variance: 64 equally likely classes, chi-square, one false alarm in a million."""
    grid = noise_grid(size=400_000, honest=3, sites=3)
    total = shares(grid, 3).sum(axis=0)
    edges = [NormalDist(0, DEVIATION * 3**0.5).inv_cdf(j / 64) for j in range(1, 64)]
    histogram = np.bincount(np.searchsorted(edges, total), minlength=64)
    expected = grid.size / 64
    assert ((histogram - expected) ** 2 / expected).sum() < 63 * mean_square(63, 1 - FALSE_ALARM)


def test_every_value_of_a_long_vector_is_encoded_and_has_noise_of_its_own() -> None:
    """Long vectors are worked on in blocks: one left out, or one block's noise used again, would be a leak."""
    size, block = 100_001, 1 << 15
    plain = noise_grid(size=size, multiplier=0.0)
    values = generator(5).normal(size=size)
    assert np.abs(plain.decode(plain.encode(values)) - values).max() <= plain.error_bound
    noise = shares(noise_grid(size=size), 1)[0]
    assert np.count_nonzero(noise[block:] == noise[:-block]) <= 12
    assert np.count_nonzero(noise == 0) <= 12


def test_every_call_draws_its_own_noise() -> None:
    """The same words twice, plus one honest change, would give the change away."""
    grid = noise_grid(size=1000)
    assert np.count_nonzero(grid.encode(np.zeros(1000)) == grid.encode(np.zeros(1000))) <= 5


def log_difference(y: int, squared: int, removed: mpmath.mpf) -> mpmath.mpf:
    """ln p(y) - ln g(y): D_Z(squared) against the rounded normal of variance squared - removed."""
    s2 = mpmath.mpf(squared)
    normal = mpmath.sqrt(2 * mpmath.pi * s2) * (1 + 2 * mpmath.nsum(lambda j: mpmath.exp(-2 * mpmath.pi**2 * s2 * j**2), [1, 5]))
    scale = mpmath.sqrt(2 * (s2 - removed))
    inside = (mpmath.erfc((y - mpmath.mpf(1) / 2) / scale) - mpmath.erfc((y + mpmath.mpf(1) / 2) / scale)) / 2
    return -(mpmath.mpf(y) ** 2) / (2 * s2) - mpmath.log(normal) - mpmath.log(inside)


@pytest.mark.parametrize("squared", [2, 5, 64, 32**2, VARIANCE, 3 * VARIANCE])
def test_the_integers_are_within_the_derived_ratio_of_the_rounded_normal(squared: int) -> None:
    """The step from integers to the Gaussian that is accounted for. Small s shows the ratio; large s is what is used. 130 digits:
    the ratio is of order 1e-20 and the tail of order e^-128."""
    s = squared**0.5
    with mpmath.workdps(130):
        for k in [0, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16]:
            y = int(k * s)
            bound = mpmath.mpf(rounding_ratio(y / s, squared))
            log_ratio = abs(log_difference(y, squared, mpmath.mpf(1) / 12))
            assert log_ratio <= bound * (1 + 1e-12)
            if y > 8 * s and squared >= 64:
                assert log_ratio > bound / 2


@pytest.mark.parametrize("squared", [64, VARIANCE])
def test_the_twelfth_is_what_makes_them_match(squared: int) -> None:
    """Without it the ratio is of order 1/s^2: ten orders of magnitude worse at the S in use. The check above can fail."""
    with mpmath.workdps(130):
        y = int(4 * squared**0.5)
        assert abs(log_difference(y, squared, mpmath.mpf(0))) > 20 * rounding_ratio(4, squared)


@pytest.mark.parametrize(("releases", "honest"), [(1, 1), (60, 3), (1000, 1), (1000, 9)])
def test_the_slack_is_what_the_derivation_gives_and_is_negligible(releases: int, honest: int) -> None:
    """Both numbers are added to what a hospital is told; 10^9 values is a year of large studies."""
    epsilon, delta = noise_grid(size=10**6, honest=honest, sites=9).slack(releases)
    with mpmath.workdps(60):
        values, s2 = releases * 10**6, mpmath.mpf(honest * VARIANCE)
        terms = mpmath.mpf(16) ** 4 / 2880 + mpmath.mpf(256) / 288 + mpmath.mpf(1) / 128
        ratio = values * (terms * s2**2 / (s2 - mpmath.mpf(1) / 12) ** 4 + honest * mpmath.mpf(2) ** -111)
        missed = values * (2 * mpmath.exp(-((16 - 1 / (2 * mpmath.sqrt(s2))) ** 2) / 2) + honest * mpmath.mpf(2) ** -131)
        expected = 2 * ratio, mpmath.expm1(ratio) + missed * (1 + mpmath.exp(32 + 2 * ratio))
    assert epsilon == pytest.approx(float(expected[0]), rel=1e-9, abs=0)
    assert delta == pytest.approx(float(expected[1]), rel=1e-9, abs=0)
    assert epsilon < 1.7e-10 and delta < 8.1e-11


@given(multiplier=multipliers, capacity=st.floats(1, 1e6), size=st.integers(1, 10**6), sites=st.integers(1, 100))
def test_the_narrowest_word_that_fits_is_chosen(multiplier: float, capacity: float, size: int, sites: int) -> None:
    """A word too small turns the model into noise; one too large doubles the traffic."""
    try:
        grid = narrowest(clip_norm=1.0, multiplier=multiplier, size=size, capacity=capacity, sites=sites, honest=1)
    except StudyError:
        assume(False)
    assert grid.wrap_bound < 2.0 ** (grid.bits - 1)
    if grid.bits == 64:
        with pytest.raises(StudyError, match="The sums do not fit words of 32 bits"):
            replace(grid, bits=32)


def test_both_word_sizes_occur() -> None:
    """The reference job fits 32 bits; ten thousand patients at little noise do not."""
    assert narrowest(clip_norm=1.0, multiplier=1.0, size=1585, capacity=3119, sites=3, honest=2).bits == 32
    assert narrowest(clip_norm=1.0, multiplier=0.3, size=1585, capacity=10_000, sites=3, honest=2).bits == 64
    assert narrowest(clip_norm=1.0, multiplier=0.0, size=1585, capacity=10_000).bits == 32


def test_an_honest_total_stays_within_the_wrap_bound() -> None:
    """Worst case of the signal, real noise: 30 totals of 10,000 values, none beyond the bound, and the bound not far off."""
    grid = noise_grid(size=10_000, capacity=5.0, sites=4)
    extreme = np.full(grid.size, 5.0 / 4) * (1 - 1e-12)
    largest = 0
    for _ in range(30):
        total = sum((grid.encode(extreme) for _ in range(4)), np.zeros(grid.size, grid.word))
        largest = max(largest, int(np.abs(total.view(np.int32)).max()))
    assert 0.5 * grid.wrap_bound < largest < grid.wrap_bound


def test_too_many_values_for_the_noise_are_refused() -> None:
    """Fail closed: no step makes the rounding of so many values small beside so little noise."""
    with pytest.raises(StudyError, match=r"Expected: fewer than .* Found: 10,000,000 values\. What to do") as refusal:
        noise_grid(size=10_000_000, multiplier=100.0, honest=1)
    assert refusal.value.exit_code == 2
    noise_grid(size=10_000_000, multiplier=100.0, honest=7, sites=7, capacity=1.0)


def test_sums_that_no_word_holds_are_refused() -> None:
    """64 bits, too, end somewhere: where float64 no longer divides exactly enough."""
    with pytest.raises(StudyError, match=r"do not fit words of 64 bits.*What to do"):
        noise_grid(multiplier=1e-3, capacity=1e6, bits=64)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("multiplier", [0.0, 1.0])
def test_what_is_not_finite_is_refused(bad: float, multiplier: float) -> None:
    """NaN has no neighbour: as an integer it would be any number, on some machines an enormous one."""
    grid = noise_grid(size=3, multiplier=multiplier)
    with pytest.raises(NotFiniteError):
        grid.encode(np.array([0.0, bad, 1.0]))


def test_a_vector_of_another_size_is_refused() -> None:
    """The sensitivity holds for the stated number of values."""
    for wrong in (np.zeros(4), np.zeros((3, 1)), np.zeros(0)):
        with pytest.raises(ValueError, match="3 values"):
            noise_grid(size=3).encode(wrong)


@pytest.mark.parametrize(
    "changes",
    [
        {"clip_norm": 0.0}, {"clip_norm": np.inf}, {"clip_norm": np.nan}, {"clip_norm": 1e-305}, {"multiplier": -1.0},
        {"multiplier": np.nan}, {"multiplier": np.inf}, {"capacity": 0.0}, {"capacity": np.inf}, {"size": 0}, {"honest": 0},
        {"honest": 5}, {"sites": 10_001}, {"bits": 16},
    ],
)  # fmt: skip
def test_a_lattice_that_cannot_be_is_refused_at_construction(changes: dict[str, Any]) -> None:
    """Not in round 40."""
    with pytest.raises(ValueError, match=r"a grid needs|too small"):
        noise_grid(**changes)
