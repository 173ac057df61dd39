"""Records as torch tensors: raw rows kept small, one piece at a time made float."""

from dataclasses import dataclass

import numpy as np
import torch

from wardround.training.head import Targets, as_numbers
from wardround.training.inputs import InputShape, require_shape
from wardround.values.records import Records


@dataclass(frozen=True)
class Rows:
    """A site's inputs and, as `labels`, their targets on one device. Images stay integers (1 or 2 bytes a pixel) until they are
    read, and so do fingerprints (1 byte a number)."""

    raw: torch.Tensor
    labels: torch.Tensor
    full_range: float
    is_image: bool

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: torch.Tensor) -> torch.Tensor:
        """float32: images (n, channels, height, width) in 0..1, value / (2**bits - 1); tables (n, features)."""
        chosen = self.raw[index]
        if not self.is_image:
            return chosen.to(torch.float32)
        pixels = chosen.to(torch.float32).div_(self.full_range)
        return pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()


def rows_of(records: Records, inputs: InputShape, device: torch.device, targets: Targets | None = None) -> Rows:
    """DataError when the records do not have the shape of `inputs`. targets: of the labels; None where nobody reads them."""
    require_shape(records, inputs)
    values = np.ascontiguousarray(records.inputs)
    if inputs.kind == "table":
        full_range = 1.0
        if values.dtype != np.uint8:
            values = values.astype(np.float32, copy=False)
    else:
        full_range = float(np.iinfo(values.dtype).max)
        if values.dtype == np.uint16:
            values = values.astype(np.int32)  # torch indexes few operations of uint16
    return Rows(
        raw=torch.tensor(values, device=device),
        labels=torch.tensor((targets or as_numbers)(records.labels), device=device),
        full_range=full_range,
        is_image=inputs.kind == "image",
    )
