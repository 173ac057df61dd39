"""Which machine part computes."""

import torch

from wardround.values.errors import StudyError


def resolve(device: str) -> torch.device:
    """The device that a study's `device` names: auto is cuda, else mps, else cpu. StudyError where it is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available.get(device, False):
        raise StudyError(
            f"The device is {device!r}, which this machine does not have",
            expected=", ".join(name for name, there in available.items() if there),
            hint='set device = "auto"',
        )
    return torch.device(device)
