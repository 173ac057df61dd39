"""Two-dimensional convolutions, and two ways to their per-patient gradients."""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from wardround.training.per_patient.contributions import GradientForm, Kept, bounded_below
from wardround.training.per_patient.fixed_order import tree_sum
from wardround.training.per_patient.layers import Pair, detached, learns

CANCELLATION = 2.0**8
"""As `contributions.CANCELLATION`: after a normalisation gradients point away from what all places have in common."""
MOST_PLACES = 2**11
"""Of all patients of a piece whose sum is taken from factors: `clipping` counts on it."""


@dataclass(frozen=True)
class Geometry:
    """A convolution's numbers, (height, width) each; `kernel` is the weight's shape (out, in / groups, height, width)."""

    kernel: tuple[int, int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    def backward(
        self,
        gradient: torch.Tensor,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        mask: tuple[bool, bool],
        copies: int = 1,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients of inputs and weight, those that `mask` asks for, when `copies` such convolutions lie side by side."""
        below, above, _ = torch.ops.aten.convolution_backward(
            *(gradient, inputs, weight, None, self.stride, self.padding, self.dilation, False, [0, 0]),
            *(self.groups * copies, [*mask, False]),
        )
        return below, above


@dataclass
class ConvLayer:
    """inputs (n, in, height, width) -> (n, out, height', width'); n rows are `patients` times the rows of each."""

    arrays: Pair
    patients: int
    geometry: Geometry
    contributions: list[tuple[torch.Tensor, GradientForm]] = field(default_factory=list)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        weight, bias = map(detached, self.arrays)
        assert weight is not None
        shape = self.geometry
        return F.conv2d(inputs, weight.contiguous(), bias, shape.stride, shape.padding, shape.dilation, shape.groups)

    def backward(self, inputs: torch.Tensor, gradient: torch.Tensor, needs_gradient: bool) -> torch.Tensor | None:
        weight, bias = self.arrays
        assert weight is not None
        inputs, gradient = inputs.detach().contiguous(), gradient.contiguous()
        if learns(weight):
            self.contributions.append((weight, contribution(self.geometry, inputs, gradient, self.patients)))
        if bias is not None and learns(bias):
            by_row = gradient.sum((2, 3)).view(self.patients, -1, gradient.shape[1])
            self.contributions.append((bias, Kept(tree_sum(by_row.transpose(0, 1)))))
        if not needs_gradient:
            return None
        return self.geometry.backward(gradient, inputs, weight.detach().contiguous(), (True, False))[0]


def contribution(geometry: Geometry, inputs: torch.Tensor, gradient: torch.Tensor, patients: int) -> GradientForm:
    """The cheaper of the two ways, from the shapes alone.

    For each patient with t places: a gradient takes k o t multiplications, and its norm and its share of the sum some 35 float32
    multiplications for each number. Factors take t^2 (in + out) for the Gram matrices, at a quarter of that speed, and k o t more
    for a sum in float64. (Measured; t above 34 never pays.)
    """
    out, _, height, width = geometry.kernel
    places = gradient[0, 0].numel() * (gradient.shape[0] // patients)
    size = math.prod(geometry.kernel)
    grams = places**2 * (inputs.shape[1] * (1 if height * width == 1 or geometry.stride == (1, 1) else height * width) + out)
    in_one_group = geometry.groups == 1 and geometry.dilation == (1, 1)
    if in_one_group and places * patients <= MOST_PLACES and places * size + 4 * grams < 35 * size:
        return ConvFactors(geometry, inputs, gradient, patients)
    return Kept(by_patient(geometry, inputs, gradient, patients))


def by_patient(geometry: Geometry, inputs: torch.Tensor, gradient: torch.Tensor, patients: int) -> torch.Tensor:
    """Each patient's gradient of the weight, (P, *kernel): by matrix products over the places where these are few, or by one
    convolution, with patients side by side as groups of channels (Rochette et al., "Efficient per-example gradient computations
    in convolutional neural networks", 2019, section 3)."""
    out, *rest = geometry.kernel
    if geometry.groups == 1 and 2 * gradient[0, 0].numel() < out:
        products = columns(gradient, patients) @ columns(under_kernel(geometry, inputs), patients).mT
        return products.view(patients, *geometry.kernel)
    unused = inputs.new_empty((patients * out, *rest))
    gradient, inputs = _beside(gradient, patients), _beside(inputs, patients)
    return geometry.backward(gradient, inputs, unused, (False, True), patients)[1].view(patients, *geometry.kernel)


def columns(values: torch.Tensor, patients: int) -> torch.Tensor:
    """(P each, c, ...) -> (P, c, each places)."""
    split = values.reshape(patients, len(values) // patients, values.shape[1], -1)
    return split.transpose(1, 2).reshape(patients, values.shape[1], -1)


def under_kernel(geometry: Geometry, inputs: torch.Tensor) -> torch.Tensor:
    """(n, in, h, w) -> (n, in height width, places): the inputs under the kernel at each place; of one group."""
    _, _, height, width = geometry.kernel
    if height * width == 1 and geometry.padding == (0, 0):
        return inputs[:, :, :: geometry.stride[0], :: geometry.stride[1]].flatten(2)
    return F.unfold(inputs, (height, width), geometry.dilation, geometry.padding, geometry.stride)


def _beside(values: torch.Tensor, patients: int) -> torch.Tensor:
    """(P each, c, h, w) -> (each, P c, h, w)."""
    n, channels, height, width = values.shape
    split = values.view(patients, n // patients, channels, height, width).transpose(0, 1)
    return split.reshape(n // patients, patients * channels, height, width)


@dataclass(frozen=True)
class ConvFactors:
    """Inputs (n, in, h, w) and outputs' gradients (n, out, h', w') of a convolution in one group, without dilation.

    The norm is the ghost norm of `contributions.Outer` over places, and bounded as there: sums over places cancel.
    """

    geometry: Geometry
    inputs: torch.Tensor
    gradient: torch.Tensor
    patients: int

    def squared_norms(self) -> torch.Tensor:
        outputs = columns(self.gradient, self.patients).double()
        outer, inner = outputs.mT @ outputs, self._gram()
        factors = _trace(outer) * _trace(inner)
        return bounded_below(tree_sum((outer * inner).flatten(1).T).clamp_(min=0.0), factors, CANCELLATION)

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        by_row = weights.repeat_interleave(len(self.gradient) // self.patients).reshape(-1, 1, 1)
        outputs = (self.gradient.flatten(2).double() * by_row).transpose(0, 1).flatten(1)
        inputs = under_kernel(self.geometry, self.inputs).transpose(0, 1).flatten(1).double()
        return (outputs @ inputs.T).view(self.geometry.kernel)

    def each(self, patients: slice) -> torch.Tensor:
        inputs, gradient = (
            values.reshape(self.patients, -1, *values.shape[1:])[patients] for values in (self.inputs, self.gradient)
        )
        return by_patient(self.geometry, inputs.flatten(0, 1), gradient.flatten(0, 1), len(inputs))

    def numbers(self) -> tuple[torch.Tensor, ...]:
        return tuple(values.reshape(self.patients, -1) for values in (self.gradient, self.inputs))

    def _gram(self) -> torch.Tensor:
        """X X^T (P, t, t), float64, where X has one row for each place: the inputs under the kernel there."""
        (_, _, height, width), shape = self.geometry.kernel, self.geometry
        if shape.stride != (1, 1) or height * width == 1:
            under = columns(under_kernel(shape, self.inputs), self.patients).double()
            return under.mT @ under
        return self._gram_by_shifts()

    def _gram_by_shifts(self) -> torch.Tensor:
        """With stride 1 the products of two places' windows are products of pixels, added along the window: nine times less
        work for a 3 x 3 kernel than with the windows written out. Pixels beyond the border are zero and are not visited."""
        (_, _, height, width), (down, across) = self.geometry.kernel, self.geometry.padding
        (h, w), (high, wide) = self.inputs.shape[2:], self.gradient.shape[2:]
        each, inputs = len(self.inputs) // self.patients, columns(self.inputs, self.patients).double()
        pixels = (inputs.mT @ inputs).view(self.patients, each, h, w, each, h, w)
        gram = pixels.new_zeros((self.patients, each, high, wide, each, high, wide))
        for down_to, down_from in _overlaps(height, down, h, high):
            for to, source in _overlaps(width, across, w, wide):
                gram[:, :, down_to, to, :, down_to, to] += pixels[:, :, down_from, source, :, down_from, source]
        return gram.view(self.patients, each * high * wide, -1)


def _trace(grams: torch.Tensor) -> torch.Tensor:
    """(P, t, t) -> (P,)."""
    return tree_sum(grams.diagonal(dim1=1, dim2=2).T)


def _overlaps(kernel: int, padding: int, before: int, after: int) -> list[tuple[slice, slice]]:
    """For each place in the kernel, with stride 1: the outputs that see a pixel there, and these pixels."""
    overlaps = []
    for offset in range(kernel):
        shift = offset - padding
        first, last = max(0, -shift), min(after, before - shift)
        if first < last:
            overlaps.append((slice(first, last), slice(first + shift, last + shift)))
    return overlaps
