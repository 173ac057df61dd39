"""The [network] and [training] sections refuse what could not work, when the study is read."""

import json

import pytest
from pydantic import ValidationError

from wardround.study.sections.network import NetworkSection
from wardround.study.sections.training import AugmentationSection, TrainingSection


def test_sections_are_read_from_json_with_lists_as_tuples() -> None:
    """Studies come from TOML through JSON."""
    network = NetworkSection.model_validate_json(json.dumps({"name": "small_cnn", "blocks": [1, 2]}))
    training = TrainingSection.model_validate_json(json.dumps({"local_epochs": 2, "augmentation": {"rotate": 5}}))
    assert network.blocks == (1, 2) and training.augmentation.rotate == 5.0


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"name": "small_cmm"}, "small_cnn"),
        ({"name": "mlp", "width": 16}, "no setting width"),
        ({"name": "small_cnn", "hidden": [4]}, "no setting hidden"),
        ({"name": "small_cnn", "width": 20}, "multiple of 8"),
        ({"name": "small_cnn", "blocks": [0]}, "1 to 8"),
        ({"name": "mlp", "hidden": [0]}, "1 to 4096"),
        ({"name": "resnet", "pretrained": True}, "belong to efficientnet_lite0"),
        ({"name": "efficientnet_lite0", "pretrained": True, "fine_tune": "from_block"}, "give both or neither"),
        ({"name": "efficientnet_lite0", "from_block": 3}, "give both or neither"),
        ({"name": "efficientnet_lite0", "fine_tune": "head"}, "pretrained = true"),
        ({"name": "plain_cnn", "blocks": [1]}, "no setting blocks"),
        ({"name": "small_cnn", "pool": "mean"}, "only efficientnet_lite0 has it"),
    ],
)
def test_a_network_that_cannot_be_is_refused(setting: dict[str, object], said: str) -> None:
    """A setting that is silently ignored is a wrong study."""
    with pytest.raises(ValidationError, match=said):
        NetworkSection.model_validate_json(json.dumps(setting))


@pytest.mark.parametrize(
    "setting",
    [
        {"momentum": 0.9},
        {"local_epochs": 0},
        {"learning_rate": 0},
        {"label_smoothing": 0.5},
        {"batch_size": 0},
        {"augmentation": {"scale": 0.9}},
        {"augmentation": {"turn": 3}},
        {"optimiser": "sgd"},
    ],
)
def test_training_that_cannot_be_is_refused(setting: dict[str, object]) -> None:
    """Before round 1, not in round 40."""
    with pytest.raises(ValidationError):
        TrainingSection.model_validate_json(json.dumps(setting))


@pytest.mark.parametrize("section", [NetworkSection, TrainingSection, AugmentationSection])
def test_every_setting_is_described(section: type[NetworkSection | TrainingSection | AugmentationSection]) -> None:
    """The study reference is generated from these descriptions."""
    assert all(field.description and len(field.description) > 20 for field in section.model_fields.values())
