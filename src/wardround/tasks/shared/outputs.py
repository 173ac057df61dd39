"""A model's outputs as evaluation takes them: numbers, none of them infinite."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.protocol import Floats
from wardround.values.errors import RunError

FAR = 1e6
"""What stands for an infinite output: a sum of such squares is still a number."""


def usable(outputs: NDArray[Any]) -> Floats:
    """float64, cut to [-FAR, FAR]. RunError where an output is not a number: the model has diverged."""
    numbers = np.asarray(outputs, np.float64)
    if np.isnan(numbers).any():
        raise RunError(
            "The model gives scores that are not numbers",
            expected="finite scores for every record",
            found=f"{int(np.isnan(numbers).reshape(len(numbers), -1).any(axis=1).sum())} of {len(numbers)} records have a NaN",
            hint="training has diverged: lower the learning rate and start the run again",
        )
    return np.clip(numbers, -FAR, FAR)
