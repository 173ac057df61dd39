"""The files of a FHIR bulk export, line by line. One file holds one kind of resource, as the specification of bulk data says;
or Bundles, whose entries are of many kinds.

Source: https://hl7.org/fhir/uv/bulkdata/
"""

import json
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from wardround.sources.databases.events import Tally
from wardround.sources.databases.fhir.bundles import LARGEST_BUNDLE, content_of, entries, links, starts_as_bundle
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
JSON = (".json", ".json.gz")
HEAD_BYTES = 1024
KEPT_BYTES = 64 * 2**20
"""Of an export's Bundles, as many are kept from the first look to the last; those beyond are parsed again at each look. As parsed
JSON they take some times the memory of their bytes, as one large Bundle does that is read at once."""
_DAMAGED = (OSError, EOFError, zipfile.BadZipFile, zlib.error)
_Lines = tuple[tuple[int, bytes, Resource | None], ...]


@dataclass(frozen=True)
class ExportFile:
    """kinds: the resource on its first line; of an empty file, the one that its name begins with; of Bundles, all in them.

    bundled: its resources are entries of Bundles. whole: it is one Bundle, and not a Bundle a line. pages: addresses of its
    Bundles, as pages of a search. next_pages: of those that they say follow. holds_resources: whether its first line is
    one, or it is empty. kept: its Bundles as they were parsed when they were looked at first, None where they are too large.
    """

    name: str
    kinds: frozenset[str]
    open: Opener
    bundled: bool = False
    whole: bool = False
    pages: frozenset[str] = frozenset()
    next_pages: frozenset[str] = frozenset()
    holds_resources: bool = True
    kept: _Lines | None = None

    @property
    def title(self) -> str:
        return f"A file of {'Bundles' if self.bundled else min(self.kinds)}"

    def resources(self, kinds: Collection[str] = ()) -> Iterator[tuple[Place, bytes, Resource | None]]:
        """Each resource with its place and what it is told from another by; None where a line or an entry holds none.

        kinds: of Bundles, the resources that are asked for, or all; other files hold one kind.
        """
        for number, line, resource in self._lines():
            spot = Place(file=self.name, line=number)
            if not self.bundled or resource is None or resource["resourceType"] != "Bundle":
                yield spot, line, None if self.bundled else resource
                continue
            for position, entry in enumerate(entries(resource), 1):
                if entry is None or not kinds or entry["resourceType"] in kinds:
                    at = replace(spot, file=f"{self.name}, entry {position}")
                    yield at, b"" if entry is None else content_of(entry), entry

    def _lines(self) -> Iterator[tuple[int, bytes, Resource | None]]:
        """Each line with its number from 1, its bytes, and the resource; one without a number where the file is a Bundle."""
        if self.kept is not None:
            yield from self.kept
        elif self.whole:
            content = self._content()
            if (resource := resource_in(content)) is None:
                raise self._damaged()
            yield 0, content, resource
        else:
            try:
                yield from self._parsed_lines()
            except _DAMAGED:
                raise self._damaged() from None

    def _parsed_lines(self) -> Iterator[tuple[int, bytes, Resource | None]]:
        with self.open() as file:
            for number, line in _limited(file):
                if number % TOLD_EVERY == 1:
                    tell(f"{self.name}: line {number:,}")
                if line is None or line.strip():
                    yield number, line or b"", None if line is None else resource_in(line)

    def looked_at(self, budget: "BundleMemory") -> "ExportFile":
        """The same file of Bundles, with the kinds and addresses in it, and its Bundles where the budget has room for them."""
        kinds: set[str] = set()
        addresses: dict[str, set[str]] = {"self": set(), "next": set()}
        kept: list[tuple[int, bytes, Resource | None]] = []
        size, room = 0, True
        for number, line, resource in self._lines():
            if resource is not None and resource["resourceType"] == "Bundle":
                kinds.update(entry["resourceType"] for entry in entries(resource) if entry is not None)
                for relation, address in links(resource):
                    addresses.setdefault(relation, set()).add(address)
            size += len(line)
            room = room and size <= budget.left
            if room:
                kept.append((number, b"", resource))
            else:
                kept.clear()
        budget.left -= size if room else 0
        pages, next_pages = frozenset(addresses["self"]), frozenset(addresses["next"])
        return replace(self, kinds=frozenset(kinds), pages=pages, next_pages=next_pages, kept=tuple(kept) if room else None)

    def _content(self) -> bytes:
        try:
            with self.open() as file:
                content = file.read(LARGEST_BUNDLE + 1)
        except _DAMAGED:
            raise self._damaged() from None
        if len(content) > LARGEST_BUNDLE:
            raise DataError(
                "A Bundle of the export is too large to be read at once",
                expected=f"{LARGEST_BUNDLE // 2**20} MiB at most",
                hint="export ndjson, or a Bundle for each patient",
            )
        return content

    def _damaged(self) -> DataError:
        text = "A file of the export is damaged or cut short"
        return DataError(text, found=self.name, hint="export it again, or copy it again")


@dataclass
class BundleMemory:
    """How many bytes of Bundles may still be kept parsed."""

    left: int


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
    "export them in bulk, as ndjson; or as Bundles in JSON; or write each resource on one line, each kind into a file of its own"
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
            head = _head_of(opener)
            if name.casefold().endswith(JSON) and starts_as_bundle(head):
                continue
            if any(sign in head for sign in _SIGNS):
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


def _head_of(opener: Opener) -> bytes:
    try:
        with opener() as file:
            return file.read(_HEAD)
    except DAMAGE:
        return b""


@contextmanager
def open_export(path: Path) -> Iterator[tuple[ExportFile, ...]]:
    """The ndjson files and the Bundles of a folder or zip, by name; or one file of Bundles."""
    budget = BundleMemory(KEPT_BYTES)
    with open_members(path) as files:
        exported = {name: opener for name, opener in files.items() if name.casefold().endswith((*SUFFIXES, *JSON))}
        described = (_described(name, opener, budget) for name, opener in exported.items())
        yield tuple(file for file in described if file is not None)


def _described(name: str, opener: Opener, budget: BundleMemory) -> ExportFile | None:
    """None for a file of JSON that is no Bundle."""
    by_name = re.split(r"[._-]", PurePosixPath(name).name)[0]
    try:
        with opener() as file:
            if name.casefold().endswith(JSON):
                bundle = ExportFile(name, frozenset(), opener, bundled=True, whole=True)
                return bundle.looked_at(budget) if starts_as_bundle(file.read(HEAD_BYTES)) else None
            first = next((line for _, line in _limited(file) if line is None or line.strip()), b"")
    except DAMAGE:
        raise DataError("A file of the export is damaged or cut short", found=name, hint="export it again") from None
    resource = resource_in(first) if first else None
    kind = by_name if resource is None else str(resource["resourceType"])
    if kind == "Bundle":
        return ExportFile(name, frozenset(), opener, bundled=True).looked_at(budget)
    return ExportFile(name, frozenset({kind}), opener, holds_resources=resource is not None or first == b"")
