"""A study that evaluates a finished model: two settings say it, and nothing of training is left in it."""

import pytest

from wardround.study.declaration import Study, without_later_settings
from wardround.study.evaluation_study import evaluation_study, evaluation_text
from wardround.study.reading import parse_study
from wardround.study.writing import to_toml
from wardround.values.errors import StudyError

from ..federation.evaluations import evaluation
from ..federation.tiny_federation import study

HASH = "a" * 64


def changed(of: Study, setting: str, value: object) -> Study:
    section, *inside = setting.split(".")
    change = {inside[-1]: value}
    for part in reversed(inside[:-1]):
        change = {part: change}
    return of.revised(**{section: change})


def test_it_is_written_and_read_as_the_same_study() -> None:
    """Hospitals approve its hash, and the hub writes it anew."""
    of = evaluation()
    assert of.evaluates_only and of.algorithm.rounds == 0
    assert parse_study(to_toml(of)).hash == parse_study(evaluation_text(of)).hash == of.hash


def test_the_study_of_another_model_or_threshold_is_another_study() -> None:
    """A hospital has agreed to one model."""
    of = evaluation()
    others = [changed(of, "evaluation.model", HASH), changed(of, "evaluation.model_threshold", 0.5), evaluation(8)]
    assert len({of.hash, *(other.hash for other in others)}) == 4


def test_a_study_that_trains_keeps_its_hash() -> None:
    """Hospitals approved it before there were evaluations."""
    hashed = without_later_settings(study().model_dump(mode="json"))
    assert "model" not in hashed["evaluation"] and "model_threshold" not in hashed["evaluation"]


@pytest.mark.parametrize("rounds", [1, 10, 100_000])
def test_it_cannot_ask_for_training(rounds: int) -> None:
    """A study that says it evaluates only and asks for rounds is none: nobody could pre-approve it by mistake."""
    with pytest.raises(StudyError, match=r"nothing is trained: set algorithm\.rounds = 0"):
        changed(evaluation(), "algorithm.rounds", rounds)


def test_no_rounds_without_a_model_is_no_study() -> None:
    """It would ask nothing."""
    with pytest.raises(StudyError, match=r"rounds = 0 trains nothing: set it to 1 or more"):
        changed(study(), "algorithm.rounds", 0)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("evaluation.own_baseline", True, "set it to false"),
        ("personal.candidates", ["own", "federated"], "leave them out"),
        ("training.learning_rate", 0.5, r"training\.learning_rate says how to train"),
        ("training.seed", 8, r"training\.seed says how to train"),
        ("training.augmentation.mixup", 0.5, r"training\.augmentation\.mixup says how to train"),
        ("algorithm.name", "scaffold", r"algorithm\.name says how to train"),
        ("summation.clip", 2.0, r"summation\.clip says how to train"),
        ("summation.word_bits", 16, r"summation\.word_bits says how to train"),
        ("summation.weight_step", 10, r"summation\.weight_step says how to train"),
        ("summation.max_update_norm", 1.0, r"summation\.max_update_norm says how to train"),
        ("evaluation.threshold", "half", "leave one of the two out"),
    ],
)
def test_settings_of_training_are_refused(setting: str, value: object, words: str) -> None:
    """A setting that does nothing without a word is a study that is not what its lead believes."""
    with pytest.raises(StudyError, match=words):
        changed(evaluation(), setting, value)


def test_no_privacy_is_claimed_that_an_evaluation_does_not_have() -> None:
    """Noise is made in training: such a study would promise an epsilon and send exact counts."""
    with pytest.raises(StudyError, match=r'Set privacy\.mode = "none"'):
        evaluation().revised(privacy={"mode": "patient-local", "epsilon": 1.0, "delta": 1e-6, "steps": 2, "public_patients": 30})


def test_a_threshold_of_a_model_needs_a_model() -> None:
    """Nothing would read it."""
    with pytest.raises(StudyError, match="which names no model"):
        changed(study(), "evaluation.model_threshold", 0.5)


def test_all_patients_may_be_tested_only_where_nothing_is_trained() -> None:
    """A hospital that took no part in training has no patient to leave out."""
    assert changed(evaluation(), "data.splits", {"validation": 0.0, "test": 1.0}).data.splits.test == 1.0
    with pytest.raises(StudyError, match="leave some to train on"):
        changed(study(), "data.splits", {"validation": 0.0, "test": 1.0})


@pytest.mark.parametrize("text", ["A" * 64, "a" * 63, "", "model.safetensors"])
def test_a_model_is_named_by_a_hash_alone(text: str) -> None:
    """A path or a name may hold another model tomorrow."""
    with pytest.raises(StudyError, match=r"evaluation\.model"):
        changed(evaluation(), "evaluation.model", text)


def test_the_study_of_a_model_takes_over_what_is_read_and_nothing_of_training() -> None:
    """Records that are prepared otherwise would make the figures meaningless."""
    learned = study("scaffold", rounds=5).revised(sites={"names": ("a", "b", "c")}, evaluation={"flip_average": False})
    of = evaluation_study(learned, HASH, None)
    assert (of.data, of.network) == (learned.data, learned.network)
    assert of.training == type(of.training)() and of.sites.names == () and of.algorithm.name == "fedavg"
    assert of.question.title == f"Evaluation: {learned.question.title}"
