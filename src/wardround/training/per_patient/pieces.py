"""How a batch is cut: pieces of whole patients who all have the same number of rows, always the same number of patients.

The last piece is filled up with copies of its last patient, who count zero. Libraries choose their kernels by the number of rows,
and another kernel rounds otherwise: pieces of one size leave them no choice. Within a piece a row's place must not matter
either: `fixed_order` ensures it for dense layers, and `position_proof` tries the others. (It is also faster: kernels are compiled
for each number of rows.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from wardround.training.per_patient.clipping import MOST_PATIENTS, MOST_ROWS

Counts = Sequence[int] | NDArray[np.integer]


@dataclass(frozen=True)
class Piece:
    """Patients `patients` (places in the batch's order) with `each` rows apiece, in `slots` slots of which the last are fillers.

    rows: slots * each places of rows, slot after slot.
    """

    patients: NDArray[np.intp]
    each: int
    slots: int
    rows: NDArray[np.intp]

    @classmethod
    def filled(cls, patients: NDArray[np.intp], starts: NDArray[np.intp], each: int, slots: int) -> "Piece":
        """starts: the first row of each of the patients."""
        fillers = np.repeat(starts[-1:], slots - len(patients))
        rows = (np.concatenate([starts, fillers])[:, None] + np.arange(each)).reshape(-1)
        return cls(patients, each, slots, rows)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """This piece's rows of a tensor of all rows, in memory of their own: a view would lie where other patients put it, and
        libraries choose kernels by alignment."""
        return tensor.index_select(0, torch.from_numpy(self.rows).to(tensor.device))

    def without(self, left_out: NDArray[np.bool_]) -> "Piece":
        """The same piece less some of its patients; at least one must be left."""
        starts = self.rows[:: self.each][: len(self.patients)]
        return Piece.filled(self.patients[~left_out], starts[~left_out], self.each, self.slots)


def cut(counts: Counts, most_rows: int) -> list[Piece]:
    """Pieces of at most `most_rows` rows, or of one patient who has more. Patients with fewer rows come first.

    >>> [(piece.each, piece.patients.tolist(), piece.rows.tolist()) for piece in cut([1, 2, 1, 1], 2)]
    [(1, [0, 2], [0, 3]), (1, [3], [4, 4]), (2, [1], [1, 2])]
    """
    counts = np.asarray(counts, np.intp)
    starts = np.cumsum(counts) - counts
    pieces = []
    for each in map(int, np.unique(counts)):
        patients, slots = np.flatnonzero(counts == each), max(1, most_rows // each)
        for start in range(0, len(patients), slots):
            some = patients[start : start + slots]
            pieces.append(Piece.filled(some, starts[some], each, slots))
    return pieces


def require_counts(counts: Counts, *lengths: int) -> None:
    """ValueError unless counts are numbers of rows, 1 or more, that add up to each of the lengths, and not too many to be
    clipped."""
    values = np.asarray(counts)
    if values.ndim != 1 or (len(values) and int(values.min()) < 1) or {int(values.sum())} != set(lengths):
        raise ValueError(f"counts are whole numbers of 1 or more that add up to the rows, {lengths}; found {len(values)} counts")
    if len(values) > MOST_PATIENTS or (len(values) and int(values.sum()) > MOST_ROWS):
        raise ValueError(
            f"a clipped sum is proved for up to {MOST_PATIENTS:,} patients and {MOST_ROWS:,} rows, found {len(values):,}"
        )
