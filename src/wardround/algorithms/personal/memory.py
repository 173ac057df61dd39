"""Training records as a network sees them, and the vote of those that are nearest to another record.

    inner values of a record --distance to each remembered one--> the nearest, weighed by exp(-distance / scale) --> vote

Euclidean distances, in float64. The vote is a continuous function of the inner values: those that are hardly further away than
the last of the nearest vote too, less and less up to EDGE scales beyond it. So rounding, which differs from one machine to
another, cannot put one record in another's place; equally near ones all vote, and the order of the records plays no part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EDGE = 0.25
_PIECE = 256  # rows whose distances to all remembered records are in memory at once


@dataclass(frozen=True, eq=False)
class Memory:
    """What a model keeps of n training records: these are values of patients.

    inner: float32 (n, width), what goes into the network's last layer. votes: float32 (n, voices), as the task counts them.
    """

    inner: NDArray[np.float32]
    votes: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """A memory and how it is asked. nearest: how many records vote, at most all. scale: of distances, above 0. share: of the vote
    in the answer, above 0, at most 1."""

    memory: Memory
    nearest: int
    scale: float
    share: float

    def asked(self, inner: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """votes (n, voices) and voters (n,) for n other records. voters: how many there are, counted by their weights
        (L. Kish, Survey Sampling, 1965, section 11.7): 1 where one is far nearer than all others."""
        parts = [self._asked(distances) for distances in pieces_of_distances(self.memory.inner, inner)]
        voices = self.memory.votes.shape[1]
        votes = np.concatenate([np.zeros((0, voices)), *(votes for votes, _ in parts)])
        return votes, np.concatenate([np.zeros(0), *(voters for _, voters in parts)])

    def _asked(self, distances: Floats) -> tuple[Floats, Floats]:
        last = np.partition(distances, self.nearest - 1, axis=1)[:, self.nearest - 1, None]
        fading = np.clip(1.0 - (distances - last) / (EDGE * self.scale), 0.0, 1.0)
        weights = fading * np.exp((distances.min(axis=1, keepdims=True) - distances) / self.scale)
        weights /= weights.sum(axis=1, keepdims=True)
        return weights @ self.memory.votes.astype(np.float64), 1.0 / np.square(weights).sum(axis=1)


def pieces_of_distances(remembered: NDArray[np.float32], rows: NDArray[np.float32]) -> Iterator[Floats]:
    """Distances of some rows at a time to each remembered one: (at most _PIECE, n)."""
    there = remembered.astype(np.float64)
    lengths = np.square(there).sum(axis=1)
    for start in range(0, len(rows), _PIECE):
        here = rows[start : start + _PIECE].astype(np.float64)
        squares = np.square(here).sum(axis=1, keepdims=True) - 2.0 * (here @ there.T) + lengths
        yield np.sqrt(np.maximum(squares, 0.0))


def scales(inner: NDArray[np.float32], patients: NDArray[np.intp], nearest: Sequence[int]) -> list[float]:
    """For each number of neighbours, the median distance of a record (n, width) to so many nearest ones of other patients.

    Records that are alike do not count. 1 where no two patients' records differ.
    """
    most = max(nearest)
    nearest_of_each = [
        np.sort(np.partition(_of_others(distances, patients, row), min(most, len(inner)) - 1, axis=1)[:, :most], axis=1)
        for row, distances in zip(range(0, len(inner), _PIECE), pieces_of_distances(inner, inner), strict=True)
    ]
    distances = np.concatenate(nearest_of_each)
    return [_median(distances[:, :count]) for count in nearest]


def _of_others(distances: Floats, patients: NDArray[np.intp], start: int) -> Floats:
    same = patients[start : start + len(distances), None] == patients
    return np.where(same, np.inf, distances)


def _median(distances: Floats) -> float:
    apart = distances[np.isfinite(distances) & (distances > 0.0)]
    return float(np.median(apart)) if len(apart) else 1.0
