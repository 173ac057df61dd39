"""An answer as pictures: the film with the answer printed below it, and the film with the heat map over it (Secondary Capture).

Nothing of the patient is printed: what stands below the film is the answer alone. Whatever was burnt into the film is in the
copy, and so is what the film says of it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from wardround.clinic.dicom.answered_film import AnsweredFilm
from wardround.clinic.dicom.film_header import COPIED_TO_PICTURES, FilmHeader
from wardround.clinic.dicom.loading import need_highdicom, silent
from wardround.clinic.dicom.report import SERIES, finished, series_description

_LARGEST, _NARROWEST = 1024, 512
_SIGNS = 74
"""Signs that a line holds at the chosen size of letters."""
HEAT_NOTE = "The colours show what the score hangs on: a hint, not a proof."


def picture(answered: AnsweredFilm, pixels: NDArray[np.uint8]) -> Any:
    """The film (height, width) with the answer in words below it."""
    return _capture(answered, _printed(_fitted(pixels), answered.lines), "answer", 1)


def heat_picture(answered: AnsweredFilm, pixels: NDArray[np.uint8], heat: NDArray[np.floating[Any]]) -> Any:
    """The film (height, width) with a heat map of the same shape over it, in [0, 1]."""
    small = _fitted(pixels)
    size = (small.shape[1], small.shape[0])
    share = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    return _capture(answered, _printed(_warm(small, share), [*answered.lines, HEAT_NOTE]), "heat map", 2)


def displayed(pixels: NDArray[np.uint16], window: tuple[float, float], *, inverted: bool) -> NDArray[np.uint8]:
    """What a screen shows of a film (height, width) at its own window: 0 black, 255 white."""
    low, high = window
    light = np.clip((np.arange(65536) - low) / max(high - low, 1.0), 0.0, 1.0)
    shades = np.rint((1.0 - light if inverted else light) * 255).astype(np.uint8)
    return np.take(shades, pixels)


def over_film(heat: NDArray[np.floating[Any]], film: tuple[int, int], fit: str) -> NDArray[np.float32]:
    """A heat map of the network's input as one of the film (height, width): what was padded is cut off again."""
    from wardround.sources.images.pixels import inside_padding

    inner = heat
    if fit == "pad":
        rows, columns = inside_padding(film, (heat.shape[0], heat.shape[1]))
        inner = heat[rows, columns]
    resized = Image.fromarray(inner.astype(np.float32)).resize((film[1], film[0]), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(resized, np.float32), 0.0, 1.0)


def _fitted(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At most _LARGEST a side, and wide enough for the text."""
    height, width = pixels.shape
    ratio = min(_LARGEST / max(height, width), max(1.0, _NARROWEST / width))
    if ratio == 1:
        return pixels
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    resized: NDArray[np.uint8] = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), np.uint8)
    return resized


def _warm(pixels: NDArray[np.uint8], share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey where the map is 0, towards orange where it is 1, at most half of the film covered."""
    film = np.repeat(pixels[..., None].astype(np.float32), 3, axis=2)
    weight = 0.5 * np.clip(share, 0, 1)[..., None]
    mixed: NDArray[np.uint8] = np.rint(film * (1 - weight) + np.array([255, 120, 0], np.float32) * weight).astype(np.uint8)
    return mixed


def _printed(pixels: NDArray[np.uint8], lines: Sequence[str]) -> NDArray[np.uint8]:
    """The picture with white text on a black band below it; a narrow one gets black at its right, for the text."""
    if pixels.shape[1] < _NARROWEST:
        beside = (pixels.shape[0], _NARROWEST - pixels.shape[1], *pixels.shape[2:])
        pixels = np.concatenate([pixels, np.zeros(beside, np.uint8)], axis=1)
    width = pixels.shape[1]
    letters = max(14, round(width / _SIGNS * 1.7))
    font = ImageFont.load_default(letters)
    wrapped = [piece for line in lines for piece in _wrapped(line, font, width - letters)]
    step = round(letters * 1.4)
    band = Image.new("L" if pixels.ndim == 2 else "RGB", (width, step * len(wrapped) + letters))
    draw = ImageDraw.Draw(band)
    for number, line in enumerate(wrapped):
        draw.text(
            (letters // 2, letters // 2 + number * step), line, fill=255 if pixels.ndim == 2 else (255, 255, 255), font=font
        )
    return np.concatenate([pixels, np.asarray(band)])


def _wrapped(line: str, font: Any, width: int) -> list[str]:
    pieces = [""]
    for word in line.split(" "):
        longer = f"{pieces[-1]} {word}".strip(" ")
        if pieces[-1] and font.getlength(longer) > width:
            pieces.append(word)
        else:
            pieces[-1] = longer
    return pieces


def _capture(answered: AnsweredFilm, pixels: NDArray[np.uint8], kind: str, number: int) -> Any:
    film, question = answered.film, answered.question
    highdicom = need_highdicom()
    with silent():
        made = highdicom.sc.SCImage(
            pixel_array=np.ascontiguousarray(pixels),
            photometric_interpretation="MONOCHROME2" if pixels.ndim == 2 else "RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            study_instance_uid=film.study_uid,
            series_instance_uid=answered.uid("picture series"),
            series_number=SERIES + 1,
            sop_instance_uid=answered.uid(kind),
            instance_number=number,
            manufacturer="Wardround",
            patient_orientation=("L", "F"),
        )
        made.PatientOrientation = made.Laterality = None
        made.ConversionType = "WSD"
        made.SeriesDescription = series_description("AI pictures", question)
        made.DerivationDescription = f"Answer of a model printed on the film: {kind}"
        made.ImageComments = series_description(kind, question)
        made.SourceImageSequence = [_source(film)]
        film.copy_to(made, COPIED_TO_PICTURES)
        made = finished(made, answered)
        made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = made.ContentDate, made.ContentTime
        return made


def _source(film: FilmHeader) -> Any:
    from pydicom.dataset import Dataset

    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = film.sop_class_uid, film.sop_instance_uid
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
