"""A study with other settings is checked like any study: what a file may not say, no program may make of it either."""

import pytest

from wardround.study.declaration import Study
from wardround.study.writing import to_toml
from wardround.values.errors import StudyError

from ..federation.private_studies import private_study
from ..federation.tiny_federation import study


def test_a_revised_study_is_the_file_with_that_setting() -> None:
    """Its hash is what hospitals approve: two ways to one study must give one hash."""
    revised = study().revised(training={"seed": 8, "augmentation": {"mixup": 0.2}}, sites={"minimum": 3})
    assert (revised.training.seed, revised.training.augmentation.mixup, revised.sites.minimum) == (8, 0.2, 3)
    assert revised.revised(training={"seed": 7, "augmentation": {"mixup": 0.0}}, sites={"minimum": 2}).hash == study().hash


@pytest.mark.parametrize("of", [study(), study("scaffold"), private_study()], ids=["averaged", "scaffold", "private"])
def test_a_study_revised_by_nothing_is_itself(of: Study) -> None:
    """Every default is written out on the way: a check of what was set must not mistake one for a choice."""
    assert of.revised() == of
    assert to_toml(of.revised()) == to_toml(of)


@pytest.mark.parametrize(
    ("of", "changes", "reason"),
    [
        (private_study(), {"evaluation": {"own_baseline": True}}, "own_baseline shows a model that was trained without privacy"),
        (study(), {"algorithm": {"rounds": 0}}, "algorithm.rounds"),
        (study(), {"algorithm": {"roundz": 2}}, "algorithm.roundz"),
        (study(), {"algorithm": {"name": "scaffold"}, "training": {"optimizer": "adamw"}}, "scaffold"),
        (private_study(), {"privacy": {"delta": None}}, "a private study says its delta"),
    ],
    ids=["private", "range", "unknown", "together", "none"],
)
def test_a_revised_study_that_no_file_may_hold_is_refused(of: Study, changes: dict[str, dict[str, object]], reason: str) -> None:
    """Otherwise it runs, every hospital answers "not-in-study", and nobody is told why."""
    with pytest.raises(StudyError, match=reason):
        of.revised(**changes)


def test_names_of_hospitals_are_replaced_and_not_added_to() -> None:
    """A hospital that left would stay in the public numbers, and the noise would be worked out for it."""
    revised = private_study().revised(privacy={"public_patients": {"east": 20}})
    assert revised.privacy.public_patients == {"east": 20}


def test_a_number_that_no_file_can_hold_is_refused() -> None:
    """Infinity would pass every range that has no upper end."""
    with pytest.raises(StudyError, match="NaN or infinity"):
        study().revised(training={"learning_rate": float("inf")})


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"algorithm": {"rounds": 0}}, "change that setting"),
        ({"summation": {"mode": "masked"}, "sites": {"names": ["east", "north"], "minimum": 2}}, ""),
    ],
)
def test_a_reason_that_says_what_to_do_is_given_no_other_mend(changes: dict[str, dict[str, object]], hint: str) -> None:
    """Two mends for one fault send a person to the wrong setting."""
    with pytest.raises(StudyError) as error:
        study().revised(**changes)
    assert error.value.hint == hint and str(error.value).count("What to do: ") == 1
