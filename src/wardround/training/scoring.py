"""What a model gives for records."""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround.study.sections.network import NetworkSection
from wardround.training.devices import resolve
from wardround.training.images.pixels import Rows, rows_of
from wardround.training.inputs import InputShape
from wardround.training.model_tree import load_tree
from wardround.training.networks import build
from wardround.training.networks.inner import Inner
from wardround.training.threads import PieceThreads
from wardround.values.cores import usable_cores
from wardround.values.records import Records
from wardround.values.tree import Tree

_PIECE = 64  # records scored at once on one thread; a constant, so that the bits do not depend on the threads


def score(
    network: NetworkSection,
    inputs: InputShape,
    tree: Tree,
    records: Records,
    *,
    flip_average: bool,
    device: str,
    threads: int = 0,
    mirrored: Records | None = None,
    outputs: int = 1,
    inner: bool = False,
) -> NDArray[np.float32]:
    """(n,), or (n, outputs) where there are several. flip_average: the mean over each image and its mirror image.

    A table has no mirror images: `mirrored` are the features of the same records' mirror images, where there are any.
    inner: what goes into the last layer, (n, width), in place of what comes out; meaned in the same way.
    """
    where = resolve(device)
    module = build(network, inputs, outputs)
    load_tree(module, tree)
    module = (Inner(module) if inner else module).to(where)
    if inputs.kind == "image":
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows = rows_of(records, inputs, where)
    other = None if mirrored is None or not flip_average else rows_of(mirrored, inputs, where)
    pieces = [torch.arange(start, min(start + _PIECE, len(rows)), device=where) for start in range(0, len(rows), _PIECE)]
    with PieceThreads((threads or usable_cores()) if where.type == "cpu" else 1) as piece_threads:
        scores = piece_threads.map(partial(_score_piece, module, rows, other, flip_average and inputs.kind == "image"), pieces)
    if scores:
        return np.concatenate(scores)
    if isinstance(module, Inner):
        return np.zeros((0, module.width), np.float32)
    return np.zeros((0,) if outputs == 1 else (0, outputs), np.float32)


def _score_piece(module: nn.Module, rows: Rows, other: Rows | None, flipped: bool, index: torch.Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        pixels = rows.read(index)
        scores = module(pixels)
        if flipped or other is not None:
            scores = (scores + module(pixels.flip(3) if other is None else other.read(index))) / 2
        result: NDArray[np.float32] = scores.to("cpu", torch.float32).numpy()
        return result
