"""Any t shares give the secret, t - 1 say nothing, and a wrong share never passes for a right one unnoticed."""

import itertools
import os
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wardround.summation.masked.shamir import (
    FIELD,
    ImpossibleSecretsError,
    evaluate,
    field_elements,
    from_limbs,
    interpolate_at_zero,
    lagrange_at_zero,
    recover,
    share,
    to_limbs,
)

secret_bytes = st.binary(min_size=32, max_size=32)
HIGHEST = b"\xff" * 32


def rows(secrets: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(secrets), np.uint8).reshape(-1, 32)


def repeatable(seed: int) -> Callable[[int], bytes]:
    draw = np.random.Generator(np.random.Philox(seed))
    return lambda count: draw.bytes(count)


@given(secrets=st.lists(secret_bytes, max_size=5), n=st.integers(1, 8), data=st.data(), seed=st.integers(0, 2**32))
def test_any_threshold_of_the_shares_give_the_secrets_back(secrets: list[bytes], n: int, data: st.DataObject, seed: int) -> None:
    """Whoever is left of the hospitals, in whatever order they answer, must be able to open the sum."""
    threshold = data.draw(st.integers(1, n))
    points = data.draw(st.lists(st.integers(1, 250), min_size=n, max_size=n, unique=True))
    chosen = data.draw(st.permutations(range(n)))[: data.draw(st.integers(threshold, n))]
    shares = share(rows(secrets), threshold, points, repeatable(seed))
    assert shares.shape == (n, len(secrets), 36)
    assert shares.dtype == np.uint8
    recovered = recover(shares[list(chosen)], [points[i] for i in chosen], threshold)
    assert recovered.tobytes() == b"".join(secrets)


@given(secret=secret_bytes)
@example(HIGHEST)
@example(bytes(32))
@example(bytes(31) + b"\x01")
def test_limbs_are_the_integer_in_base_2_to_the_30(secret: bytes) -> None:
    """Other software reads the same specification: big-endian bytes, least limb first."""
    limbs = to_limbs(rows([secret]))
    number = int.from_bytes(secret, "big")
    assert [int(limb) for limb in limbs[0]] == [number >> 30 * i & (2**30 - 1) for i in range(9)]
    assert from_limbs(limbs).tobytes() == secret


@given(secret=secret_bytes, seed=st.integers(0, 2**32), threshold=st.integers(1, 6))
def test_shares_are_the_polynomials_of_the_specification(secret: bytes, seed: int, threshold: int) -> None:
    """Worked out again with Python's own integers from the same random bytes."""
    points = [1, 2, 7, 100, 249, 250]
    drawn = repeatable(seed)(4 * 9 * (threshold - 1))
    words = [int.from_bytes(drawn[at : at + 4], "little") % 2**31 for at in range(0, len(drawn), 4)]
    number = int.from_bytes(secret, "big")
    shares = share(rows([secret]), threshold, points, repeatable(seed))
    for row, x in zip(shares, points, strict=True):
        limbs = [sum(c * x**k for k, c in enumerate([number >> 30 * i & (2**30 - 1), *words[i::9]])) % FIELD for i in range(9)]
        assert row.tobytes() == b"".join(limb.to_bytes(4, "little") for limb in limbs)


@pytest.mark.parametrize(("field", "threshold"), [(5, 2), (7, 3)])
def test_one_share_too_few_is_consistent_with_every_secret_equally(field: int, threshold: int) -> None:
    """The proof of secrecy, walked through in small fields: for every secret, t - 1 shares take every value equally often."""
    everything = np.array(list(itertools.product(range(field), repeat=threshold - 1)), np.uint64).T
    for points in itertools.combinations(range(1, field), threshold - 1):
        for secret in range(field):
            constant = np.full((1, everything.shape[1]), secret, np.uint64)
            views = evaluate(np.concatenate([constant, everything]), points, field)
            assert len({tuple(view) for view in views.T.tolist()}) == field ** (threshold - 1)


@given(limb=st.integers(0, 2**30 - 1), other=st.integers(0, FIELD - 1), seed=st.integers(0, 2**32))
def test_in_the_real_field_too_few_shares_fit_any_limb(limb: int, other: int, seed: int) -> None:
    """t - 1 shares and any other limb at zero again give a polynomial: t values at t points always do."""
    coefficients = np.concatenate([[limb], field_elements(3, repeatable(seed))]).astype(np.uint64)[:, None]
    views = [int(v) for v in evaluate(coefficients, [1, 2, 3])[:, 0]]
    weights = lagrange_at_zero([1, 2, 3, 4])
    fourth = (other - sum(w * v for w, v in zip(weights, views, strict=False))) * pow(weights[3], -1, FIELD) % FIELD
    assert int(interpolate_at_zero(np.array([*views, fourth], np.uint64), [1, 2, 3, 4])) == other


@given(secret=secret_bytes, which=st.integers(0, 2), limb=st.integers(0, 8), change=st.integers(1, FIELD - 1))
def test_a_wrong_share_never_gives_the_right_secret(secret: bytes, which: int, limb: int, change: int) -> None:
    """A lie either comes out impossible or as another secret, which the commitment then tells."""
    shares = share(rows([secret]), 3, [1, 2, 3])
    words = shares.view("<u4")
    words[which, 0, limb] = (int(words[which, 0, limb]) + change) % FIELD
    try:
        recovered = recover(shares, [1, 2, 3], 3).tobytes()
    except ImpossibleSecretsError as error:
        assert error.secrets == (0,)
    else:
        assert recovered != secret


@pytest.mark.parametrize(("limb", "value"), [(0, 2**30), (3, FIELD - 1), (8, 2**16), (0, FIELD), (0, 2**32 - 1), (8, FIELD + 5)])
def test_impossible_secrets_are_named(limb: int, value: int) -> None:
    """The coordinator must know whose shares to look at; the others stay usable."""
    secrets = rows([HIGHEST, bytes(32), HIGHEST])
    shares = share(secrets, 1, [1, 2])
    shares.view("<u4")[0, 1, limb] = value
    with pytest.raises(ImpossibleSecretsError, match="secrets 1 ") as caught:
        recover(shares, [1, 2], 1)
    assert caught.value.secrets == (1,)


def test_a_word_beyond_the_field_is_refused_even_where_it_stands_for_the_right_element() -> None:
    """Two encodings of one share would let a share pass that does not match its commitment."""
    shares = share(rows([bytes(32)]), 1, [1])
    shares.view("<u4")[0, 0, 0] = FIELD
    with pytest.raises(ImpossibleSecretsError):
        recover(shares, [1], 1)


def test_only_the_first_shares_are_used() -> None:
    """The caller chooses whom to believe by the order; a liar further back changes nothing."""
    shares = share(rows([HIGHEST]), 2, [1, 2, 3])
    shares[2] = 0xFF
    assert recover(shares, [1, 2, 3], 2).tobytes() == HIGHEST


def test_the_field_is_drawn_from_uniformly_by_rejection() -> None:
    """p itself taken as zero would make zero twice as likely; the top bit is no part of a draw."""
    stream = iter([(FIELD).to_bytes(4, "little") + (2**32 - 2).to_bytes(4, "little"), (7).to_bytes(4, "little")])
    asked = []

    def scripted(count: int) -> bytes:
        asked.append(count)
        return next(stream)

    assert field_elements(2, scripted).tolist() == [FIELD - 1, 7]
    assert asked == [8, 4]


def test_shares_of_one_secret_differ_between_two_calls() -> None:
    """The coefficients come from the operating system."""
    secrets = rows([HIGHEST])
    assert share(secrets, 2, [1, 2]).tobytes() != share(secrets, 2, [1, 2]).tobytes()


@pytest.mark.parametrize(
    ("threshold", "points"), [(0, [1]), (3, [1, 2]), (2, [1, 1]), (1, [0]), (1, [-1]), (1, [FIELD]), (1, [FIELD + 1])]
)
def test_points_that_cannot_hold_shares_are_refused(threshold: int, points: list[int]) -> None:
    """Point 0 would hand out the secret itself, and equal points too few shares."""
    with pytest.raises(ValueError, match="point"):
        share(rows([HIGHEST]), threshold, points)
    with pytest.raises(ValueError, match="point"):
        recover(np.zeros((len(points), 1, 36), np.uint8), points, threshold)


def test_arrays_of_other_shapes_are_refused() -> None:
    """A secret cut short would be shared without any error."""
    with pytest.raises(ValueError, match="32 bytes"):
        share(np.zeros((2, 31), np.uint8), 1, [1])
    with pytest.raises(ValueError, match="36 bytes"):
        recover(np.zeros((1, 2, 32), np.uint8), [1], 1)
    with pytest.raises(ValueError, match="36 bytes"):
        recover(np.zeros((2, 2, 36), np.uint8), [1], 1)


def test_a_hundred_hospitals_share_and_recover_in_no_time() -> None:
    """100 secrets among 100 and 990 back from 51: below a fifth of a second each (CPU), with room for slow machines."""
    secrets = np.frombuffer(os.urandom(990 * 32), np.uint8).reshape(-1, 32)
    points = list(range(1, 101))
    began = time.process_time()
    share(secrets[:100], 51, points)
    sharing = time.process_time() - began
    shares = share(secrets, 51, points)
    began = time.process_time()
    recovered = recover(shares, points, 51)
    recovering = time.process_time() - began
    assert np.array_equal(recovered, secrets)
    assert max(sharing, recovering) < 1.0
