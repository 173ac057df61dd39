"""Rows of drawn patients, and ways to divide them among hospitals."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wardround.values.rows import Rows


def drawn(count: int, columns: Mapping[str, NDArray[np.float64]], hospital: str = "all") -> Rows:
    """`count` rows with these columns, each of a patient of its own."""
    patients = np.array([f"p{row:06d}" for row in range(count)])
    return Rows(dict(columns), patients, np.full(count, "train"), hospital)


def divided(rows: Rows, hospitals: int, seed: int = 0) -> dict[str, Rows]:
    """The rows among hospitals `a`, `b`, ..., at random and unevenly; the last one may be empty."""
    shares = np.random.default_rng(seed).dirichlet(np.ones(hospitals), 1)[0]
    homes = np.random.default_rng(seed + 1).choice(hospitals, len(rows), p=shares)
    names = [chr(ord("a") + number) for number in range(hospitals)]
    return {
        name: Rows(
            {column: values[homes == number] for column, values in rows.columns.items()},
            rows.patients[homes == number],
            rows.splits[homes == number],
            name,
        )
        for number, name in enumerate(names)
    }
