"""What one record looks like to a network."""

from dataclasses import dataclass
from typing import Literal

from wardround.values.errors import DataError
from wardround.values.records import Records

FEATURE_MEAN = "scaling.feature_mean"
"""The array that holds the mean of features, which a round of sums finds out."""


@dataclass(frozen=True)
class InputShape:
    """kind "image": channels (1 or 3), height and width in pixels. kind "table": features. The other sizes are 0."""

    kind: Literal["image", "table"]
    channels: int = 0
    height: int = 0
    width: int = 0
    features: int = 0

    def __post_init__(self) -> None:
        if self.kind == "image":
            fits = self.channels in (1, 3) and self.height > 0 and self.width > 0 and self.features == 0
        else:
            fits = self.features > 0 and self.channels == self.height == self.width == 0
        if not fits:
            raise ValueError(f"no such input: {self}")

    @property
    def row(self) -> tuple[int, ...]:
        """The shape of one record as a network takes it: (channels, height, width) or (features,)."""
        return (self.channels, self.height, self.width) if self.kind == "image" else (self.features,)


def shape_of(records: Records) -> InputShape:
    """The shape that these records have.

    >>> import numpy as np
    >>> blank = Records(np.zeros((2, 8, 6), np.uint8), np.zeros(2, np.int8), np.array(["a", "b"]), np.array(["train", "test"]))
    >>> shape_of(blank).row
    (1, 8, 6)
    """
    shape = records.inputs.shape
    if len(shape) == 2:
        return InputShape("table", features=shape[1])
    if len(shape) == 3 or (len(shape) == 4 and shape[3] == 3):
        return InputShape("image", channels=1 if len(shape) == 3 else 3, height=shape[1], width=shape[2])
    raise DataError(
        "the records are neither images nor a table",
        expected="(n, height, width), (n, height, width, 3) or (n, features)",
        found=str(shape),
    )


def require_shape(records: Records, inputs: InputShape) -> None:
    """DataError unless `records` are what `inputs` says."""
    shape = shape_of(records)
    if shape != inputs:
        raise DataError("the records do not have the shape the network was built for", expected=str(inputs), found=str(shape))
