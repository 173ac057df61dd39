"""The grid that every sum runs on: no sum may wrap, and its error may not pass the stated bound."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wardround.crypto.keystream import BLOCK, Mask, apply_masks
from wardround.privacy.fixed_point import Grid, NotFiniteError, WordBits, encode_counts, factor_below
from wardround.values.randomness import rounding_key

BITS: tuple[WordBits, ...] = (16, 32, 64)
bits_of_word = st.sampled_from(BITS)
site_numbers = st.one_of(st.sampled_from([1, 2, 3, 9_999, 10_000]), st.integers(1, 10_000))
bounds = st.floats(1e-6, 1e6)
shares = st.one_of(st.sampled_from([-1.0, 1.0, 0.0, -0.0, np.nextafter(1.0, 0.0), 1e-300, -2.0]), st.floats(-1.5, 1.5))
seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from([np.float32, np.float64])


def key(seed: int) -> bytes:
    return rounding_key("test", seed)


def signed(words: np.ndarray, bits: int) -> list[int]:
    return [int(word) for word in words.view(f"int{bits}")]


@given(bits=bits_of_word, sites=site_numbers, bound=bounds, seed=seeds, values=st.lists(shares, min_size=1, max_size=8))
@example(bits=16, sites=10_000, bound=4.0, seed=1, values=[1.0, -1.0])
@example(bits=64, sites=10_000, bound=4.0, seed=1, values=[1.0, -1.0])
def test_the_sum_of_words_never_wraps(bits: WordBits, sites: int, bound: float, seed: int, values: list[float]) -> None:
    """A wrapped sum would turn the model into noise without any error. The worst case is every site sending the same extreme."""
    grid = Grid(bound, sites, bits)
    words, _ = grid.encode(np.array(values) * bound, key(seed))
    exact = [word * sites for word in signed(words, bits)]
    assert all(-(2 ** (bits - 1)) <= total < 2 ** (bits - 1) for total in exact)
    modular = (words.astype(object) * sites % 2**bits).astype(f"uint{bits}")
    assert signed(modular, bits) == exact


@given(
    bits=bits_of_word,
    bound=bounds,
    kind=kinds,
    seed=seeds,
    rows=st.integers(1, 6).flatmap(lambda n: st.lists(st.lists(shares, min_size=n, max_size=n), min_size=1, max_size=12)),
)
def test_the_decoded_sum_is_within_the_stated_bound(
    bits: WordBits, bound: float, kind: type, seed: int, rows: list[list[float]]
) -> None:
    """Users choose the word size by this bound; it must hold for every value, clipped ones too, with all rounding of floats."""
    values = (np.array(rows) * bound).astype(kind)
    grid = Grid(bound, len(rows), bits)
    total = np.zeros(values.shape[1], grid.word)
    for site, row in enumerate(values):
        total = total + grid.encode(row, key(seed + site))[0]
    for column, decoded in enumerate(grid.decode(total)):
        exact = sum((Fraction(float(x)) for x in np.clip(values[:, column].astype(np.float64), -bound, bound)), Fraction(0))
        assert abs(Fraction(float(decoded)) - exact) <= Fraction(grid.error_bound)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bits", BITS)
def test_rounding_is_unbiased(bits: WordBits, kind: type) -> None:
    """A bias of a fraction of a step would add up over sites and rounds. 200,000 draws: five standard errors of the mean."""
    grid = Grid(4.0, 100, bits)
    draws = 200_000
    for share in (0.1, 0.25, 0.5, 0.9, -0.1, -0.75, 3.3):
        value = share * grid.step
        mean = grid.decode(grid.encode(np.full(draws, value, kind), key(7))[0]).mean()
        assert abs(mean - float(kind(value))) < 5 * 0.5 * grid.step / np.sqrt(draws)


@given(bound=bounds, bits=bits_of_word, sites=site_numbers, kind=kinds)
@example(bound=4.0, bits=16, sites=1, kind=np.float32)
def test_the_largest_values_take_the_last_level_whatever_the_draw(bound: float, bits: WordBits, sites: int, kind: type) -> None:
    """One level too many at every site wraps the sum. 300 draws at the edge, and the law of g."""
    grid = Grid(bound, sites, bits)
    edge = float(kind(bound)) if float(kind(bound)) <= bound else float(np.nextafter(kind(bound), kind(0)))
    words, clipped = grid.encode(np.full(300, edge, kind), key(3))
    assert clipped == 0
    assert all(abs(word) <= grid.levels for word in signed(words, bits))
    fraction = {16: 16, 32: 32, 64: 10}[bits]
    factor = factor_below(grid.levels * 2.0**fraction, bound, kind)
    assert Fraction(float(factor)) * Fraction(bound) <= grid.levels * 2**fraction < 2 ** (31 if bits == 16 else 63)
    assert float(factor) * bound >= grid.levels * 2.0**fraction * (1 - (2.0**-22 if kind is np.float32 else 2.0**-51))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_bias_of_16_random_bits_is_at_most_what_is_stated(kind: type) -> None:
    """With every one of the 2**16 draws in turn the mean is exact: only the rounding of x * 2**16 is left, half a unit of it."""
    grid = Grid(1.0, 3, 16)
    value = kind(0.123456)
    scaled = np.rint(value * factor_below(grid.levels * 65536.0, 1.0, kind))
    mean = ((int(scaled) + np.arange(65536, dtype=np.int64)) >> 16).mean()
    assert abs(mean - float(value) / grid.step) <= 2.0**-17 + 2.0**-22 * grid.levels


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bits", BITS)
def test_threads_and_masks_do_not_change_the_words(bits: WordBits, kind: type) -> None:
    """A site with more cores must send what one with a single core sends; masks on the way equal masks afterwards."""
    grid = Grid(1.0, 3, bits)
    values = np.random.Generator(np.random.Philox(2)).uniform(-1.1, 1.1, 3 * BLOCK + 77).astype(kind)
    masks = [Mask(key(1)), Mask(key(2), -1)]
    words, clipped = grid.encode(values, key(0))
    assert clipped == np.count_nonzero(np.abs(values.astype(np.float64)) > 1.0)
    apply_masks(words, masks)
    for threads in (1, 2, 3):
        again, count = grid.encode(values, key(0), masks, threads=threads)
        assert (again.tobytes(), count) == (words.tobytes(), clipped)


@pytest.mark.parametrize("bound", [1e-30, 1e30])
def test_bounds_that_float32_cannot_scale_still_have_words(bound: float) -> None:
    """Such a factor is no float32; the arithmetic then is that of float64."""
    words, clipped = Grid(bound, 1, 16).encode(np.array([bound / 4, -bound / 2], np.float32), key(1))
    assert clipped == 0
    assert np.abs(words.view(np.int16) - np.array([32767 / 4, -32767 / 2])).max() <= 1


def test_whole_numbers_and_empty_vectors_have_words() -> None:
    """Not every caller holds floats, and a model may have a part without values."""
    assert Grid(8.0, 1, 16).encode(np.array([8, -8]), key(1))[0].view(np.int16).tolist() == [32767, -32767]
    assert Grid(8.0, 1, 16).encode(np.zeros(0), key(1))[0].size == 0


def test_values_on_the_grid_are_exact() -> None:
    """Zero change must stay zero: otherwise a site with nothing to say would add noise."""
    grid = Grid(4.0, 3, 32)
    points = np.arange(-5, 6) * grid.step
    words, clipped = grid.encode(points, key(1))
    assert clipped == 0
    assert signed(words, 32) == list(range(-5, 6))
    assert np.array_equal(grid.decode(words), points)


@given(values=st.lists(st.floats(-3, 3), min_size=1, max_size=30))
def test_every_clipped_value_is_counted_and_no_other(values: list[float]) -> None:
    """Clipping changes what is learned; a run that clips must say how much."""
    _, clipped = Grid(1.0, 2).encode(np.array(values), key(1))
    assert clipped == sum(abs(value) > 1.0 for value in values)


def test_clipping_is_counted_across_the_blocks_of_a_large_array() -> None:
    """A model has millions of values; they are encoded in pieces."""
    values = np.zeros(3 * BLOCK + 5, np.float32)
    values[[0, BLOCK - 1, BLOCK, 3 * BLOCK + 4]] = 9.0
    words, clipped = Grid(1.0, 2).encode(values, key(1))
    assert clipped == 4
    assert np.flatnonzero(words).tolist() == [0, BLOCK - 1, BLOCK, 3 * BLOCK + 4]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_word(bad: float) -> None:
    """NaN cast to an integer is any number at all; infinity clipped to the bound would hide a diverged model."""
    with pytest.raises(NotFiniteError, match="finite"):
        Grid(1.0, 2).encode(np.array([0.0, bad]), key(1))


@pytest.mark.parametrize("bound", [0.0, -1.0, np.nan, np.inf, 5e-324])
def test_a_bound_that_gives_no_grid_is_refused(bound: float) -> None:
    """Validated at construction, not in round 40. A step that is zero in float64 has no levels."""
    with pytest.raises(ValueError, match="bound"):
        Grid(bound, 2)


@pytest.mark.parametrize("sites", [0, -1, 10_001])
def test_a_number_of_sites_beyond_the_limits_is_refused(sites: int) -> None:
    """The proof that no sum wraps counts the sites."""
    with pytest.raises(ValueError, match="sites"):
        Grid(1.0, sites, 16)


@given(seed=seeds, values=st.lists(st.floats(-1, 1), max_size=20))
def test_the_same_key_gives_the_same_words(seed: int, values: list[float]) -> None:
    """A site asked twice must answer with the same bytes."""
    grid = Grid(1.0, 5, 32)
    first, second = (grid.encode(np.array(values), key(seed))[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()


@given(counts=st.lists(st.integers(0, 2**52), max_size=20))
def test_counts_are_exact(counts: list[int]) -> None:
    """Patients are counted, not estimated."""
    assert [int(word) for word in encode_counts(np.array(counts, np.int64), 2**52)] == counts


@pytest.mark.parametrize(
    "bad", [np.array([-1]), np.array([11]), np.array([2**63], np.uint64), np.array([1.5]), np.array([np.nan])]
)
def test_a_count_that_is_no_count_is_refused(bad: np.ndarray) -> None:
    """Negative, beyond the limit or fractional: a wrapped or truncated count would pass for a true one."""
    with pytest.raises(ValueError, match="counts"):
        encode_counts(bad, 10)
