"""The [personal] section: what it takes, what it refuses, and which studies it leaves as they were."""

from typing import Any

import pytest

from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.writing import to_toml
from wardround.values.errors import StudyError

from ..federation.private_studies import private_study
from ..federation.tiny_federation import study


def with_personal(**settings: Any) -> Study:
    return study().revised(personal=settings)


def test_a_study_without_personal_models_keeps_its_hash() -> None:
    """Hospitals have approved it by that hash, before there were any."""
    plain = study()
    assert plain.hash == with_personal(candidates=[]).hash != with_personal(candidates=["own"]).hash
    assert '"personal"' not in plain.hash and parse_study(to_toml(plain)).hash == plain.hash


def test_every_setting_of_it_is_in_the_hash() -> None:
    """What decides which model a hospital keeps is part of what it agreed to."""
    base = {"candidates": ["own", "fine_tuned", "proximal"]}
    changes: list[dict[str, Any]] = [{}, {"passes": 3}, {"rate": 0.5}, {"proximal_mu": 2.0}, {"candidates": ["own", "proximal"]}]
    assert len({with_personal(**base | change).hash for change in changes}) == len(changes)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"candidates": ["federated"]}, 'lacks "own"'),
        ({"candidates": ["own", "own"]}, "names one twice"),
        ({"candidates": ["own", "knn"]}, "a candidate is one of own, federated, fine_tuned"),
        ({"passes": 3}, 'passes does nothing .* "fine_tuned" or "private_head" or "proximal" in personal.candidates'),
        ({"candidates": ["own", "mixed"], "rate": 0.3}, "rate does nothing"),
        ({"candidates": ["own", "fine_tuned"], "proximal_mu": 2.0}, 'proximal_mu does nothing .*"proximal" in'),
        ({"candidates": ["own", "fine_tuned"], "passes": 0}, "passes"),
    ],
)
def test_what_is_no_choice_is_refused_with_the_mend(settings: dict[str, Any], sentence: str) -> None:
    """A setting that nothing reads, or a choice without the own model, would be another study than its lead believes."""
    with pytest.raises(StudyError, match=sentence):
        with_personal(**settings)


def test_settings_of_local_steps_are_read_by_personal_models_alone() -> None:
    """Where the coordinator takes the steps nothing else reads them; under privacy of patients too."""
    settings = {"learning_rate": 0.3, "batch_size": 8}
    with pytest.raises(StudyError, match=r"training\.learning_rate does nothing"):
        study("fedsgd").revised(training={"learning_rate": 0.3})
    assert study("fedsgd").revised(training=settings, personal={"candidates": ["own"]}).training.learning_rate == 0.3
    private = private_study("patient-distributed", "fedsgd")
    with pytest.raises(StudyError, match=r"training\.batch_size"):
        private.revised(training=settings)
    assert private.revised(training=settings, personal={"candidates": ["own", "federated"]}).training.batch_size == 8
