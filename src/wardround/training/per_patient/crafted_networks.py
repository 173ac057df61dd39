"""Networks whose every output is what rounding leaves over, as a coordinator could craft them: for the trial at the opening of a
private study (`position_proof`), and for the audit's malicious model."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import InputShape
from wardround.training.model_tree import tree_of
from wardround.training.networks import build
from wardround.training.networks.ordered import LAST_LAYER_KINDS, OrderedHead
from wardround.training.per_patient.gradients import most_rows
from wardround.training.per_patient.tape import Tape
from wardround.values.tree import Tree

EXPONENTS = (26, 28, 30)
_FLAG = 2.0**27  # its bit of least worth is 8: what other inputs add is rounded to that
_SIZE = 2.0**30  # one bit of 24 is then a change of the output that decides whether a patient's gradient is long


def crafted_trees(network: NetworkSection, inputs: InputShape, outputs: int, plain: NDArray[np.uint8]) -> Iterator[Tree]:
    """Models for an attack. Tables: large weights on the column that is 1 for everybody. Images: what is found out of the plain
    image, (height, width) or (height, width, 3), is taken away again, so that its copies are told apart by rounding alone."""
    if inputs.kind == "table":
        for exponent in EXPONENTS:
            yield tree_of(chaotic_module(network, inputs, outputs, flag=2.0**exponent))
    else:
        yield tree_of(_taken_away(chaotic_module(network, inputs, outputs), inputs, plain))


def rows_together(inputs: InputShape) -> int:
    """Rows in a piece of such inputs."""
    return most_rows(torch.empty(1, *inputs.row))


def _taken_away(module: nn.Module, inputs: InputShape, plain: NDArray[np.uint8]) -> nn.Module:
    """The network, its last layer so that the plain image's outputs are about 2^30 less the same number."""
    *_, head = (layer for layer in module.modules() if isinstance(layer, LAST_LAYER_KINDS))
    pixels = torch.from_numpy(plain).float() / 255.0
    row = pixels[None] if inputs.channels == 1 else pixels.permute(2, 0, 1)
    rows = row.expand(rows_together(inputs), *inputs.row).contiguous()

    def answer() -> torch.Tensor:
        with Tape(len(rows), len(rows)):  # to the last bit as in a step
            return torch.as_tensor(module(rows))[0].reshape(-1).clone()

    with torch.no_grad():
        head.weight.mul_(_SIZE / max(float(answer().abs().max()), 1.0 / _SIZE))
        head.bias.zero_()
        head.bias.sub_(answer())
    return module


def chaotic_module(network: NetworkSection, inputs: InputShape, outputs: int, flag: float = _FLAG) -> nn.Module:
    """A network whose every output is what rounding leaves over.

    Dense layers: a large weight, the flag, on unit 0, which is 1 for every row, and the opposite bias. Filters sum to nothing, so
    that a blank image leaves remainders, which normalisation makes large.
    """
    module = build(network, inputs, outputs)
    rng = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, tensor in module.state_dict(keep_vars=True).items():
            if tensor.dtype == torch.float32:
                tensor.copy_(_chaotic(name, tensor.shape, rng))
        if inputs.kind == "table":
            _flag([layer for layer in module.modules() if isinstance(layer, LAST_LAYER_KINDS)], flag)
    return module


def _chaotic(name: str, shape: torch.Size, rng: torch.Generator) -> torch.Tensor:
    drawn = torch.randn(shape, generator=rng)
    if len(shape) == 4:
        return 64.0 * (drawn - drawn.mean((1, 2, 3), keepdim=True))
    if len(shape) == 2:
        return drawn
    above_zero = name.endswith(("var", "deviation", "weight"))
    return 1.0 + 0.1 * drawn.abs() if above_zero else 0.1 * drawn


def _flag(layers: list[nn.Linear | OrderedHead], flag: float) -> None:
    for number, layer in enumerate(layers):
        layer.weight[:, 0], layer.bias[:] = flag, -flag
        if number + 1 < len(layers):
            layer.weight[0], layer.bias[0] = 0.0, 1.0
