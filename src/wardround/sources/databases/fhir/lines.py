"""The files of a FHIR bulk export, line by line. One file holds one kind of resource, as the specification of bulk data says.

Source: https://hl7.org/fhir/uv/bulkdata/
"""

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from wardround.sources.databases.fhir.values import Resource
from wardround.sources.databases.members import Opener, open_members
from wardround.sources.files.damage import DAMAGE
from wardround.sources.progress import tell
from wardround.values.errors import DataError

LONGEST_LINE = 16 * 2**20
"""Bytes; a longer line holds no resource that a cohort reads."""
TOLD_EVERY = 1000
"""Lines, between one word of progress and the next."""
SUFFIXES = (".ndjson", ".ndjson.gz")
_DAMAGED = (OSError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class ExportFile:
    """kind: the resource on its first line; of an empty file, the one that its name begins with."""

    name: str
    kind: str
    open: Opener

    def lines(self) -> Iterator[tuple[int, bytes, Resource | None]]:
        """Each line with its number from 1, its bytes, and the resource; None where it holds none."""
        try:
            with self.open() as file:
                for number, line in _limited(file):
                    if number % TOLD_EVERY == 1:
                        tell(f"{self.name}: line {number:,}")
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
    with open_members(path) as files:
        yield tuple(_described(name, opener) for name, opener in files.items() if name.casefold().endswith(SUFFIXES))


def _described(name: str, opener: Opener) -> ExportFile:
    by_name = re.split(r"[._-]", PurePosixPath(name).name)[0]
    try:
        with opener() as file:
            first = next((line for _, line in _limited(file) if line is None or line.strip()), None)
    except DAMAGE:
        raise DataError("A file of the export is damaged or cut short", found=name, hint="export it again") from None
    resource = resource_in(first) if first else None
    return ExportFile(name, by_name if resource is None else str(resource["resourceType"]), opener)
