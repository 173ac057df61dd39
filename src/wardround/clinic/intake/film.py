"""What the intake makes of a file: what the network reads, what the viewer draws, and what the header says.

header   {"rows", "columns", "window", ...}     numbers and code words, no patient
identity {"PatientName", "StudyDate", ...}      held in memory while the film is, never in the database nor in a log
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Warned:
    """Something doubtful of a film that is answered. code: the finding's. text, hint: English, without a value of the header."""

    code: str
    text: str
    hint: str


@dataclass(frozen=True)
class Shown:
    """What the viewer draws. pixels: uint16 (height, width), 0 the smallest and 65535 the largest value that can occur.
    window: (low, high) of those, where the film's own window begins and ends. inverted: MONOCHROME1, the viewer turns it over.
    reduced: times that a side was made smaller."""

    pixels: NDArray[np.uint16]
    window: tuple[float, float] = (0.0, 65535.0)
    inverted: bool = False
    reduced: int = 1


@dataclass(frozen=True)
class Film:
    """One image that was decoded.

    Attributes
    ----------
    prepared
        What `sources.prepare` gives for the file under the model's contract.
    shown
        None where nobody asked for it.
    warnings
        What is doubtful.
    patient, study
        Hashes of PatientID and StudyInstanceUID under the clinic's own key; "" where the file has none.
    identity
        What the doctor needs to know whose film it is; empty of a file without a header.
    facts
        Code words and numbers of the header: modality, view, device, rows, columns, age in years, sex.
    """

    prepared: NDArray[Any]
    shown: Shown | None = None
    warnings: tuple[Warned, ...] = ()
    patient: str = ""
    study: str = ""
    identity: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
