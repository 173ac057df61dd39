"""What a site reveals when it evaluates a model: named arrays of whole numbers, never a patient's outputs.

    outputs, targets --Task.sums (at one site)--> Sums --added over sites--> Sums --Task.figures--> figures

Sums add over patients and over sites, in any order, exactly: the evaluation of two hospitals together is the sum of their
evaluations, and integers pass unchanged through the masked sum. What the arrays mean is the task's business.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.values.errors import WireError
from wardround.values.tree import Shapes

Counts = NDArray[np.int64]

SPARSE_FROM = 64
"""Arrays of so many entries or more are packed by their filled entries."""
STORED_SPARSE_FROM = 4096
"""A report holds the sums of every round, and is written anew in each: of arrays so long it has the filled entries alone."""
_LARGEST = 1 << 20


@dataclass(frozen=True, eq=False)
class Sums:
    """int64 arrays by name, none with a negative entry. Two are added only if they belong to the same task.

    >>> one = Sums({"n": np.array(2), "error": np.array([3, 4])})
    >>> (one + one).to_json()
    {'n': 4, 'error': [6, 8]}
    """

    arrays: Mapping[str, Counts]

    @classmethod
    def zero(cls, shapes: Shapes) -> "Sums":
        """The evaluation of no records: what adds nothing."""
        return cls({name: np.zeros(shape, np.int64) for name, shape in shapes.items()})

    @classmethod
    def of_counts(cls, counts: Mapping[str, NDArray[Any]], shapes: Shapes) -> "Sums":
        """Sums that came from elsewhere. WireError where names, shapes or signs are not those of a task's sums."""
        if sorted(counts) != sorted(shapes):
            raise impossible(f"the arrays {', '.join(sorted(shapes))}", f"{', '.join(sorted(counts)) or 'none'}")
        arrays = {name: np.asarray(counts[name]) for name in shapes}
        for name, array in arrays.items():
            if array.shape != shapes[name] or array.dtype.kind not in "iu":
                raise impossible(f"{name} as integers of shape {shapes[name]}", f"{array.dtype} of shape {array.shape}")
        sums = cls({name: array.astype(np.int64) for name, array in arrays.items()})
        if negative := [name for name, array in sums.arrays.items() if (array < 0).any()]:
            raise impossible(f"{negative[0]} without negative counts", "a negative count")
        return sums

    @classmethod
    def together(cls, parts: Iterable["Sums"], shapes: Shapes) -> "Sums":
        """The sum of any number of evaluations."""
        total = cls.zero(shapes)
        for part in parts:
            total = total + part
        return total

    def __getitem__(self, name: str) -> Counts:
        return self.arrays[name]

    def __add__(self, other: "Sums") -> "Sums":
        if self.arrays.keys() != other.arrays.keys():
            raise ValueError(f"sums of different tasks: {', '.join(self.arrays)} and {', '.join(other.arrays)}")
        return Sums({name: np.asarray(array + other.arrays[name]) for name, array in self.arrays.items()})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sums):
            return NotImplemented
        same = self.arrays.keys() == other.arrays.keys()
        return same and all(np.array_equal(array, other.arrays[name]) for name, array in self.arrays.items())

    __hash__ = None  # type: ignore[assignment]

    def to_counts(self) -> dict[str, Counts]:
        """The arrays by name. Inverse of `of_counts`."""
        return dict(self.arrays)

    def to_json(self) -> dict[str, Any]:
        """The arrays as lists, by name, of those with STORED_SPARSE_FROM entries the filled ones. Inverse of `counts_of_json`."""
        return {name: _stored(array) for name, array in self.arrays.items()}


def _stored(array: Counts) -> Any:
    if array.size < STORED_SPARSE_FROM:
        return array.tolist()
    return {"shape": list(array.shape), "filled": filled(array.reshape(-1))}


def counts_of_json(value: Mapping[str, Any]) -> dict[str, Counts]:
    """The arrays that a report or a checkpoint holds. WireError where they are no whole numbers."""
    try:
        arrays = {name: _restored(array) if isinstance(array, Mapping) else np.asarray(array) for name, array in value.items()}
    except ValueError as error:
        raise impossible("rows of the same length", "others") from error
    if any(array.size and array.dtype.kind not in "iu" for array in arrays.values()):
        raise impossible("whole numbers", "others")
    return {name: array.astype(np.int64) for name, array in arrays.items()}


def _restored(stored: Mapping[str, Any]) -> Counts:
    shape = stored.get("shape")
    if not isinstance(shape, list) or not all(isinstance(side, int) and 0 < side <= _LARGEST for side in shape):
        raise impossible("the shape of an array", "another")
    if (size := math.prod(shape)) > _LARGEST:
        raise impossible(f"at most {_LARGEST} entries", f"{size}")
    return spread(stored.get("filled", ()), size).reshape(shape)


def packed(sums: Sums) -> dict[str, Any]:
    """A short JSON form for a run record: of large arrays the filled entries alone. Inverse of `unpacked`.

    >>> packed(Sums({"histogram": np.eye(1, 100, 7, dtype=np.int64)[0]}))
    {'histogram': [[7, 1]]}
    """
    return {
        name: filled(array.reshape(-1)) if array.size >= SPARSE_FROM else array.tolist() for name, array in sums.arrays.items()
    }


def unpacked(value: Mapping[str, Any], shapes: Shapes) -> dict[str, Counts]:
    """The arrays of `packed`. WireError where an entry lies outside its array."""
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    return {
        name: (spread(array, sizes[name]) if sizes.get(name, 0) >= SPARSE_FROM else counts_of_json({name: array})[name]).reshape(
            shapes[name]
        )
        for name, array in value.items()
        if name in shapes
    }


def filled(row: Counts) -> list[list[int]]:
    """[position, count] of the filled entries, in order."""
    return [[int(position), int(row[position])] for position in np.flatnonzero(row)]


def spread(entries: Iterable[Any], size: int) -> Counts:
    """Inverse of `filled`. WireError where positions do not rise or lie outside, or counts are not whole and above 0."""
    row, last = np.zeros(size, np.int64), -1
    for entry in entries:
        position, count = entry
        if not (isinstance(position, int) and isinstance(count, int) and last < position < size and count > 0):
            raise impossible(f"[position, count] with positions that rise and stay below {size}", str(entry))
        row[position], last = count, position
    return row


def impossible(expected: str, actual: str) -> WireError:
    """The error for arrays that no records can have."""
    return WireError("These are not the sums of an evaluation", expected=expected, found=actual)
