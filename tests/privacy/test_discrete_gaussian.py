"""The noise of every private mode: its tables hold the law that is proved, exactly, and its draws follow it."""

from fractions import Fraction
from statistics import NormalDist
from typing import Any

import mpmath
import numpy as np
import pytest

from wardround.crypto.keystream import Keystream
from wardround.privacy import discrete_gaussian as noise

FALSE_ALARM = 1e-6
VALUES = range(-noise.CUT, noise.CUT + 1)


def exact_masses() -> list[Fraction]:
    """exp(-y^2 / 2^19) over its sum, for every y of the support, to 80 digits."""
    with mpmath.workdps(80):
        half = [mpmath.exp(mpmath.mpf(-y * y) / 2**19) for y in range(noise.CUT + 1)]
        scaled = [int(mpmath.nint(weight * 2**256)) for weight in half]
    total = 2 * sum(scaled) - scaled[0]
    return [Fraction(scaled[abs(y)], total) for y in VALUES]


def table_masses() -> tuple[list[int], list[int]]:
    """What the arrays that draws are taken from say: entries of the common table, and units of 2^-142 of the alias table."""
    tables = noise._tables()
    common = np.bincount(tables.common[tables.rest :].astype(int) + noise.CUT, minlength=len(VALUES)).tolist()
    rare = [0] * 2**14
    for column, (high, low, alias) in enumerate(
        zip(tables.high.tolist(), tables.low.tolist(), tables.alias.tolist(), strict=True)
    ):
        threshold = (high << 64) + low
        rare[column] += threshold
        rare[alias + noise.CUT] += 2**128 - threshold
    assert not any(rare[len(VALUES) :])
    return common, rare[: len(VALUES)]


def chi_square_limit(degrees: int, alarm: float = FALSE_ALARM) -> float:
    """Above it with probability `alarm` (Wilson and Hilferty's approximation)."""
    return float(degrees * (1 - 2 / (9 * degrees) + NormalDist().inv_cdf(1 - alarm) * (2 / (9 * degrees)) ** 0.5) ** 3)


def stream(seed: int) -> Keystream:
    return Keystream(seed.to_bytes(32, "big"))


def test_the_alias_table_holds_the_stated_integers_at_every_point() -> None:
    """Walker's method is exact only if every column's two parts add up again; a slip shifts mass where no sample looks."""
    often, fractions = noise._masses()
    assert table_masses() == (often, fractions)
    assert (sum(often) + noise._tables().rest, sum(fractions)) == (2**16, 2**142)


def test_a_base_draw_is_as_near_to_the_discrete_gaussian_as_stated() -> None:
    """The distance goes into delta, so it is worked out over every point of the tables in use, not sampled."""
    common, rare = table_masses()
    rest = noise._tables().rest
    law = [Fraction(n, 2**16) + Fraction(rest, 2**16) * Fraction(e, 2**142) for n, e in zip(common, rare, strict=True)]
    assert sum(law) == 1
    distance = sum(abs(a - b) for a, b in zip(law, exact_masses(), strict=True)) / 2
    assert distance < Fraction(1, 2**133)
    with mpmath.workdps(60):
        cut = 2 * mpmath.nsum(lambda y: mpmath.exp(-(y**2) / mpmath.mpf(2**19)), [noise.CUT + 1, noise.CUT + 4000], method="d")
        cut /= 512 * mpmath.sqrt(2 * mpmath.pi)
        assert cut < 2 * mpmath.exp(-mpmath.mpf((noise.CUT + 1) ** 2) / 2**19) < mpmath.mpf(2) ** -140
        assert 2 * (mpmath.mpf(2) ** -133 + mpmath.mpf(2) ** -140) < noise.DISTANCE


def test_base_draws_follow_the_exact_law() -> None:
    """The tables may be right and the reading of them wrong. Chi-square, 2 million draws, one false alarm in a million."""
    size = 2_000_000
    histogram = np.bincount(noise._base(size, stream(1)).astype(int) + noise.CUT, minlength=len(VALUES))
    expected = np.array([float(mass) * size for mass in exact_masses()])
    inside = expected >= 20
    histogram = np.append(histogram[inside], histogram[~inside].sum())
    expected = np.append(expected[inside], expected[~inside].sum())
    assert ((histogram - expected) ** 2 / expected).sum() < chi_square_limit(len(expected) - 1)


def test_the_rare_part_follows_its_exact_law() -> None:
    """Fewer than 3 % of base draws take this path; an error in it would hide in the whole. Chi-square, one alarm in a million."""
    size, units = 2_000_000, noise._masses()[1]
    histogram = np.bincount(noise._rare(size, stream(2)).astype(int) + noise.CUT, minlength=len(VALUES))
    expected = np.array([unit / 2**142 * size for unit in units])
    inside = expected >= 20
    histogram = np.append(histogram[inside], histogram[~inside].sum())
    expected = np.append(expected[inside], expected[~inside].sum())
    assert ((histogram - expected) ** 2 / expected).sum() < chi_square_limit(len(expected) - 1)


class Words:
    """A stream of given words, one array or number for each call."""

    def __init__(self, *fills: Any) -> None:
        self._fills = list(fills)

    def fill(self, words: np.ndarray) -> None:
        words[:] = self._fills.pop(0)


def test_every_word_is_read_as_the_tables_say() -> None:
    """All 2^16 words, one by one: the first `rest` go on to the rare part, the others give what stands there. With the exact
    tables above that is the law itself, no sample of it."""
    tables = noise._tables()
    for rare in (0, 2**14 - 1):
        words: Any = Words(np.arange(2**16), rare << 2, 2**64 - 1, 2**64 - 1)
        draws = noise._base(2**16, words)
        assert np.array_equal(draws[tables.rest :], tables.common[tables.rest :])
        assert set(draws[: tables.rest].tolist()) == {int(tables.alias[rare])}


def test_every_column_is_split_at_its_threshold_to_the_last_of_128_bits() -> None:
    """The second 64 bits decide once in 2^64 draws, which no sample shows; without them the stated distance is false."""
    tables, size = noise._tables(), 2**14
    thresholds = [(high << 64) + low for high, low in zip(tables.high.tolist(), tables.low.tolist(), strict=True)]
    columns = np.arange(size, dtype=np.uint16) << 2 | 3  # the two bits that are not used do not matter
    own = np.arange(size) - noise.CUT
    for offset, expected in ((-1, own), (0, tables.alias), (-(2**64), own), (2**64, tables.alias)):
        inside = np.array([0 <= threshold + offset < 2**128 for threshold in thresholds])
        halves = np.array([divmod(max(threshold + offset, 0) % 2**128, 2**64) for threshold in thresholds], np.uint64)
        words: Any = Words(columns, halves[:, 0], halves[:, 1])
        assert np.array_equal(noise._rare(size, words)[inside], expected[inside])
        assert inside.sum() > 10_000  # not the columns beyond the tails, nor full ones


def convolved(sigma: int, spread: int) -> tuple[dict[int, mpmath.mpf], mpmath.mpf]:
    """The exact law of spread * y1 + y2, and S^2."""
    reach = range(-16 * sigma, 16 * sigma + 1)
    weights = {y: mpmath.exp(-mpmath.mpf(y * y) / (2 * sigma**2)) for y in reach}
    total, law = sum(weights.values()) ** 2, dict[int, mpmath.mpf]()
    for first, a in weights.items():
        for second, b in weights.items():
            law[spread * first + second] = law.get(spread * first + second, mpmath.mpf(0)) + a * b / total
    return law, mpmath.mpf(sigma**2 * (spread**2 + 1))


def convolution_bound(sigma: int, spread: int) -> mpmath.mpf:
    """ln((1 + t) / (1 - t)) of the module's text."""
    u2 = mpmath.mpf(sigma**2) / (1 + spread**2)
    t = 2 * mpmath.nsum(lambda j: mpmath.exp(-2 * mpmath.pi**2 * u2 * j**2), [1, 40], method="d")
    return mpmath.log((1 + t) / (1 - t))


@pytest.mark.parametrize(("sigma", "spread"), [(2, 3), (4, 8), (6, 5), (8, 8)])
def test_the_convolution_is_within_the_derived_ratio_where_it_can_be_summed(sigma: int, spread: int) -> None:
    """The derivation is checked where the ratio is visible: every x within 6 S, never above the bound and not far below it."""
    with mpmath.workdps(50):
        law, variance = convolved(sigma, spread)
        reach = int(12 * mpmath.sqrt(variance))
        total = sum(mpmath.exp(-mpmath.mpf(x * x) / (2 * variance)) for x in range(-reach, reach + 1))
        inside = range(-reach // 2, reach // 2 + 1)
        ratios = [abs(mpmath.log(law[x] * total) + mpmath.mpf(x * x) / (2 * variance)) for x in inside]
        bound = convolution_bound(sigma, spread)
        assert bound / 4 < max(ratios) <= bound


def test_the_constants_are_what_the_formulas_give() -> None:
    """Accounting adds these two numbers; they must not drift from the tables' parameters."""
    with mpmath.workdps(60):
        assert noise.LOG_RATIO / 2 < convolution_bound(512, noise.SPREAD) < noise.LOG_RATIO
    assert 512**2 * (noise.SPREAD**2 + 1) == noise.VARIANCE
    assert abs(noise.DEVIATION - 131_073) < 0.01


def test_draws_have_the_stated_variance() -> None:
    """Too little noise breaks every epsilon. sum x^2 / S^2 is chi-square with a million degrees: one alarm in a million."""
    draws = noise._draw(1_000_000, stream(3)).astype(np.float64)
    limit = -NormalDist().inv_cdf(FALSE_ALARM / 4) * (2 / draws.size) ** 0.5
    assert abs((draws**2).mean() / noise.VARIANCE - 1) < limit
    assert abs(draws.mean()) / noise.DEVIATION * draws.size**0.5 < -NormalDist().inv_cdf(FALSE_ALARM / 4)


def test_draws_are_independent_of_one_another_and_in_their_low_bits() -> None:
    """Coarse and fine parts come from one block of words: a wrong slice would pair them. Chi-square tables of 16 x 16, for
    neighbours, for distances of a block, and for a draw's rank against its low bits; one alarm in a million over all."""
    size, block = 1_000_000, 1 << 15
    draws = noise._draw(size, stream(4))
    edges = [NormalDist(0, noise.DEVIATION).inv_cdf(j / 16) for j in range(1, 16)]
    rank = np.searchsorted(edges, draws)
    pairs = [(rank[:-gap], rank[gap:]) for gap in (1, 2, block - 1, block, block + 1)]
    pairs += [(rank, draws & 15), (rank, (draws >> 4) & 15), (rank[:-block], draws[block:] & 15)]
    for first, second in pairs:
        histogram = np.bincount(16 * first + second, minlength=256)
        expected = len(first) / 256
        assert ((histogram - expected) ** 2 / expected).sum() < chi_square_limit(255, FALSE_ALARM / len(pairs))


def test_every_size_is_drawn_whole() -> None:
    """A block left unfilled is a block without noise."""
    for size in (0, 1, 2, (1 << 15) - 1, 1 << 15, (1 << 15) + 1, 100_000):
        draws = noise.draw(size)
        assert draws.shape == (size,) and draws.dtype == np.int64
        assert np.count_nonzero(draws == 0) <= 12  # each is 0 once in 330,000; more than 12 of 100,000: once in 10^17


def test_two_calls_never_agree_and_numpys_own_generator_is_left_alone() -> None:
    """A seed that comes back lets anyone subtract the noise. There is no way to give one."""
    before = np.random.get_state()  # noqa: NPY002 (the global state is what must not change)
    np.random.seed(1)  # noqa: NPY002
    first = noise.draw(1000)
    np.random.seed(1)  # noqa: NPY002
    state = np.random.get_state()  # noqa: NPY002
    second = noise.draw(1000)
    after = np.random.get_state()  # noqa: NPY002
    np.random.set_state(before)  # noqa: NPY002
    assert np.count_nonzero(first == second) <= 5  # two draws agree once in 460,000
    assert str(state) == str(after)


def test_the_key_comes_from_the_operating_system_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """32 bytes, anew: a key kept between calls would repeat its stream."""
    asked: list[int] = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        return bytes([len(asked)]) * size

    monkeypatch.setattr("os.urandom", urandom)
    assert not np.array_equal(noise.draw(10), noise.draw(10))
    assert asked == [32, 32]
