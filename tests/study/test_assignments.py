"""What --set says becomes the changes of a study, or a sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.study.assignments import assigned
from wardround.values.errors import StudyError

from ..federation.tiny_federation import study

NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
VALUES = st.one_of(
    st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False), st.text("abcåé -", max_size=9)
)


@given(section=NAMES, name=NAMES, value=VALUES)
def test_a_value_written_as_toml_comes_back(section: str, name: str, value: object) -> None:
    """JSON of these values is TOML too: none may turn into text on the way."""
    assert assigned([f"{section}.{name}={json.dumps(value, ensure_ascii=False)}"]) == {section: {name: value}}


@given(st.text(max_size=40))
def test_any_words_give_settings_or_one_sentence(text: str) -> None:
    """They come from a shell, where quotes go missing."""
    try:
        assert assigned([text])
    except StudyError as error:
        assert "--set" in str(error)


@pytest.mark.parametrize(
    "text", ["local_epochs=2", "training.local_epochs", "=2", "training.=2", "training..x=1", "training.a-b=1", ""]
)
def test_what_names_no_setting_is_refused(text: str) -> None:
    with pytest.raises(StudyError, match=r"SECTION\.SETTING=VALUE"):
        assigned([text])


@pytest.mark.parametrize("texts", [["a.b=1", "a.b=2"], ["a.b=1", "a.b.c=2"], ["a.b.c=1", "a.b=2"]])
def test_one_setting_given_twice_is_refused(texts: list[str]) -> None:
    """The last would win unseen."""
    with pytest.raises(StudyError, match="twice"):
        assigned(texts)


def test_a_value_cannot_carry_a_second_setting() -> None:
    """A line break inside a value would begin another line of TOML."""
    assert assigned(["a.b=1\nc = 2"]) == {"a": {"b": "1\nc = 2"}}


def test_settings_that_belong_together_are_checked_together() -> None:
    """fedprox without its pull, or the pull without fedprox, is not sound; both are."""
    changed = study().revised(**assigned(["algorithm.name=fedprox", "algorithm.proximal_mu=0.5"]))
    assert (changed.algorithm.name, changed.algorithm.proximal_mu) == ("fedprox", 0.5)


def test_a_misspelled_setting_is_told_the_right_one() -> None:
    with pytest.raises(StudyError, match="did you mean local_epochs"):
        study().revised(**assigned(["training.local_epoch=2"]))
