"""What a file is, told from its first bytes and never from its name; and which names promise an image."""

from collections.abc import Callable
from pathlib import PurePosixPath

from wardround.sources.dicom_picture.file_format import has_dicom_mark

HEAD_BYTES = 352
"""As many first bytes tell every kind here: the mark of NIfTI is the last, at 344."""

READ_KINDS = frozenset({"PNG", "JPEG", "TIFF"})

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff"})
"""Names that promise an image that is read. A file under another name is one where its first bytes say so."""

UNREAD_SUFFIXES = frozenset({".bmp", ".dib", ".gif", ".webp", ".jp2", ".j2k", ".heic", ".avif", ".dcm", ".nii", ".npy", ".npz"})

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
    ("NIfTI", lambda head: head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] == b"n+2\0"),
    ("tar", lambda head: head[257:262] == b"ustar"),
)

ARCHIVES = frozenset({"zip", "gzip", "7z", "rar", "tar"})
UNREAD_KINDS = frozenset({"BMP", "GIF", "WebP", "JPEG 2000", "HEIF", "DICOM", "NIfTI", "NumPy"})


def kind_of(head: bytes) -> str:
    r"""The kind of a file by its first HEAD_BYTES; "" where they tell none.

    >>> kind_of(b"\x89PNG\r\n\x1a\n"), kind_of(b"age,label")
    ('PNG', '')
    """
    marked = next((kind for kind, has_mark in _MARKS if has_mark(head)), "")
    return marked or next((kind for start, kind in _STARTS if head.startswith(start)), "")


def suffix_of(name: str) -> str:
    return PurePosixPath(name).suffix.casefold()
