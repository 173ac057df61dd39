"""A sum over patients in which one of them moves the total by at most one clip norm: what noise is added to in an analysis.

    rows --one for each patient--> vectors (n, d) --shortened to 1 - ROOM--> whole numbers of 2**-34 --added--> (d,) in clip norms

**Sensitivity.** Whole numbers are added, so a patient who comes or goes changes the sum by exactly the patient's own whole
numbers: a vector of length 1 - ROOM, off by half a number in each of d places, 2**-35 sqrt(d). ROOM, 2**-10, is larger than that
for every d below 2**50, and what is left of it is for two roundings more. The sum becomes float64, which costs below 2**-25 in
each place even of 2**28 patients. And the vectors of the others may differ in their last digits, since an exponential of a
library may round otherwise in another place of an array: they are made of single products and sums, in the order of columns, so
that 2**-44 of each patient's vector is more than that can be, and 2**-16 of all together.

A vector with a number that is not finite counts as nothing. So does every patient beyond the first MOST of one hospital.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

ROOM = 2.0**-10
MOST = 2**28
"""Patients of one hospital: so many whole numbers fit a word of 64 bits."""
BLOCK = 2**21
"""Numbers of the vectors that are made at once: 16 MiB."""
_UNIT = 2.0**34


def bounded_sum(blocks: Iterable[NDArray[np.float64]], size: int) -> NDArray[np.float64]:
    """The sum (size,) of vectors, in clip norms. blocks: (n, size) each, a row for each patient.

    >>> bounded_sum([np.array([[0.0, 0.5], [3.0, 4.0]])], 2).round(3)  # the second is shortened to length 1
    array([0.599, 1.299])
    """
    total = np.zeros(size, np.int64)
    for vectors in blocks:
        finite = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, 0.0)
        with np.errstate(over="ignore"):
            lengths = np.sqrt((finite**2).sum(axis=1, keepdims=True))
        kept = np.where(np.isfinite(lengths), finite * np.minimum(1.0, (1.0 - ROOM) / np.maximum(lengths, 1e-300)), 0.0)
        total += np.rint(kept * _UNIT).astype(np.int64).sum(axis=0)
    return total / _UNIT


def first_of_each(patients: NDArray[np.str_]) -> NDArray[np.int64]:
    """Positions of the first row of each patient, in the order of the rows, at most MOST: one row is all that counts of anybody.

    >>> first_of_each(np.array(["b", "a", "b", "c"])).tolist()
    [0, 1, 3]
    """
    _, first = np.unique(patients, return_index=True)
    return np.sort(first)[:MOST].astype(np.int64)
