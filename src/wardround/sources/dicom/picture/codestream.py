"""What a compressed picture says of itself: size, samples, depth. It is compared with the header, which a tool may have changed.

JPEG (ISO 10918-1 B.2.2) and JPEG-LS (ISO 14495-1 C.2.2): the frame header.   JPEG 2000 (ISO 15444-1 A.5.1): the SIZ segment.
"""

import struct
from dataclasses import dataclass

_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True)
class Codestream:
    """family: jpeg, jpeg-ls or jpeg-2000. bits: of one sample."""

    family: str
    rows: int
    columns: int
    samples: int
    bits: int


def codestream_of(content: bytes) -> Codestream | None:
    """None where the bytes are of no family that says its size, or are cut short before it."""
    try:
        if content.startswith(b"\xff\xd8"):
            return _jpeg(content)
        if content[4:8] == b"jP  ":
            content = content[content.index(b"\xff\x4f\xff\x51") :]
        if content.startswith(b"\xff\x4f\xff\x51"):
            return _jpeg_2000(content)
    except (struct.error, ValueError, IndexError):
        return None
    return None


def _jpeg(content: bytes) -> Codestream | None:
    at = 2
    while True:
        marker, code = content[at], content[at + 1]
        if marker != 0xFF:
            return None
        if code == 0xFF or code in _ALONE:
            at += 1 if code == 0xFF else 2
            continue
        length = struct.unpack_from(">H", content, at + 2)[0]
        if code in _FRAME_HEADERS:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", content, at + 4)
            return Codestream("jpeg-ls" if code == 0xF7 else "jpeg", rows, columns, samples, bits)
        at += 2 + length


def _jpeg_2000(content: bytes) -> Codestream:
    right, bottom, left, top = struct.unpack_from(">4I", content, 8)
    samples, depth = struct.unpack_from(">HB", content, 40)
    return Codestream("jpeg-2000", bottom - top, right - left, samples, (depth & 0x7F) + 1)
