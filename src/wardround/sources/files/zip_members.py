"""The members of a zip, read in place and never unpacked, with names as the hospital wrote them.

A backslash is a folder sign: some programs on Windows write it. Names without the mark of UTF-8 are UTF-8 where their bytes are,
and else code page 437, as the format says.
"""

import stat
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wardround.sources.files.damage import DAMAGE
from wardround.sources.files.set_aside import Reason, SetAside
from wardround.sources.files.walk import hidden_part
from wardround.values.errors import DataError
from wardround.values.printable import printable

_UTF8_MARK, _ENCRYPTED = 0x800, 0x1
_METHODS = {9: "deflate64", 93: "zstandard", 95: "xz", 97: "wavpack", 98: "ppmd"}
_READ_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})


@dataclass(frozen=True)
class ZipListing:
    """members: by name with forward slashes, those that can be read. aside: every other, sorted."""

    members: dict[str, zipfile.ZipInfo]
    aside: tuple[SetAside, ...]


def listing_of(file: zipfile.ZipFile) -> ZipListing:
    """Every member of a zip. DataError where it is encrypted, packed by a method that is not read, or unsafe."""
    infos = [(_name(info), info) for info in file.infolist()]
    files = [(name, info) for name, info in infos if not name.endswith("/")]
    _require_readable([info for _, info in files])
    if any(_is_unsafe(name) for name, _ in infos):
        raise DataError("The zip names files outside itself and is refused", hint="make it again with relative names")
    times = Counter(name for name, _ in files)
    aside: list[SetAside] = []
    members: dict[str, zipfile.ZipInfo] = {}
    for name, info in files:
        reason = _reason(name, info, times[name])
        if (part := hidden_part(name)) is not None:
            aside.append(SetAside(printable(part[0]), part[1]))
        elif reason is not None:
            aside.append(SetAside(printable(name), reason))
        else:
            members[name] = info
    folders = {spot for spot in aside if spot.name.endswith("/")}
    alone = [spot for spot in aside if not spot.name.endswith("/")]
    return ZipListing(dict(sorted(members.items())), tuple(sorted([*folders, *alone], key=lambda spot: spot.name)))


def shown_names(file: zipfile.ZipFile) -> tuple[str, ...]:
    """The names of the files in a zip; folders and what is hidden are left out. It need not be one that can be read."""
    names = map(_name, file.infolist())
    return tuple(name for name in names if not name.endswith("/") and hidden_part(name) is None)


def open_zip(path: Path) -> zipfile.ZipFile:
    """DataError where the zip is damaged."""
    try:
        return zipfile.ZipFile(path)
    except PermissionError:
        raise DataError(f"{path} may not be read by this user", hint="ask its owner to let this user read it") from None
    except DAMAGE:
        raise DataError("The zip is damaged or cut short", hint="copy it again, and compare its size with the original") from None


def _require_readable(infos: Iterable[zipfile.ZipInfo]) -> None:
    for info in infos:
        if info.flag_bits & _ENCRYPTED:
            raise DataError(
                "The zip is encrypted with a password", hint="unpack it with its password, and name the folder with its files"
            )
        if info.compress_type not in _READ_METHODS:
            raise DataError(
                "The zip is packed by a method that is not read",
                expected="deflate, bzip2, lzma or none",
                found=_METHODS.get(info.compress_type, f"method {info.compress_type}"),
                hint="unpack it, and name the folder with its files",
            )


def _name(info: zipfile.ZipInfo) -> str:
    name = info.filename
    if not info.flag_bits & _UTF8_MARK and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return _without_dots(name.replace("\\", "/"))


def _without_dots(name: str) -> str:
    """A name without "." and nothing between its folder signs: two that differ by these alone are one file.

    >>> _without_dots("./a//b/./c.png"), _without_dots("/a/"), _without_dots("a/../b")
    ('a/b/c.png', '/a/', 'a/../b')
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "/" * name.startswith("/") + "/".join(parts) + "/" * (name.endswith(("/", "/.")) and bool(parts))


def _as_listed(info: zipfile.ZipInfo) -> str:
    return _without_dots(info.filename.replace("\\", "/"))


def _is_latin(sign: str) -> bool:
    """Whether a sign of code page 437 is one that names are made of: bytes of another encoding show as frames and Greek."""
    return sign.isascii() or unicodedata.name(sign, "").startswith("LATIN")


def _reason(name: str, info: zipfile.ZipInfo, times: int) -> Reason | None:
    if not info.flag_bits & _UTF8_MARK and name == _as_listed(info) and not all(map(_is_latin, name)):
        return "zip-names"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "zip-link"
    return "zip-doubled" if times > 1 else None


def _is_unsafe(name: str) -> bool:
    """Nothing is ever unpacked, yet a name that climbs out of the zip is a sign of an attack."""
    parts = PurePosixPath(name).parts
    return not parts or ".." in parts or parts[0] == "/" or ":" in parts[0]
