"""Defaults that depend on what the data are: molecules train by SGD with momentum."""

import pytest

from wardround.study.kind_defaults import MOLECULE_TRAINING
from wardround.study.reading import parse_study
from wardround.study.starter import starter
from wardround.study.writing import to_toml
from wardround.values.errors import StudyError

MOLECULES = """
format = 1
[question]
title = "Solubility"
[data]
kind = "molecule"
[network]
name = "mlp"
"""


def trained_by(more: str = "", text: str = MOLECULES) -> dict[str, object]:
    training = parse_study(f"{text}{more}").training
    return {name: getattr(training, name) for name in MOLECULE_TRAINING}


def test_molecules_train_by_sgd_with_momentum_unless_the_study_says_otherwise() -> None:
    """AdamW on fingerprints costs much of the area under the curve: nobody should get it without asking."""
    assert trained_by() == {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.1}
    assert trained_by("[training]\nlearning_rate = 0.03") == {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.03}
    assert trained_by('[training]\noptimizer = "sgd"\nmomentum = 0.0')["momentum"] == 0.0
    assert trained_by('[training]\noptimizer = "adamw"') == {"optimizer": "adamw", "momentum": 0.0, "learning_rate": 0.001}


def test_other_data_train_as_before() -> None:
    """No study that was agreed on may change."""
    assert trained_by(text=MOLECULES.replace('"molecule"', '"image"'))["optimizer"] == "adamw"


def test_a_study_of_molecules_is_the_same_read_from_its_own_words() -> None:
    """The coordinator sends it, and every hospital compares the hash."""
    study = parse_study(MOLECULES)
    assert parse_study(to_toml(study)).hash == study.hash
    assert type(study).model_validate_json(study.model_dump_json()).hash == study.hash


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ('[algorithm]\nname = "fedsgd"', {"optimizer": "adamw", "momentum": 0.0}),
        ('[algorithm]\nname = "scaffold"', {"optimizer": "sgd", "momentum": 0}),
        ('[algorithm]\nname = "fedprox"\nproximal_mu = 0.1', {"optimizer": "sgd", "momentum": 0.9}),
    ],
)
def test_an_algorithm_gets_no_setting_that_it_does_not_read(more: str, found: dict[str, object]) -> None:
    """Else every study of molecules would have to take back what it never said."""
    assert {name: trained_by(more)[name] for name in found} == found


def test_a_finished_model_of_molecules_is_evaluated_without_training() -> None:
    """A study that trains nothing may not say how to train."""
    more = f'[algorithm]\nrounds = 0\n[evaluation]\nmodel = "{"0" * 64}"\nown_baseline = false'
    assert trained_by(more)["optimizer"] == "adamw"


def test_an_unknown_algorithm_is_told_as_such() -> None:
    """What fills in defaults reads the file before it is checked."""
    with pytest.raises(StudyError, match="algorithm"):
        parse_study(f'{MOLECULES}[algorithm]\nname = "fedmagic"')
    with pytest.raises(StudyError):
        parse_study(MOLECULES.replace("[data]", "[[data]]"))


def test_the_starter_of_molecules_says_what_it_trains_by() -> None:
    """A newcomer changes what he sees."""
    study = parse_study(starter("molecule"))
    assert study.training.optimizer == "sgd" and study.data.kind == "molecule"
    for network in ("small_cnn", "resnet"):
        with pytest.raises(StudyError, match="molecules"):
            parse_study(starter("molecule").replace('"mlp"', f'"{network}"', 1).replace("hidden", "#"))
