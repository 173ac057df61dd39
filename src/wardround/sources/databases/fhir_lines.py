"""The files of a FHIR bulk export, line by line. One file holds one kind of resource, as the specification of bulk data says.

Source: https://hl7.org/fhir/uv/bulkdata/
"""

import gzip
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from wardround.sources.damage import DAMAGE
from wardround.sources.databases.fhir_values import Resource
from wardround.sources.file_tree import shown_files
from wardround.values.errors import DataError

LONGEST_LINE = 16 * 2**20
"""Bytes; a longer line holds no resource that a cohort reads."""
_SUFFIXES = (".ndjson", ".ndjson.gz")
_DAMAGED = (OSError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class ExportFile:
    """kind: the resource on its first line; of an empty file, the one that its name begins with."""

    name: str
    kind: str
    open: Callable[[], IO[bytes]]

    def lines(self) -> Iterator[tuple[int, bytes, Resource | None]]:
        """Each line with its number from 1, its bytes, and the resource; None where it holds none."""
        try:
            with self.open() as file:
                for number, line in _limited(file):
                    if line is None or line.strip():
                        yield number, line or b"", None if line is None else resource_in(line)
        except _DAMAGED:
            raise DataError(
                f"A file of {self.kind} in the export is damaged or cut short", hint="export it again, or copy it again"
            ) from None


def _limited(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Lines, and None for one that is too long, which is passed over without being held."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) <= LONGEST_LINE:
            yield number, line
            continue
        while not line.endswith(b"\n") and (line := file.readline(LONGEST_LINE)):
            pass
        yield number, None


def resource_in(line: bytes) -> Resource | None:
    """The resource of a line; None where it is no JSON, or no resource."""
    try:
        value = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("resourceType"), str) else None


@contextmanager
def open_export(path: Path) -> Iterator[tuple[ExportFile, ...]]:
    """The ndjson files of a folder or zip, by name."""
    if path.is_dir():
        files = [file for file in shown_files(path) if is_ndjson(file.name)]
        yield tuple(_described(file.relative_to(path).as_posix(), partial(_opened, file)) for file in files)
        return
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE:
        raise DataError("The zip is damaged or cut short", hint="copy it again, and compare its size with the original") from None
    with archive:
        names = sorted(name for name in archive.namelist() if is_ndjson(name))
        yield tuple(_described(name, partial(archive.open, name)) for name in names)


def is_ndjson(name: str) -> bool:
    plain = PurePosixPath(name)
    hidden = any(folder.startswith((".", "__MACOSX")) for folder in plain.parts)
    return plain.name.casefold().endswith(_SUFFIXES) and not hidden


def _described(name: str, opener: Callable[[], IO[bytes]]) -> ExportFile:
    plain = partial(_unzipped, opener) if name.casefold().endswith(".gz") else opener
    by_name = PurePosixPath(name).name.partition(".")[0].partition("_")[0].partition("-")[0]
    try:
        with plain() as file:
            first = next((line for _, line in _limited(file) if line is None or line.strip()), None)
    except DAMAGE:
        raise DataError("A file of the export is damaged or cut short", found=name, hint="export it again") from None
    resource = resource_in(first) if first else None
    return ExportFile(name, by_name if resource is None else str(resource["resourceType"]), plain)


def _opened(file: Path) -> IO[bytes]:
    return file.open("rb")


def _unzipped(opener: Callable[[], IO[bytes]]) -> IO[bytes]:
    return gzip.open(opener())  # type: ignore[return-value]
