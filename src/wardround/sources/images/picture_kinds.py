"""What a file is, told from its first bytes and never from its name; and which names promise an image."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from wardround.sources.dicom.picture.file_format import has_dicom_mark

HEAD_BYTES = 1024
"""As many first bytes tell every kind here: a gzip's unpack to the mark of NIfTI, which is the last, at 344."""

READ_KINDS = frozenset({"PNG", "JPEG", "TIFF", "NIfTI"})

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".nii", ".nii.gz"})
"""Names that promise an image that is read. A file under another name is one where its first bytes say so."""

UNREAD_SUFFIXES = frozenset({".bmp", ".dib", ".gif", ".webp", ".jp2", ".j2k", ".heic", ".avif", ".dcm", ".npy", ".npz"})

TABLE_SUFFIXES = frozenset(
    {".csv", ".tsv", ".tab", ".parquet", ".feather", ".xls", ".xlsx", ".xlsm", ".ods", ".sav", ".dta", ".json", ".ndjson", ".db"}
)
"""Names of tables, which may hold records or labels that the person forgot."""

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF8", "GIF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x93NUMPY", "NumPy"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!", "rar"),
)
_BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))
_MARKS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("DICOM", lambda head: has_dicom_mark(head[:132])),
    ("WebP", lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP"),
    ("HEIF", lambda head: head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif")),
    ("BMP", lambda head: head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS),
    ("tar", lambda head: head[257:262] == b"ustar"),
)

GZIP = b"\x1f\x8b"
NIFTI_HEAD = 540
"""Bytes of the longer of the two headers."""

ARCHIVES = frozenset({"zip", "gzip", "7z", "rar", "tar"})
UNREAD_KINDS = frozenset({"BMP", "GIF", "WebP", "JPEG 2000", "HEIF", "DICOM", "NIfTI in two files", "NumPy"})


def kind_of(head: bytes) -> str:
    r"""The kind of a file by its first HEAD_BYTES; "" where they tell none.

    >>> kind_of(b"\x89PNG\r\n\x1a\n"), kind_of(b"age,label")
    ('PNG', '')
    """
    if form := nifti_form(gunzipped(head, NIFTI_HEAD) if head[:2] == GZIP else head):
        return "NIfTI" if form.single else "NIfTI in two files"
    marked = next((kind for kind, has_mark in _MARKS if has_mark(head)), "")
    return marked or next((kind for start, kind in _STARTS if head.startswith(start)), "")


@dataclass(frozen=True)
class NiftiForm:
    """order: of bytes, as numpy writes it. version: 1 or 2. single: header and values stand in one file."""

    order: Literal["<", ">"]
    version: Literal[1, 2]
    single: bool


def nifti_form(head: bytes) -> NiftiForm | None:
    """The form of a NIfTI file by its header's length (348 or 540, in either byte order) and its mark; None of another file."""
    for order, length in (("<", int.from_bytes(head[:4], "little")), (">", int.from_bytes(head[:4], "big"))):
        if length == 348 and head[344:348] in (b"n+1\0", b"ni1\0"):
            return NiftiForm(order, 1, head[345:346] == b"+")  # type: ignore[arg-type]
        if length == 540 and head[4:8] in (b"n+2\0", b"ni2\0"):
            return NiftiForm(order, 2, head[5:6] == b"+")  # type: ignore[arg-type]
    return None


def gunzipped(head: bytes, limit: int) -> bytes:
    """The first `limit` bytes, at most, that the beginning of a gzip file unpacks to; none where it is damaged."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, limit)
    except zlib.error:
        return b""


def suffix_of(name: str) -> str:
    """In lower case; `.nii.gz` is one."""
    suffix = PurePosixPath(name).suffix.casefold()
    return ".nii.gz" if suffix == ".gz" and name.casefold().endswith(".nii.gz") else suffix
