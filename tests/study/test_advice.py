"""A check also says what a sound study may say other than its lead means."""

import pytest

from wardround.study.advice import advice
from wardround.study.reading import parse_study
from wardround.study.starter import starter

WEIGHED = "class_balance = false", "class_balance = true"


@pytest.mark.parametrize(("balance", "said"), [("false", False), ("true", True), (None, True)])
def test_a_table_whose_answers_are_no_probabilities_is_told(balance: str | None, said: bool) -> None:
    """What a study does not say is weighed; a weighed model calls a rare finding as often as a frequent one."""
    line = "" if balance is None else f"class_balance = {balance}"
    text = starter("table")
    assert WEIGHED[0] in text
    sentences = " ".join(advice(parse_study(text.replace(WEIGHED[0], line))))
    assert ("class_balance = false under [training]" in sentences) == said


def test_the_mend_works_when_followed() -> None:
    study = parse_study(starter("table").replace(*WEIGHED))
    assert list(advice(study)) and not list(advice(study.revised(training={"class_balance": False})))


def test_images_are_not_told() -> None:
    """Most image studies balance on purpose: a film's finding is as frequent as a collection made it."""
    assert not list(advice(parse_study(starter("image"))))


def test_a_yes_or_no_of_molecules_is_told_as_a_table_is() -> None:
    """Hits in an assay are rare, so that a weighed model's answers are far from how often a compound hits."""
    study = '[question]\ntitle = "Assay"\n[data]\nkind = "molecule"\n[network]\nname = "logistic"\n'
    assert list(advice(parse_study(study)))
    assert not list(advice(parse_study(f"{study}[training]\nclass_balance = false\n")))
