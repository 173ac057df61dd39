"""Which bin a record falls into: of its score and of a few figures of its input. The bins are public, from the contract alone.

    network input, size of the film --bins_of--> {"brightness": 7, "contrast": 4, "size": 3}      or a column of a table each
    calibrated probability          --score_bin--> 0..9

A hospital counts its cases by bin and compares the counts with those of its acceptance. Only counts are ever kept of many cases,
and of one case the bins alone: no mean, no value, no pixel.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.kinds.registry import kind_of
from wardround.study.contract import ColumnContract, DataContract
from wardround.tasks.protocol import Floats

SCORE = "score"
_SCORE_EDGES = np.arange(-4.0, 5.0)
"""On the logarithm of the odds: probabilities of 2, 5, 12, 27, 50, 73, 88, 95 and 98 %."""
_BRIGHTNESS_EDGES = np.arange(1, 20) / 20
"""Of the mean of a film's pixels, 0 to 1."""
_CONTRAST_EDGES = np.arange(1, 16) / 32
"""Of their standard deviation, at most 1/2."""
_SIZE_EDGES = np.array([256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096], np.float64)
"""Of the square root of a film's pixels as it came, before it was made smaller."""
_COLUMN_BINS = 10
_ROUNDING = 1e-5
"""Features are of 32 bits: an age of 50 that lies on an edge must not fall below it for its last bit."""

Counts = NDArray[np.int64]


def bin_numbers(contract: DataContract) -> dict[str, int]:
    """Every figure that is counted -> its number of bins, the score first.

    >>> bin_numbers(DataContract(kind="image"))
    {'score': 10, 'brightness': 20, 'contrast': 16, 'size': 10}
    """
    own = (
        {"brightness": len(_BRIGHTNESS_EDGES) + 1, "contrast": len(_CONTRAST_EDGES) + 1, "size": len(_SIZE_EDGES) + 1}
        if contract.kind == "image"
        else {column_figure(column): _column_bins(column) for column in contract.columns}
    )
    kind = kind_of(contract.label)
    return {SCORE: len(_SCORE_EDGES) + 1 if kind is None else kind.bins, **own}


def column_figure(column: ColumnContract) -> str:
    """The name of the figure that counts a column."""
    return f"column {column.name}"


def score_bins(probabilities: NDArray[np.floating]) -> Counts:
    """Of calibrated probabilities (n,).

    >>> score_bins(np.array([0.0, 0.3, 0.5, 1.0])).tolist()
    [0, 4, 5, 9]
    """
    chance = np.clip(np.asarray(probabilities, np.float64), 1e-12, 1 - 1e-12)
    return _bins(np.log(chance) - np.log1p(-chance), _SCORE_EDGES)


def bins_of(contract: DataContract, inputs: NDArray[np.float32], sizes: NDArray[np.integer] | None = None) -> dict[str, Counts]:
    """Figure -> bins (n,) of network inputs (n, *shape). sizes (n, 2): of the films as they came; without them no `size`."""
    if contract.kind != "image":
        return _of_columns(contract, inputs)  # a molecule has none: its answers are counted, and how unusual it is
    pixels = np.asarray(inputs, np.float64).reshape(len(inputs), -1)
    figures = {
        "brightness": _bins(pixels.mean(axis=1), _BRIGHTNESS_EDGES),
        "contrast": _bins(pixels.std(axis=1), _CONTRAST_EDGES),
    }
    if sizes is not None and len(sizes) == len(inputs):
        figures["size"] = _bins(np.sqrt(np.asarray(sizes, np.float64).prod(axis=1)), _SIZE_EDGES)
    return figures


def counted(contract: DataContract, bins: Mapping[str, NDArray[np.integer]]) -> dict[str, tuple[int, ...]]:
    """How many records lie in each bin of each figure that was looked at."""
    numbers = bin_numbers(contract)
    return {name: tuple(np.bincount(own, minlength=numbers[name]).tolist()) for name, own in bins.items()}


def _of_columns(contract: DataContract, inputs: NDArray[np.float32]) -> dict[str, Counts]:
    figures, start = {}, 0
    for column in contract.columns:
        width = len(column.features)
        figures[column_figure(column)] = _of_column(column, np.asarray(inputs[:, start : start + width], np.float64))
        start += width
    return figures


def _of_column(column: ColumnContract, features: Floats) -> Counts:
    """Features (n, f) of one column; a missing value lies in the last bin, where the contract lets one be missing."""
    bins = features[:, : len(column.codes)].argmax(axis=1) if column.kind == "category" else _binary_or_number(column, features)
    if column.max_missing > 0:
        bins = np.where(features[:, -1] > 0.5, _column_bins(column) - 1, bins)
    return np.asarray(bins, np.int64)


def _binary_or_number(column: ColumnContract, features: Floats) -> Counts:
    if column.kind == "binary":
        return np.asarray(features[:, 0] > 0.5, np.int64)
    return _bins(features[:, 0], _number_edges(column))


def _number_edges(column: ColumnContract) -> Floats:
    """Nine edges between ten equal bins of the range; of a column without one, of two and a half scales on either side."""
    center, scale = column.constants
    low, high = -2.5, 2.5
    if column.range is not None:
        ends = np.log(column.range) if column.log else np.asarray(column.range, np.float64)
        low, high = ((end - center) / scale for end in ends)
    return np.linspace(low, high, _COLUMN_BINS + 1)[1:-1] - _ROUNDING


def _column_bins(column: ColumnContract) -> int:
    whole = {"number": _COLUMN_BINS, "binary": 2, "category": len(column.codes)}[column.kind]
    return whole + (column.max_missing > 0)


def _bins(values: NDArray[np.floating], edges: Floats) -> Counts:
    return np.asarray(np.searchsorted(edges, values, side="right"), np.int64)
