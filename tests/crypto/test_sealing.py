"""Bodies that one party alone can read: keys in files, keys for one context, pieces that cannot be moved."""

import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.crypto.sealing import (
    PIECE,
    SEALED_KEY_BYTES,
    TAG,
    SealingKey,
    decrypted,
    encrypted,
    is_sealing_key,
    new_body_key,
    sealed_key,
    sealed_size,
)
from wardround.values.errors import RunError, WireError

SIZES = st.sampled_from([0, 1, 100, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 17])


@given(SIZES)
@settings(max_examples=20, deadline=None)
def test_what_was_encrypted_is_decrypted_in_pieces(size: int) -> None:
    """Neither side needs more memory than a piece."""
    key, body = new_body_key(), os.urandom(size)
    pieces = list(encrypted(key, body))
    assert sum(map(len, pieces)) == sealed_size(size)
    assert max(map(len, pieces)) <= PIECE + TAG
    assert b"".join(decrypted(key, io.BytesIO(b"".join(pieces)), sealed_size(size))) == body


@given(SIZES, st.data())
@settings(max_examples=40, deadline=None)
def test_no_bit_of_a_ciphertext_can_be_changed(size: int, data: st.DataObject) -> None:
    """Whatever the place: text, tag, first or last piece."""
    key = new_body_key()
    changed = bytearray(b"".join(encrypted(key, bytes(size))))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(WireError):
        list(decrypted(key, io.BytesIO(changed), len(changed)))


def test_pieces_cannot_be_swapped_doubled_left_out_or_cut_off() -> None:
    """Each has its number, and the last is marked: a body that ends early is no body."""
    key = new_body_key()
    one, two, three = encrypted(key, bytes(3 * PIECE))
    other = next(encrypted(new_body_key(), bytes(3 * PIECE)))
    for wrong in ([two, one, three], [one, one, two, three], [one, three], [one, two], [one], [other, two, three], [three]):
        data = b"".join(wrong)
        with pytest.raises(WireError):
            list(decrypted(key, io.BytesIO(data), len(data)))


@pytest.mark.parametrize("size", [0, 1, TAG - 1, PIECE + TAG + 1, PIECE + 2 * TAG, 2 * (PIECE + TAG) + TAG])
def test_sizes_that_no_body_has_are_refused(size: int) -> None:
    """A body of whole pieces has no empty piece after them: two ciphertexts of one body would be two hashes."""
    with pytest.raises(WireError):
        list(decrypted(new_body_key(), io.BytesIO(bytes(size)), size))


def test_a_key_opens_for_its_receiver_in_its_context_only() -> None:
    """The context is who says what to whom: a key that is moved into another message is useless."""
    receiver, key = SealingKey.new(), new_body_key()
    sealed = sealed_key(key, receiver.public, b"context")
    assert len(sealed) == SEALED_KEY_BYTES
    assert receiver.open_key(sealed, b"context") == key
    assert sealed_key(key, receiver.public, b"context") != sealed  # a fresh encapsulation each time
    wrong = [(SealingKey.new(), sealed, b"context"), (receiver, sealed, b"other"), (receiver, sealed[:-1], b"context")]
    for position in range(SEALED_KEY_BYTES):
        changed = bytearray(sealed)
        changed[position] ^= 1
        wrong.append((receiver, bytes(changed), b"context"))
    for who, data, context in wrong:
        with pytest.raises(WireError):
            who.open_key(data, context)


def test_a_key_of_another_length_is_refused() -> None:
    """Whoever seals chooses the key; AES would take one of 16 bytes."""
    receiver = SealingKey.new()
    for size in (0, 16, 31, 33):
        with pytest.raises(WireError):
            receiver.open_key(sealed_key(bytes(size), receiver.public, b""), b"")


@pytest.mark.parametrize("public", ["", "00" * 31, "00" * 33, "zz" * 32])
def test_a_public_key_that_is_none_is_refused(public: str) -> None:
    """Nothing is sealed to nobody."""
    with pytest.raises(ValueError):
        sealed_key(new_body_key(), public, b"")


def test_a_public_key_of_small_order_is_refused() -> None:
    """Against it every shared secret is the same, and anybody could open what was sealed."""
    with pytest.raises(ValueError):
        sealed_key(new_body_key(), "00" * 32, b"")


def test_a_partys_key_stays_the_same_and_is_its_own(tmp_path: Path) -> None:
    """Made on first use, for this user alone; a damaged file is said and not replaced."""
    path = tmp_path / "keys" / "sealing.key"
    key = SealingKey.at(path)
    assert SealingKey.at(path).public == key.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("no key")
    with pytest.raises(RunError, match="damaged"):
        SealingKey.at(path)


def test_a_key_that_nothing_can_be_sealed_to_is_none() -> None:
    """A hospital with such a key would end every study that names it, with an error of the hub."""
    small = [
        "0" * 64,
        "01" + "0" * 62,
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "ec" + "f" * 60 + "7f",
    ]
    for key in [*small, "f" * 64, "0" * 62, "z" * 64]:
        assert not is_sealing_key(key)
    assert is_sealing_key(SealingKey.new().public)
