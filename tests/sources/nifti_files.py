"""NIfTI files byte by byte, as the standard lays them out (nifti1.h, nifti2.h), without the library that reads them."""

import gzip
import struct
from typing import Any

import numpy as np

TYPES = {
    "u1": (2, 8), "i2": (4, 16), "i4": (8, 32), "f4": (16, 32), "f8": (64, 64), "i1": (256, 8), "u2": (512, 16), "u4": (768, 32),
    "i8": (1024, 64), "u8": (1280, 64), "rgb": (128, 24), "c8": (32, 64),
}  # fmt: skip
RAS = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))
"""The file's axes point to the patient's right, front and top."""
VALUES_1, VALUES_2 = 352, 544
Matrix = tuple[tuple[float, ...], ...]


def nifti(
    values: np.ndarray,
    kind: str = "",
    *,
    shape: tuple[int, ...] | None = None,
    sform: Matrix | None = RAS,
    qform: tuple[float, ...] | None = None,
    slope: float = 1.0,
    intercept: float = 0.0,
    order: str = "<",
    version: int = 1,
    magic: bytes | None = None,
) -> bytes:
    """values: (x, y[, ...]), the first axis fastest in the file, or (x, y, 3) for kind "rgb". qform: quaternion b, c, d, qfac."""
    kind = kind or values.dtype.str[1:]
    code, bits = TYPES[kind]
    sides = shape or (values.shape[:2] if kind == "rgb" else values.shape)
    dim = [len(sides), *sides, *[1] * (7 - len(sides))]
    stored = values.swapaxes(0, 1) if kind == "rgb" else values.T
    body = np.ascontiguousarray(stored).astype(values.dtype.newbyteorder(order)).tobytes()
    fields: dict[str, Any] = {
        "dim": dim, "code": code, "bits": bits, "pixdim": [qform[3] if qform else 1.0, *[1.0] * 7], "slope": slope,
        "intercept": intercept, "qcode": int(qform is not None), "scode": int(sform is not None),
        "quaternion": [*(qform or (0, 0, 0))[:3], 0, 0, 0], "rows": [x for row in sform or ((0,) * 4,) * 3 for x in row],
    }  # fmt: skip
    return (_first if version == 1 else _second)(fields, order, magic) + body


def _first(f: dict[str, Any], order: str, magic: bytes | None) -> bytes:
    head = bytearray(VALUES_1)
    struct.pack_into(order + "i", head, 0, 348)
    struct.pack_into(order + "8h", head, 40, *f["dim"])
    struct.pack_into(order + "hh", head, 70, f["code"], f["bits"])
    struct.pack_into(order + "8f", head, 76, *f["pixdim"])
    struct.pack_into(order + "fff", head, 108, VALUES_1, f["slope"], f["intercept"])
    struct.pack_into(order + "hh6f12f", head, 252, f["qcode"], f["scode"], *f["quaternion"], *f["rows"])
    head[344:348] = magic or b"n+1\0"
    return bytes(head)


def _second(f: dict[str, Any], order: str, magic: bytes | None) -> bytes:
    head = bytearray(VALUES_2)
    struct.pack_into(order + "i", head, 0, 540)
    head[4:12] = magic or b"n+2\0\r\n\x1a\n"
    struct.pack_into(order + "hh8q", head, 12, f["code"], f["bits"], *f["dim"])
    struct.pack_into(order + "8d", head, 104, *f["pixdim"])
    struct.pack_into(order + "qdd", head, 168, VALUES_2, f["slope"], f["intercept"])
    struct.pack_into(order + "ii6d12d", head, 344, f["qcode"], f["scode"], *f["quaternion"], *f["rows"])
    return bytes(head)


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
