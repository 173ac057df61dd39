"""Eight words that two persons compare."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.crypto.words import COUNT, WORDS, eight_words, same_words

KEYS: dict[str, Any] = {
    "hub": {"name": "hub", "identity": "0" * 64, "sealing": "1" * 64},
    "site": {"name": "st-anna", "identity": "2" * 64, "sealing": "3" * 64},
    "login": "02" + "4" * 96,
}
TEXT = eight_words(KEYS)
PLACES = [("hub", "identity"), ("hub", "sealing"), ("site", "name"), ("site", "identity"), ("site", "sealing"), ("login",)]


def distance(first: str, second: str) -> int:
    """How many signs have to be changed, put in or left out."""
    row = list(range(len(second) + 1))
    for i, sign in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (sign != other))
    return row[-1]


def test_there_are_256_words_that_are_not_mistaken_for_one_another() -> None:
    """They are read aloud over a bad line, by persons whose mother tongue is another."""
    assert len(WORDS) == len(set(WORDS)) == 256
    assert len({word[:3] for word in WORDS}) == 256
    assert all(word.isascii() and word.isalpha() and word.islower() and 4 <= len(word) <= 8 for word in WORDS)
    assert min(distance(one, other) for one in WORDS for other in WORDS if one != other) >= 3


def test_the_words_of_a_release_stay() -> None:
    """Both sides may run different releases: a list in another order would let nobody join."""
    assert TEXT == "tractor denim violin volcano avenue feather galaxy bronze"
    assert len(TEXT.split()) == COUNT


@pytest.mark.slow
@given(key=st.sampled_from(PLACES), position=st.integers(0, 97), sign=st.sampled_from("0123456789abcdef"))
def test_a_change_of_any_key_changes_the_words(key: tuple[str, ...], position: int, sign: str) -> None:
    """That two persons hear the same words means that both hold the same keys."""
    changed: dict[str, Any] = {name: dict(value) if isinstance(value, dict) else value for name, value in KEYS.items()}
    owner = changed if len(key) == 1 else changed[key[0]]
    text = owner[key[-1]]
    position %= len(text)
    owner[key[-1]] = text[:position] + sign + text[position + 1 :]
    assert (eight_words(changed) == TEXT) == (changed == KEYS)


def test_words_are_the_same_however_they_are_written() -> None:
    """A person types what he hears."""
    assert same_words("acorn Agent", " ACORN\n agent ")
    assert not same_words("acorn agent", "agent acorn")
    assert not same_words("acorn", "acorn agent")
