"""Networks by name, one per file. Every network gives (n,) outputs, or (n, outputs) where there are several, and depends on no
statistics of the batch."""

import torch
from torch import nn

from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import InputShape
from wardround.training.networks.ordered import with_shared_score
from wardround.training.networks.scaling import FeatureScaling, Scaling
from wardround.values.errors import StudyError
from wardround.values.head_outputs import SharedScore


def build(network: NetworkSection, inputs: InputShape, outputs: int = 1) -> nn.Module:
    """The network, in eval mode, its parameters all zero until a tree is loaded; frozen ones have requires_grad False.

    outputs: how many numbers it gives for one record; a `SharedScore` of them share one. The global random state is left as it
    was.

    StudyError when the network cannot take such inputs, MissingExtraError when it
    needs a package that is not installed.
    """
    _require_kind(network, inputs)
    # torch's own initialisation draws from the global generator; its state is put back. (Building on the meta device draws
    # nothing, but loads a fifth of a second of code in every process.)
    with torch.random.fork_rng(devices=[]):
        module = _shaped(network, inputs, outputs)
        module = (with_shared_score(module, outputs) if isinstance(outputs, SharedScore) else module).eval()
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.zero_()
    return module


def _shaped(network: NetworkSection, inputs: InputShape, outputs: int) -> nn.Module:
    # The imports are here so that a study pays only for the network it names.
    scaling = Scaling(network.scaling or "standardise", inputs.width)
    if network.name == "small_cnn":
        from wardround.training.networks.small_cnn import SmallCnn

        return SmallCnn(inputs.channels, network.width or 24, network.blocks or (1, 1, 1, 1), scaling, outputs)
    if network.name == "plain_cnn":
        from wardround.training.networks.plain_cnn import PlainCnn

        return PlainCnn(inputs.channels, network.width or 24, scaling, outputs, dropout=network.dropout or 0.0)
    if network.name == "resnet":
        from wardround.training.networks.resnet import ResNet

        return ResNet(inputs.channels, network.width or 64, network.blocks or (2, 2, 2, 2), scaling, outputs)
    if network.name == "efficientnet_lite0":
        from wardround.training.networks.efficientnet_lite0 import EfficientNetLite0

        return EfficientNetLite0(
            _first_trained_block(network),
            outputs,
            scaling=scaling if network.scaling is not None else None,
            with_maximum=network.pool == "mean_max",
        )
    if network.name == "densenet121":
        from wardround.training.networks.densenet121 import DenseNet121

        return DenseNet121(inputs.channels, scaling, outputs)
    from wardround.training.networks.mlp import Mlp

    features = inputs.features or inputs.channels * inputs.height * inputs.width
    hidden = () if network.name == "logistic" else network.hidden if network.hidden is not None else (64, 32)
    if network.backbone is not None:
        return Mlp(features, hidden, FeatureScaling(network.backbone), outputs)
    return Mlp(features, hidden, scaling if inputs.kind == "image" else None, outputs)


def _first_trained_block(network: NetworkSection) -> int | None:
    """None: everything is trained; the number of blocks or more: the head only."""
    from wardround.study.sections.network import EFFICIENTNET_BLOCKS

    return {"all": None, "head": EFFICIENTNET_BLOCKS + 1, "from_block": network.from_block}[network.fine_tune]


def _require_kind(network: NetworkSection, inputs: InputShape) -> None:
    if inputs.kind == "table" and network.name not in ("mlp", "logistic"):
        raise StudyError(
            f"network.name is {network.name!r}, which takes images, and the data are a table", hint='use "mlp" or "logistic"'
        )
    if inputs.kind == "table" and network.scaling is not None:
        raise StudyError("network.scaling is for images and the data are a table", hint="leave it out")
    smallest = {"resnet": 16, "plain_cnn": 16, "efficientnet_lite0": 32, "densenet121": 32}.get(network.name, 1)
    if network.name == "small_cnn":
        smallest = 2 ** len(network.blocks or (1, 1, 1, 1))
    if inputs.kind == "image" and min(inputs.height, inputs.width) < smallest:
        raise StudyError(
            f"{network.name} halves the image several times and these images are too small for it",
            expected=f"at least {smallest} pixels on each side",
            found=f"{inputs.height} x {inputs.width}",
            hint="use a smaller network or larger images",
        )
