"""The files of a folder or a zip by name, opened as streams: what is larger than the memory passes through it."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from wardround.sources.files.file_tree import starts_as_zip
from wardround.sources.files.walk import require_reached, shown_files
from wardround.sources.files.zip_members import listing_of, open_zip

Opener = Callable[[], AbstractContextManager[IO[bytes]]]
"""Opens a file anew, as it is once a .gz around it is taken off."""


@contextmanager
def open_members(path: Path) -> Iterator[dict[str, Opener]]:
    """The files below a folder or in a zip, sorted by name, hidden ones left out; or a file by itself.

    DataError where one cannot be come by.
    """
    if path.is_dir():
        yield _plain({file.relative_to(path).as_posix(): partial(_opened, file) for file in shown_files(path)})
        return
    if not starts_as_zip(path):
        yield _plain({path.name: partial(_opened, path)})
        return
    with open_zip(path) as archive:
        listing = listing_of(archive)
        require_reached(listing.aside)
        yield _plain({name: partial(archive.open, info) for name, info in listing.members.items()})


def _plain(files: dict[str, Opener]) -> dict[str, Opener]:
    zipped = {name for name in files if name.casefold().endswith(".gz")}
    return {name: partial(_unzipped, opener) if name in zipped else opener for name, opener in files.items()}


def _opened(file: Path) -> IO[bytes]:
    return file.open("rb")


@contextmanager
def _unzipped(opener: Opener) -> Iterator[IO[bytes]]:
    with opener() as raw, gzip.open(raw) as plain:
        yield plain  # type: ignore[misc]
