"""Prepared records of one site: what training and evaluation read. They never leave the site."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Records:
    """n records; all four arrays have n rows.

    inputs: images as uint8 or uint16, (n, height, width) or (n, height, width, 3); tables as float32 (n, features), prepared;
    fingerprints of molecules as uint8 (n, features).
    labels: the targets of the study's kind of question; of a yes or no int8 in {0, 1}. patients: str,
    the unit that splits and privacy are counted in. splits: str, one of SPLITS.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any]
    patients: NDArray[np.str_]
    splits: NDArray[np.str_]

    def __post_init__(self) -> None:
        lengths = {len(self.inputs), len(self.labels), len(self.patients), len(self.splits)}
        if len(lengths) != 1:
            raise ValueError(f"records need as many inputs as labels, patients and splits; lengths are {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: NDArray[Any]) -> "Records":
        """The rows that `index` (booleans or positions) names, in that order."""
        return Records(self.inputs[index], self.labels[index], self.patients[index], self.splits[index])

    def where(self, split: Split) -> "Records":
        return self.select(np.flatnonzero(self.splits == split))

    def digests(self) -> list[str]:
        """SHA-256 by which the same record is known in two sets, in order: an image by its pixels, a row of a table by its values
        and its patient, since two people may well agree in a few numbers."""
        images = self.inputs.ndim > 2
        names = [b"" if images else patient.encode() for patient in self.patients.tolist()]
        rows = zip(self.inputs, names, strict=True)
        return [hashlib.sha256(np.ascontiguousarray(row).tobytes() + name).hexdigest() for row, name in rows]

    @property
    def patient_count(self) -> int:
        return len(np.unique(self.patients))
