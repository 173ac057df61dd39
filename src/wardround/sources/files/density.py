"""Small files that would fill the memory. Real data shrink to a third or a tenth, constant columns to a hundredth; a file that is
made to do harm shrinks to a thousandth. What a zip says of its own size may be a lie, so that its members are counted.
"""

import gzip
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

from wardround.sources.files.damage import DAMAGE
from wardround.values.errors import DataError

MOST_SHRUNK = 1032
"""Deflate shrinks nothing by more."""
SUSPICIOUS = 200
LARGEST_UNASKED = 2**30
"""Bytes up to which nobody asks how much a file had shrunk."""
_CHUNK = 2**20
_GZIP = b"\x1f\x8b"


def require_bearable(packed: int, unpacked: int) -> None:
    """DataError where `packed` bytes become so many that no data of a hospital could have shrunk so far."""
    most = max(LARGEST_UNASKED, packed * SUSPICIOUS)
    if unpacked > most:
        raise DataError(
            "The file unpacks to far more than data of its size hold, and is refused",
            found=f"{packed / 1e6:.1f} MB that unpack to more than {most / 1e9:.1f} GB",
            hint="ask where it comes from; if it is right, unpack it, or write it as CSV, and name that",
        )


def require_bearable_gzip(path: Path) -> None:
    """The same for a gzip file, read once to its end where it could be so."""
    packed = path.stat().st_size
    if packed * MOST_SHRUNK < LARGEST_UNASKED:
        return
    with path.open("rb") as file:
        if file.read(len(_GZIP)) != _GZIP:
            return
    unpacked = 0
    with suppress(*DAMAGE), gzip.open(path) as content:  # damage is told by whoever parses the file
        while chunk := content.read(_CHUNK):
            unpacked += len(chunk)
            if unpacked > max(LARGEST_UNASKED, packed * SUSPICIOUS):
                break
    require_bearable(packed, unpacked)


def require_bearable_zip(path: Path) -> None:
    """The same for each member of a zip."""
    with suppress(*DAMAGE), zipfile.ZipFile(path) as parts:  # damage is told by whoever reads the file
        for info in parts.infolist():
            if info.compress_size * MOST_SHRUNK >= LARGEST_UNASKED:
                require_bearable(info.compress_size, _counted(parts, info))


def _counted(parts: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """How much a member really unpacks to, counted no further than it matters."""
    unpacked, info.file_size = 0, 2**62
    with suppress(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError), parts.open(info) as part:
        while chunk := part.read(_CHUNK):
            unpacked += len(chunk)
            if unpacked > max(LARGEST_UNASKED, info.compress_size * SUSPICIOUS):
                break
    return unpacked
