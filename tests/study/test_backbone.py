"""The [network.backbone] section: what it gives, and which studies it does not go with."""

import pytest

from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.sections.backbone import BackboneSection
from wardround.study.writing import to_toml
from wardround.values.errors import StudyError

GOOD = """\
format = 1
[question]
title = "Features"
[data]
kind = "image"
[data.image]
size = [64, 64]
[network]
name = "logistic"
[network.backbone]
[training.augmentation]
mixup = 0.2
"""


def changed(old: str, new: str) -> Study:
    assert GOOD.count(old) == 1
    return parse_study(GOOD.replace(old, new))


def test_a_study_with_a_backbone_is_read_and_written_back_whole() -> None:
    """The hash that hospitals approve covers every stage and the scaling."""
    study = parse_study(GOOD)
    assert study.network.backbone == BackboneSection()
    again = parse_study(to_toml(study))
    assert again == study and again.hash == study.hash
    assert changed("[network.backbone]", '[network.backbone]\nscaling = "unit"').hash != study.hash


def test_the_features_are_the_channels_of_the_named_stages() -> None:
    """Coordinator and hospitals size the model from this number, before anybody has loaded the backbone."""
    assert BackboneSection().features == 2 * (40 + 80 + 112 + 192 + 320) == 1488
    section = BackboneSection(average=(3, 5, 8), maximum=(3, 5))
    assert section.parts == (40, 112, 1280, 40, 112) and section.features == 1584


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"logistic"', '"small_cnn"', 'choose name = "logistic" or "mlp"'),
        ('"logistic"', '"logistic"\nscaling = "local"', "backbone.scaling"),
        ('"logistic"', '"logistic"\npretrained = true', "pretrained and fine_tune belong to efficientnet_lite0"),
        ("mixup = 0.2", "flip = 0.5", "training.augmentation.flip changes images"),
        ("mixup = 0.2", "cutout = 0.3", "training.augmentation.cutout changes images"),
        ("[64, 64]", "[64, 31]", "at least 32 pixels"),
        ("[network.backbone]", '[network.backbone]\nname = "resnet"', "network.backbone.name"),
        ("[network.backbone]", "[network.backbone]\naverage = [9]", "network.backbone.average"),
        ("[network.backbone]", "[network.backbone]\naverage = [5, 4]", "in rising order"),
        ("[network.backbone]", "[network.backbone]\nmaximum = [4, 4]", "each stage once"),
        ("[network.backbone]", "[network.backbone]\naverage = []\nmaximum = []", "at least one stage"),
        (
            'kind = "image"\n[data.image]\nsize = [64, 64]',
            'kind = "table"\n[[data.columns]]\nname = "a"\nrange = [0, 1]',
            "network.backbone reads images",
        ),
    ],
)
def test_what_makes_no_sense_with_a_backbone_is_refused(old: str, new: str, says: str) -> None:
    """A setting that is silently ignored is believed to be at work."""
    with pytest.raises(StudyError) as caught:
        changed(old, new)
    assert says in str(caught.value)
