"""What may come in. Each is checked before the decoder makes room for anything."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """content_bytes: of one file. pixels: of one picture. unpacked_bytes: of a deflated or gzipped file. memory_bytes: address
    space of a decoder beside what it has at its start. decode_s: for one file; the process is ended then."""

    content_bytes: int = 64 << 20
    pixels: int = 40_000_000
    unpacked_bytes: int = 256 << 20
    memory_bytes: int = 2 << 30
    decode_s: float = 20.0
    shown_side: int = 2048
    """The viewer is sent at most so many pixels a side; a larger film is averaged down, and the page says so."""
