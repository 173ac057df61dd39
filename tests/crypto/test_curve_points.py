"""Public keys: what a signature library lets pass and a study must not (RFC 8032, RFC 7748)."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.crypto.curve_points import (
    NEUTRAL,
    P,
    Point,
    decoded,
    encoded,
    is_canonical_coordinate,
    is_neutral,
    is_signing_key,
    times,
)
from wardround.crypto.identity import Identity, signed_by
from wardround.plan.sum_plan import Quantity, SumPlan
from wardround.study.sections.sites import SitesSection
from wardround.summation.masked.keys import holds_a_secret
from wardround.values.errors import StudyError

pytestmark = pytest.mark.permission

# The eight points of small order, as every list of them has them; then the other spellings of some.
SMALL = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
OTHER_SPELLINGS = [
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
NO_KEYS = ["", "0", "zz" * 32, "01" * 31, "01" * 33, "5866" * 15 + "66AA", " " + "01" * 32]
SMALL_COORDINATES = [
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]
seeds = st.binary(min_size=32, max_size=32)


def public_of(seed: bytes) -> str:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def point_of(key: str) -> Point:
    point = decoded(key)
    assert point is not None
    return point


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_every_key_that_is_made_is_a_key(seed: bytes) -> None:
    """A check that refused an honest hospital would stop a study; the library's own keys are the reference."""
    public = public_of(seed)
    assert is_signing_key(public)
    assert encoded(point_of(public)) == public


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_the_arithmetic_is_that_of_the_signature_library(seed: bytes) -> None:
    """The public key is the secret scalar times the base point (RFC 8032, 5.1.5)."""
    digest = bytearray(hashlib.sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    base = point_of("58" + "66" * 31)
    assert encoded(times(int.from_bytes(digest, "little"), base)) == public_of(seed)


@pytest.mark.parametrize("key", SMALL)
def test_the_points_of_small_order_are_points_and_no_keys(key: str) -> None:
    """Eight times each is nothing: a signature under it needs no secret."""
    assert is_neutral(times(8, point_of(key)))
    assert not is_signing_key(key)


def test_the_library_takes_a_signature_that_nobody_made() -> None:
    """Why the check is ours: under the neutral point, the signature of R = neutral, S = 0 fits every message."""
    nobody = bytes.fromhex(SMALL[0] + "00" * 32)
    for message in (b"this hospital agrees", b"and to this"):
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(SMALL[0])).verify(nobody, message)  # raises nothing
        assert not signed_by(SMALL[0], nobody.hex(), message)


@pytest.mark.parametrize("key", [*OTHER_SPELLINGS, *NO_KEYS])
def test_other_spellings_and_what_are_no_32_bytes_are_no_keys(key: str) -> None:
    """Two spellings of one key would be two hospitals."""
    assert decoded(key) is None and not is_signing_key(key)


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_point_in_one_spelling_or_none(data: bytes) -> None:
    """About half of all numbers are no coordinate of a point: nobody can sign under those, so a hospital would be missing."""
    point = decoded(data.hex())
    if point is None:
        assert not is_signing_key(data.hex())
    else:
        x, y, _, _ = point
        assert (-x * x + y * y - 1 - (-121665 * pow(121666, -1, P)) * x * x * y * y) % P == 0
        assert encoded(point) == data.hex()


def test_half_of_all_numbers_are_no_point() -> None:
    """The reading refuses as many as the curve has none for, and not all."""
    points = sum(decoded(number.to_bytes(32, "little").hex()) is not None for number in range(2, 402))
    assert 150 < points < 250
    assert is_neutral(NEUTRAL) and not is_neutral(point_of("58" + "66" * 31))


@pytest.mark.parametrize("key", [*SMALL, *OTHER_SPELLINGS, "02" + "00" * 31])
def test_a_study_and_a_plan_with_such_a_key_are_refused(key: str) -> None:
    """When it is read, not in round 40; the hospital's name stands in the message."""
    keys = {"north": Identity.new().public, "south": key, "west": Identity.new().public}
    with pytest.raises(ValueError, match=r"keys\.south\n.*no identity key"):
        SitesSection(names=tuple(keys), keys=keys)
    with pytest.raises(StudyError, match="key of south is no identity key"):
        SumPlan("ages", keys, {"age": Quantity((1,))})


def test_a_plan_in_which_two_sites_have_one_key_is_refused() -> None:
    """A study refuses it: whoever holds the key would be counted twice."""
    one = Identity.new().public
    with pytest.raises(StudyError, match="same identity key"):
        SumPlan("ages", {"a": one, "b": one, "c": Identity.new().public}, {"age": Quantity((1,))})


@pytest.mark.parametrize("number", [*SMALL_COORDINATES, P, P + 1, 2**255 - 1, *(2**255 + number for number in SMALL_COORDINATES)])
def test_a_key_agreement_takes_no_degenerate_key(number: int) -> None:
    """Everybody would have the secret of every pair with that site."""
    assert not holds_a_secret(number.to_bytes(32, "little").hex())


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_a_key_agreement_takes_every_honest_key_in_one_spelling(seed: bytes) -> None:
    """The bit that RFC 7748 has readers ignore would give each key a second spelling."""
    key = X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert holds_a_secret(key.hex()) and is_canonical_coordinate(key.hex())
    assert not holds_a_secret(key[:31].hex() + f"{key[31] | 0x80:02x}")
    assert not holds_a_secret(key.hex()[:-2]) and not is_canonical_coordinate("zz" * 32)
