"""The stream of a key is AES-256-CTR as the specification says, and masks made of it cancel exactly."""

import hashlib
import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from wardround.crypto.key_derivation import kdf, mask_key, purpose
from wardround.crypto.keystream import BLOCK, CHUNK, Keystream, Mask, Masking, apply_masks, in_ranges

WORDS = [np.uint16, np.uint32, np.uint64]
keys = st.binary(min_size=32, max_size=32)
KEY = bytes(range(32))


def aes_counter(key: bytes, length: int, chunk: int = 0) -> bytes:
    """A chunk's stream worked out one block at a time: the cipher applied to (chunk, 2), (chunk, 3), ..."""
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # the definition of counter mode
    start = chunk.to_bytes(12, "big")
    blocks = (start + number.to_bytes(4, "big") for number in range(2, 2 - (-length // 16)))
    return b"".join(map(cipher.update, blocks))[:length]


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 for one block of output."""
    extracted = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


@given(key=keys, salt=st.binary(max_size=40), parts=st.lists(st.binary(max_size=9), max_size=3))
def test_keys_are_derived_as_the_specification_says(key: bytes, salt: bytes, parts: list[bytes]) -> None:
    """Both ends of a pair must come to the same mask, whoever wrote their software."""
    info = b"wardround masked-sum 1 pair\0" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert kdf(key, salt, "pair", *parts) == hkdf(key, salt, info)


def test_the_parts_of_a_purpose_do_not_run_into_each_other() -> None:
    """Sites "ab" and "c" are not "a" and "bc"."""
    assert len({purpose("x", b"ab", b"c"), purpose("x", b"a", b"bc"), purpose("x", b"abc"), purpose("xa", b"bc")}) == 4
    assert mask_key(KEY, "model/words") == kdf(KEY, b"", "mask", b"model/words") != mask_key(KEY, "counts/words")


@pytest.mark.parametrize("word", WORDS)
def test_the_stream_is_aes_in_counter_mode_read_as_little_endian_words(word: type) -> None:
    """Masked words of one machine are unmasked on another: the bytes are fixed, not the processor's."""
    words = np.empty(1000, word)
    Keystream(KEY).fill(words)
    expected = np.frombuffer(aes_counter(KEY, words.nbytes), np.dtype(word).newbyteorder("<"))
    assert words.tolist() == expected.tolist()


@given(pieces=st.lists(st.integers(0, 50), max_size=8), chunk=st.integers(0, 2**32))
def test_pieces_of_any_size_give_the_same_stream(pieces: list[int], chunk: int) -> None:
    """Blocks are a matter of speed alone, also where a piece is no whole number of the cipher's blocks."""
    streams = [np.empty(size, np.uint16) for size in pieces]
    stream = Keystream(KEY, chunk * CHUNK)
    for piece in streams:
        stream.fill(piece)
    assert b"".join(piece.tobytes() for piece in streams) == aes_counter(KEY, 2 * sum(pieces), chunk)


def test_a_stream_goes_on_into_the_next_chunk() -> None:
    """The seam is where a large model's masks would stop cancelling."""
    words = np.empty(CHUNK // 2 + 5, np.uint16)
    Keystream(KEY).fill(words)
    assert words[-5:].tobytes() == aes_counter(KEY, 10, chunk=1)
    assert words[CHUNK // 2 - 1 : CHUNK // 2].tobytes() == aes_counter(KEY, CHUNK)[-2:]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("size", [0, 1, BLOCK, 2 * BLOCK + 3])
def test_what_is_added_can_be_taken_away(word: type, size: int) -> None:
    """The whole of the masked sum rests on this; words wrap, so it holds for every value."""
    before = np.random.Generator(np.random.Philox(1)).integers(0, np.iinfo(word).max, size, word, endpoint=True)
    words = before.copy()
    Keystream(KEY).add_to(words)
    assert size == 0 or not np.array_equal(words, before)
    Keystream(KEY).subtract_from(words)
    assert np.array_equal(words, before)


@pytest.mark.parametrize("word", WORDS)
def test_masks_are_the_same_for_any_number_of_threads_and_pieces(word: type) -> None:
    """The coordinator unmasks with other threads than the site masked with."""
    masks = [Mask(KEY), Mask(bytes(32), -1), Mask(b"k" * 32)]
    expected = np.zeros(CHUNK // 2 + 11, word)
    for mask in masks:
        stream = np.empty(expected.size, word)
        Keystream(mask.key).fill(stream)
        expected = expected + stream if mask.sign == 1 else expected - stream
    for threads in (1, 2, 5):
        words = np.zeros(expected.size, word)
        apply_masks(words, masks, threads=threads)
        assert np.array_equal(words, expected)
    masking, piecewise = Masking(masks, word), np.zeros(expected.size, word)
    for start in range(0, expected.size, 77_777):
        masking.apply(piecewise[start : start + 77_777])
    assert np.array_equal(piecewise, expected)
    apply_masks(words, [mask.inverse for mask in masks])
    assert not words.any()


def test_no_masks_change_nothing() -> None:
    """A cohort's last site has no pair masks to subtract."""
    words = np.arange(5, dtype=np.uint16)
    apply_masks(words, [])
    assert words.tolist() == [0, 1, 2, 3, 4]


@given(blocks=st.integers(0, 9), odd=st.integers(0, 5), threads=st.integers(1, 4))
def test_ranges_cover_everything_once_and_start_at_chunks(blocks: int, odd: int, threads: int) -> None:
    """A word masked twice or not at all is a wrong sum."""
    size = blocks * BLOCK + odd
    bounds = in_ranges(size, threads, lambda start, stop: (start, stop))
    assert len(bounds) <= threads
    assert all(start * 2 % CHUNK == 0 for start, _ in bounds)
    assert [start for start, _ in bounds] + [size] == [0] * bool(bounds) + [stop for _, stop in bounds] or not bounds
    assert bool(bounds) == bool(size)


@pytest.mark.parametrize("bad", [b"", bytes(16), bytes(33)])
def test_a_key_of_another_length_is_refused(bad: bytes) -> None:
    """AES takes 16 bytes too; half the strength must not come about by a slip."""
    with pytest.raises(ValueError, match="32 bytes"):
        Keystream(bad)


@pytest.mark.parametrize("bad", [-16, 1, 15])
def test_a_stream_that_starts_within_a_block_is_refused(bad: int) -> None:
    """The counter counts blocks of 16 bytes."""
    with pytest.raises(ValueError, match="multiple"):
        Keystream(KEY, bad)
