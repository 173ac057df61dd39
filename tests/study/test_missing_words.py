"""Words that name nobody."""

import pytest

from wardround.study.missing_words import MISSING_WORDS, names_nobody


@pytest.mark.parametrize("word", sorted(MISSING_WORDS))
def test_a_word_of_the_list_names_nobody_in_any_case_and_with_spaces_around_it(word: str) -> None:
    """A word that is listed in a spelling which the comparison never sees would be dead."""
    assert names_nobody(word) and names_nobody(word.upper()) and names_nobody(f"  {word}\u00a0")


@pytest.mark.parametrize("word", ["", " ", "\u00a0", "-", "--", "\u2013", ".", "...", "?", "???", "xxx", "XXXX", "\uff2e\uff21"])
def test_marks_and_full_width_letters_name_nobody(word: str) -> None:
    """A dash in a cell is what a person types where nothing is known."""
    assert names_nobody(word)


@pytest.mark.parametrize("word", ["0", "0000", "999", "P001", "x", "xx1", "Anonymous-7", "ANON0001", "Nil-4", "17/4", "Müller"])
def test_a_pseudonym_or_a_number_names_somebody(word: str) -> None:
    """A patient taken for nobody would be cut out of their own records' split."""
    assert not names_nobody(word)
