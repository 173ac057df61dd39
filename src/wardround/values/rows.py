"""The rows of one hospital as they were measured: what an analysis reads. They never leave the site.

Records are prepared for a network: scaled, float32. Rows keep what the file says, in the unit of the contract and in float64,
since the eighth digit of a standard error counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """n rows of one hospital.

    columns: name -> float64 (n,). A number is in the unit of its contract; a category or binary is the position of its code in
    `ColumnContract.codes`, from 0; the label's column is its target. NaN where the value is missing. patients, splits: as in
    `Records`. hospital: its public name.
    """

    columns: Mapping[str, NDArray[np.float64]]
    patients: NDArray[np.str_]
    splits: NDArray[np.str_]
    hospital: str

    def __post_init__(self) -> None:
        lengths = {len(self.patients), len(self.splits), *(len(values) for values in self.columns.values())}
        if len(lengths) != 1:
            raise ValueError(f"rows need as many patients and splits as values; lengths are {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.patients)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.columns[name]

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Which rows (n,) have no value in the column."""
        return np.isnan(self.columns[name])

    def complete(self, *names: str) -> NDArray[np.bool_]:
        """Which rows (n,) have a value in each of the columns."""
        there = np.ones(len(self), bool)
        for name in names:
            there &= ~self.missing(name)
        return there

    def select(self, index: NDArray[Any]) -> "Rows":
        """The rows that `index` (booleans or positions) names, in that order."""
        columns = {name: values[index] for name, values in self.columns.items()}
        return Rows(columns, self.patients[index], self.splits[index], self.hospital)

    @property
    def patient_count(self) -> int:
        return len(np.unique(self.patients))


def joined_rows(parts: Mapping[str, Rows], hospital: str = "all") -> Rows:
    """Several hospitals' rows as one's: what one place would have held. Patients of different hospitals are different people."""
    every = list(parts.items())
    names = list(every[0][1].columns)
    return Rows(
        {name: np.concatenate([part[name] for _, part in every]) for name in names},
        np.concatenate([np.char.add(f"{site}/", part.patients) for site, part in every]),
        np.concatenate([part.splits for _, part in every]),
        hospital,
    )
