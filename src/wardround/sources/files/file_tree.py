"""Files in a folder or a zip, read one at a time and never unpacked."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wardround.sources.files.damage import DAMAGE
from wardround.sources.files.set_aside import SetAside
from wardround.sources.files.walk import walked
from wardround.sources.files.zip_members import listing_of, open_zip

LARGEST_FILE = 512 * 2**20
"""Bytes; a larger member of a zip is not opened, so that a small zip cannot fill the memory."""


class FileTree(Protocol):
    """Named files. names: those that can be read, relative, with forward slashes, sorted. aside: every other file."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def aside(self) -> tuple[SetAside, ...]: ...

    def read(self, name: str, limit: int = -1) -> bytes | None:
        """The file's first `limit` bytes (-1: all); None where it cannot be read or is larger than LARGEST_FILE."""

    def size(self, name: str) -> int:
        """In bytes, unpacked; 0 where it cannot be told."""


@dataclass(frozen=True)
class FolderFileTree:
    root: Path
    names: tuple[str, ...]
    aside: tuple[SetAside, ...] = ()

    def read(self, name: str, limit: int = -1) -> bytes | None:
        path = self.root / name
        try:
            with path.open("rb") as file:
                return file.read(limit) if path.stat().st_size <= LARGEST_FILE else None
        except OSError:
            return None

    def size(self, name: str) -> int:
        try:
            return (self.root / name).stat().st_size
        except OSError:
            return 0


@dataclass(frozen=True)
class ZipFileTree:
    file: zipfile.ZipFile
    members: Mapping[str, zipfile.ZipInfo]
    aside: tuple[SetAside, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)

    def read(self, name: str, limit: int = -1) -> bytes | None:
        try:
            with self.file.open(self.members[name]) as file:
                return file.read(limit) if self.size(name) <= LARGEST_FILE else None
        except DAMAGE:
            return None

    def size(self, name: str) -> int:
        return self.members[name].file_size


@contextmanager
def open_file_tree(path: Path) -> Iterator[FileTree]:
    """The files under a folder or in a zip. Raises DataError on a damaged, encrypted or unsafe zip."""
    if path.is_dir():
        walk = walked(path)
        yield FolderFileTree(path, walk.names, walk.aside)
        return
    with open_zip(path) as file:
        listing = listing_of(file)
        yield ZipFileTree(file, listing.members, listing.aside)


def starts_as_zip(path: Path) -> bool:
    return path.is_file() and first_bytes(path, 2) == b"PK"


def first_bytes(path: Path, limit: int) -> bytes:
    """None of them where the file cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError:
        return b""
