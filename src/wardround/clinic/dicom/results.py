"""What goes back to an archive for one answered film, as whole files."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.dicom.answered_film import AnsweredFilm
from wardround.clinic.dicom.capture import heat_picture, picture
from wardround.clinic.dicom.loading import silent
from wardround.clinic.dicom.report import report
from wardround.clinic.place.dicom_settings import Result


@dataclass(frozen=True)
class ResultFile:
    """One object. content: a DICOM file (PS3.10), Explicit VR Little Endian."""

    sop_class_uid: str
    sop_instance_uid: str
    content: bytes


def result_files(
    answered: AnsweredFilm,
    kinds: tuple[Result, ...],
    pixels: NDArray[np.uint8] | None = None,
    heat: NDArray[np.floating[Any]] | None = None,
) -> tuple[ResultFile, ...]:
    """The chosen results that can be made: pictures need the film's pixels (height, width), the heat map one of their shape."""
    made = [report(answered)] if "report" in kinds else []
    if "picture" in kinds and pixels is not None:
        made.append(picture(answered, pixels))
    if "heat-map" in kinds and pixels is not None and heat is not None:
        made.append(heat_picture(answered, pixels, heat))
    return tuple(ResultFile(str(one.SOPClassUID), str(one.SOPInstanceUID), _written(one)) for one in made)


def _written(dataset: Any) -> bytes:
    file = io.BytesIO()
    with silent():
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
