"""What a result needs to know of a film: whose it is, its study, and how to name it. Nothing else of its header is read.

    file --few elements--> FilmHeader --copied as they stand--> report, pictures

Elements are copied as the bytes that they are, under the film's own character set: a name that this machine cannot read reaches
the archive unchanged, and no text of a patient is ever decoded here.
"""

import io
import re
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from typing import Any

from wardround.clinic.dicom.loading import need_pydicom, silent
from wardround.clinic.dicom.uids import is_uid
from wardround.sources.dicom.picture.file_format import has_dicom_mark
from wardround.sources.files.damage import DAMAGE
from wardround.values.errors import DataError

COPIED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "StudyDescription",
    "StudyInstanceUID",
    "TimezoneOffsetFromUTC",
)
"""Of patient and study: what an archive files by. Everything personal that a result holds is one of these."""

COPIED_TO_PICTURES = (
    "PatientOrientation",
    "Laterality",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
_READ = (*COPIED, *COPIED_TO_PICTURES, "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "Rows", "Columns")
_OFFSET = re.compile(r"([+-])(0\d|1[0-4])([0-5]\d)")
_DEFLATED = b"1.2.840.10008.1.2.1.99"


@dataclass(frozen=True)
class FilmHeader:
    """elements: a data set of the elements above, those that the film has. The UIDs are sound."""

    elements: Any
    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    modality: str

    @property
    def zone(self) -> tzinfo | None:
        """The zone in which all times of the film are, where it says so; None where they are the hospital's own."""
        match = _OFFSET.fullmatch(str(self.elements.get("TimezoneOffsetFromUTC") or ""))
        if match is None:
            return None
        return timezone((1 if match[1] == "+" else -1) * timedelta(hours=int(match[2]), minutes=int(match[3])))

    def copy_to(self, dataset: Any, names: tuple[str, ...]) -> None:
        """Puts these elements of the film into a data set, in place of what stands there; what the film lacks stays."""
        from pydicom.datadict import tag_for_keyword

        for name in names:
            tag = tag_for_keyword(name)
            if tag in self.elements:
                dataset[tag] = self.elements.get_item(tag)


def film_header(content: bytes) -> FilmHeader:
    """The header in a DICOM file's bytes. DataError where it is none, or does not name its study and itself."""
    pydicom = need_pydicom()
    damage: tuple[type[Exception], ...] = (pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException, *DAMAGE)

    if not has_dicom_mark(content[:132]) or _DEFLATED in content[:1024]:
        raise DataError("This file names no study", expected="a DICOM file that is not deflated", hint="send it from the archive")
    try:
        with silent():
            elements = pydicom.dcmread(io.BytesIO(content), force=True, stop_before_pixels=True, specific_tags=list(_READ))
            names = {
                name: _uid(elements, name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
            }
            modality = str(elements.get("Modality") or "")
    except damage:
        raise DataError("The DICOM header is damaged", hint="send the film again from the archive") from None
    return FilmHeader(
        elements,
        names["StudyInstanceUID"],
        names["SeriesInstanceUID"],
        names["SOPClassUID"],
        names["SOPInstanceUID"],
        modality if modality.isascii() and modality.isalnum() and len(modality) <= 16 else "",
    )


def _uid(elements: Any, name: str) -> str:
    text = str(elements.get(name) or "")
    if not is_uid(text):
        raise DataError(
            f"The film has no {name} that can be used",
            expected="numbers and dots, at most 64 signs",
            hint="send it as the modality made it",
        )
    return text
