"""DICOM files as they lie in exports: with or without the preamble, and among them objects that are no pictures."""

import io
import re
from typing import Any

_MARK_AT = 128
_GROUPS = (b"\x02\x00", b"\x08\x00")
_VR = re.compile(rb"UL|OB|UI|SH|AE|CS|DA|TM|DT|LO|SQ|ST|UN|LT|PN|IS|DS|US")
_CLASS = re.compile(rb"(?:\x02\x00\x02\x00|\x08\x00\x16\x00)(?:UI(..)|(..)\x00\x00)", re.DOTALL)
HEAD_BYTES = 1024
"""Enough for the file's own words on what it is: the group of file meta information has a dozen short elements."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_DIRECTORY = "1.2.840.10008.1.3.10"
DICOMDIR = "a directory (DICOMDIR)"
_NO_PICTURES = {
    "11.": "presentation states",
    "88.": "structured reports",
    "104.": "documents",
    "9.": "waveforms",
    "66": "raw data, segmentations and registrations",
    "481.3": "radiotherapy objects",
    "481.5": "radiotherapy objects",
    "481.8": "radiotherapy objects",
}
"""Of storage classes (PS3.4 B.5), by the beginning of what follows _STORAGE: objects beside pictures that hold none."""


def has_dicom_mark(head: bytes) -> bool:
    """Whether the first 132 bytes are those of a DICOM file: "DICM" after a preamble of 128 bytes (PS3.10, 7.1), or none of both
    and a first element of group 0002 or 0008, as old archives write.

    >>> has_dicom_mark(bytes(128) + b"DICM"), has_dicom_mark(b"\\x08\\x00\\x16\\x00UI\\x1a\\x00"), has_dicom_mark(b"PK\\x03\\x04")
    (True, True, False)
    """
    return head[_MARK_AT : _MARK_AT + 4] == b"DICM" or _starts_with_element(head)


def _starts_with_element(head: bytes) -> bool:
    """A group, an element of the first 256, then a VR in letters; or, in little-endian, a length that fits a first element."""
    explicit = bool(_VR.fullmatch(head[4:6]))
    if head[:2] in _GROUPS and head[3:4] == b"\0":
        return explicit or 0 < int.from_bytes(head[4:8], "little") <= HEAD_BYTES
    return explicit and head[:3] == b"\0\x08\0"


def read_dataset(content: bytes) -> Any:
    """The data set of a file; without a preamble its encoding is told from its first element."""
    import pydicom
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    marked = content[_MARK_AT : _MARK_AT + 4] == b"DICM"
    dataset = pydicom.dcmread(io.BytesIO(content), force=not marked)
    if not marked and not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little_endian = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def object_of(head: bytes) -> str:
    """What the file says it is, in words, where that is no picture; "" for pictures and for files that do not say.

    >>> object_of(bytes(128) + b"DICM" + b"\\x02\\x00\\x02\\x00UI\\x14\\x001.2.840.10008.1.3.10")
    'a directory (DICOMDIR)'
    """
    match = _CLASS.search(head)
    if match is None:
        return ""
    length = int.from_bytes(match.group(1) or match.group(2), "little")
    return _object_of_class(head[match.end() : match.end() + length].strip(b"\0 ").decode("ascii", "replace"))


def _object_of_class(sop_class: str) -> str:
    if sop_class == _DIRECTORY:
        return DICOMDIR
    kind = sop_class.removeprefix(_STORAGE)
    if kind == sop_class:
        return ""
    return next((words for start, words in _NO_PICTURES.items() if kind.startswith(start)), "")
