"""What numbers an order may hold: finite ones of a size that a model can have."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wardround.values.errors import RefusedError

LARGEST = 2.0**20
"""No weight of a trained network comes near. Beyond it a model's outputs overflow for some records and not for others."""


def require_usable(arrays: Mapping[str, NDArray[np.floating]]) -> None:
    """RefusedError where an array of an order holds a value that is not finite, or larger than `LARGEST`."""
    for name, array in arrays.items():
        if not bool((np.abs(array) <= LARGEST).all()):
            raise RefusedError(
                f"The order's array {name} holds values that no model has", expected=f"finite, at most {LARGEST:g}", code="model"
            )
