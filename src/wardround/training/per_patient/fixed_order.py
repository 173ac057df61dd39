"""Sums and products whose bits follow from the numbers alone, never from where they stand.

Libraries choose how a matrix product is summed by its shape, by the row and by the memory's alignment. For ordinary models that
is a difference of 1e-7. A coordinator can craft a model whose every output is such a remainder: one patient more or less then
moves everybody to another row, and changes all of their gradients. So where somebody learns under privacy, no library sums.

Here everything is elementwise addition and multiplication, in an order that the shapes fix. IEEE 754 defines the result of each
to the last bit, in vector instructions and in a loop's tail alike; product and sum are two calls, so that nothing can fuse them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

_AT_ONCE = 2**16  # numbers, 256 KiB: products of several inputs are added while they are in the cache
_WIDE = 2**13  # numbers of each patient, whose squares in float64 stay in the cache
_LANES = 64  # rows; a multiple of every vector's length, twice, so that no element-wise function has a tail


def tree_sum(values: torch.Tensor) -> torch.Tensor:
    """(k, ...) -> (...): the sum over axis 0 by halves; k is 1 or more."""
    while len(values) > 1:
        half = len(values) // 2
        pairs = values[:half] + values[half : 2 * half]
        values = pairs if len(values) == 2 * half else torch.cat([pairs, values[2 * half :]])
    return values[0]


def product(inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(n, k), (out, k) -> (n, out): inputs @ weight.T. Rows lie side by side in memory, also in the result.

    Each output is the sum over k of products, added by halves within runs of k, then run after run; the runs follow from the
    shapes of weight and inputs.
    """
    rows, columns = inputs.T.contiguous(), weight.T.contiguous()
    run = 1 << max(0, (_AT_ONCE // max(1, len(inputs) * len(weight))).bit_length() - 1)
    total = torch.zeros((len(weight), len(inputs)), dtype=inputs.dtype)
    for start in range(0, len(rows), run):
        some = slice(start, start + run)
        total.add_(tree_sum(rows[some, None, :] * columns[some, :, None]))
    return total.T


def patient_products(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(P, s, k), (P, t, k) -> (P, s, t): left @ right.T of each patient, added as `product` adds."""
    rows, columns = left.permute(2, 1, 0).contiguous(), right.permute(2, 1, 0).contiguous()
    total = torch.zeros((rows.shape[1], *columns.shape[1:]), dtype=left.dtype)
    run = 1 << max(0, (_AT_ONCE // max(1, total.numel())).bit_length() - 1)
    for start in range(0, len(rows), run):
        some = slice(start, start + run)
        total.add_(tree_sum(rows[some, :, None] * columns[some, None]))
    return total.permute(2, 0, 1)


def squares(values: torch.Tensor) -> torch.Tensor:
    """(P, ...) -> (P,), float64: sums of squares, column block onto column block, then by halves.

    In float64, since squares of float32 numbers can underflow to nothing.
    """
    flat = values.flatten(1)
    total = torch.zeros((len(flat), min(_WIDE, flat.shape[1])), dtype=torch.float64)
    for part in torch.split(flat, _WIDE, 1):
        wide = part.to(torch.float64, copy=True)
        total[:, : wide.shape[1]] += wide.mul_(wide)
    return tree_sum(total.T)


def row_losses(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], outputs: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """loss(outputs, targets), (n,), worked out on rows filled up to whole vectors: an exponential in a vector and one in a loop's
    tail differ in their last bits."""
    spare = -len(outputs) % _LANES
    return loss(_lengthened(outputs, spare), _lengthened(targets, spare))[: len(outputs)]


def _lengthened(values: torch.Tensor, spare: int) -> torch.Tensor:
    return F.pad(values, (*[0] * (2 * (values.ndim - 1)), 0, spare)) if spare else values.clone()


class FixedReductions(TorchFunctionMode):
    """Inside the block a row's sum or mean over all of its numbers is taken by halves."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        reduced = reduced_rows(func, *args, **(kwargs or {})) if func in _REDUCTIONS else None
        return func(*args, **(kwargs or {})) if reduced is None else reduced


def reduced_rows(
    func: Callable[..., Any], values: torch.Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False, **others: Any
) -> torch.Tensor | None:
    """What func, a sum or a mean, gives over all axes but the first; None where it is asked for something else."""
    axes = () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if others or values.ndim < 2 or sorted(axis % values.ndim for axis in axes) != list(range(1, values.ndim)):
        return None
    flat = values.flatten(1)
    total = tree_sum(flat.T.contiguous())
    rows = total / flat.shape[1] if func in _MEANS else total
    return rows.view(-1, *[1] * (values.ndim - 1)) if keepdim else rows


_MEANS: frozenset[Callable[..., Any]] = frozenset({torch.Tensor.mean, torch.mean})
_REDUCTIONS: frozenset[Callable[..., Any]] = _MEANS | {torch.Tensor.sum, torch.sum}


def is_reduction(func: Callable[..., Any]) -> bool:
    """Whether `reduced_rows` may know it."""
    return func in _REDUCTIONS
