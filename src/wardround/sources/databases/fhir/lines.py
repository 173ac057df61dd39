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

from wardround.sources.databases.events import Tally
from wardround.sources.databases.fhir.values import Resource
from wardround.sources.databases.members import Opener, open_members
from wardround.sources.files.damage import DAMAGE
from wardround.sources.places import Place
from wardround.sources.progress import tell
from wardround.sources.read_result import Problem
from wardround.values.errors import DataError

LONGEST_LINE = 16 * 2**20
"""Bytes; a longer line holds no resource that a cohort reads."""
TOLD_EVERY = 1000
"""Lines, between one word of progress and the next."""
SUFFIXES = (".ndjson", ".ndjson.gz")
_DAMAGED = (OSError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class ExportFile:
    """kind: the resource on its first line; of an empty file, the one that its name begins with.

    holds_resources: whether its first line is one, or it is empty.
    """

    name: str
    kind: str
    open: Opener
    holds_resources: bool = True

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
            text = "A file of the export is damaged or cut short"
            raise DataError(text, found=self.name, hint="export it again, or copy it again") from None


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


OTHER_FORM = "Files hold FHIR resources in another form than one on each line, and were not read"
OTHER_FORM_HINT = (
    "export them in bulk, as ndjson; or write each resource of a Bundle on one line, each kind into a file of its own"
)
_HEAD = 4096
_SIGNS = (b'"resourceType"', b"http://hl7.org/fhir")


def beside_export(path: Path) -> tuple[Problem, ...]:
    """What is said of the files of a folder or zip that are no ndjson: resources may lie in them, too."""
    tally = Tally()
    with open_members(path) as files:
        for name, opener in files.items():
            if name.casefold().endswith(SUFFIXES):
                continue
            if _holds_resources(opener):
                tally.add("error", "other-form", OTHER_FORM, OTHER_FORM_HINT, places=[Place(file=name)])
            else:
                text = "Files that are no ndjson were not read"
                tally.add(
                    "warning",
                    "other-files",
                    text,
                    "nothing is to be done unless resources are missing",
                    places=[Place(file=name)],
                )
    return tally.problems()


def _holds_resources(opener: Opener) -> bool:
    try:
        with opener() as file:
            head = file.read(_HEAD)
    except DAMAGE:
        return False
    return any(sign in head for sign in _SIGNS)


@contextmanager
def open_export(path: Path) -> Iterator[tuple[ExportFile, ...]]:
    """The ndjson files of a folder or zip, by name."""
    with open_members(path) as files:
        yield tuple(_described(name, opener) for name, opener in files.items() if name.casefold().endswith(SUFFIXES))


def _described(name: str, opener: Opener) -> ExportFile:
    by_name = re.split(r"[._-]", PurePosixPath(name).name)[0]
    try:
        with opener() as file:
            first = next((line for _, line in _limited(file) if line is None or line.strip()), b"")
    except DAMAGE:
        raise DataError("A file of the export is damaged or cut short", found=name, hint="export it again") from None
    resource = resource_in(first) if first else None
    kind = by_name if resource is None else str(resource["resourceType"])
    return ExportFile(name, kind, opener, holds_resources=resource is not None or first == b"")
