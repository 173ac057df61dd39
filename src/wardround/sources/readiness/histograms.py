"""What a column holds, by label, as bars for the page of a hospital's data.

features of the records --unscaled by the contract's constants--> values --bins, shares by label--> Histogram
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.read_result import ColumnFacts, ReadResult
from wardround.study.contract import ColumnContract, DataContract

BINS = 24
LARGEST_NUMBER_OF_LABELS = 6


@dataclass(frozen=True)
class Bar:
    """One bin: its words, and for each label the share (0..1) of that label's values in it, and how many they are."""

    words: str
    shares: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Histogram:
    """name, unit: of the column. labels: of the series. low, high: words under the axis. missing: share of rows, 0 to 1."""

    name: str
    unit: str
    labels: tuple[str, ...]
    bars: tuple[Bar, ...]
    low: str
    high: str
    facts: ColumnFacts | None

    @property
    def missing(self) -> float:
        return self.facts.missing / self.facts.rows if self.facts and self.facts.rows else 0.0

    @property
    def tallest(self) -> float:
        return max((share for bar in self.bars for share in bar.shares), default=0.0) or 1.0


def histograms(read_result: ReadResult, contract: DataContract) -> list[Histogram]:
    """One of each column of a table, in the contract's order; none of images."""
    series = label_series(read_result.labels)
    facts = {column.name: column for column in read_result.columns}
    drawn: list[Histogram] = []
    start = 0
    for column in contract.columns:
        features = read_result.inputs[:, start : start + len(column.features)]
        start += len(column.features)
        drawn.append(_histogram(column, features, series, facts.get(column.name)))
    return drawn


def label_series(labels: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """The records of each label, by its words; all together where the labels are too many to be told apart.

    >>> list(label_series(np.array([0, 1, 1])))
    ['label 0', 'label 1']
    """
    values = np.unique(labels)
    if not 1 < len(values) <= LARGEST_NUMBER_OF_LABELS:
        return {"all": np.ones(len(labels), bool)}
    return {f"label {value:g}": labels == value for value in values.tolist()}


def _histogram(
    column: ColumnContract, features: NDArray[Any], series: dict[str, NDArray[np.bool_]], facts: ColumnFacts | None
) -> Histogram:
    present = features[:, -1] == 0 if column.max_missing > 0 else np.ones(len(features), bool)
    if column.kind == "number":
        edges, words, position = _number_bins(column, features[:, 0], present)
        low, high = (f"{edges[0]:g}", f"{edges[-1]:g}") if len(edges) else ("", "")
    else:
        words = list(column.codes)
        position = np.argmax(features[:, : len(words)], axis=1) if column.kind == "category" else np.rint(features[:, 0])
        low, high = "", ""
    counts = [[int(np.sum(position[members & present] == at)) for at in range(len(words))] for members in series.values()]
    totals = [sum(of_label) or 1 for of_label in counts]
    bars = tuple(
        Bar(word, tuple(c[at] / t for c, t in zip(counts, totals, strict=True)), tuple(c[at] for c in counts))
        for at, word in enumerate(words)
    )
    return Histogram(column.name, column.unit, tuple(series), bars, low, high, facts)


def _number_bins(
    column: ColumnContract, feature: NDArray[Any], present: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], Sequence[str], NDArray[Any]]:
    """Edges, words of each bin, and the bin of each row."""
    center, scale = column.constants
    values = feature.astype(np.float64) * scale + center
    if not np.any(present):
        return np.zeros(0), [], np.full(len(values), -1)
    edges = np.linspace(values[present].min(), values[present].max(), BINS + 1)
    position = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
    return edges, [f"{one:.4g} to {other:.4g}" for one, other in itertools.pairwise(edges)], position
