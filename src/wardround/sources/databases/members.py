"""The files of a folder or a zip by name, opened as streams: what is larger than the memory passes through it."""

import gzip
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from wardround.sources.damage import DAMAGE
from wardround.sources.file_tree import shown_files
from wardround.values.errors import DataError

Opener = Callable[[], AbstractContextManager[IO[bytes]]]
"""Opens a file anew, as it is once a .gz around it is taken off."""


@contextmanager
def open_members(path: Path) -> Iterator[dict[str, Opener]]:
    """The files below a folder or in a zip, sorted by name; hidden ones are left out. DataError where a zip is damaged."""
    if path.is_dir():
        yield _plain({file.relative_to(path).as_posix(): partial(_opened, file) for file in shown_files(path)})
        return
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE:
        raise DataError("The zip is damaged or cut short", hint="copy it again, and compare its size with the original") from None
    with archive:
        names = sorted(info.filename for info in archive.infolist() if not info.is_dir() and not is_hidden(info.filename))
        if twice := [name for name in names if names.count(name) > 1]:
            raise DataError("The zip holds two files of one name", found=twice[0], hint="make it again")
        yield _plain({name: partial(archive.open, name) for name in names})


def is_hidden(name: str) -> bool:
    """Whether a file or a folder around it is hidden, or part of what macOS adds to a zip."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _plain(files: dict[str, Opener]) -> dict[str, Opener]:
    zipped = {name for name in files if name.casefold().endswith(".gz")}
    return {name: partial(_unzipped, opener) if name in zipped else opener for name, opener in files.items()}


def _opened(file: Path) -> IO[bytes]:
    return file.open("rb")


@contextmanager
def _unzipped(opener: Opener) -> Iterator[IO[bytes]]:
    with opener() as raw, gzip.open(raw) as plain:
        yield plain  # type: ignore[misc]
