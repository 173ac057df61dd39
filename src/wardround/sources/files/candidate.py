"""What lies at a path, looked through once, so that each reader can be asked whether it is its own.

    path --candidate_at--> Candidate --Reader.recognises, for every reader--> yes or no

A folder is walked once and a zip opened once, whatever the number of readers: on a network store both take long.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wardround.sources.files.file_tree import FileTree, FolderFileTree, ZipFileTree, first_bytes, starts_as_zip
from wardround.sources.files.walk import walked
from wardround.sources.files.zip_members import listing_of, open_zip, shown_names
from wardround.values.errors import DataError

_HEAD_BYTES = 1024


@dataclass(frozen=True)
class Candidate:
    """A file or folder that a reader may recognise.

    head: the first 1024 bytes of a file; none of a folder. file_tree: the files of a folder or a zip; None where it is neither,
    or a zip that cannot be read. names: of the files in a folder or a zip, hidden ones left out; also of a zip that is locked.
    members: all that a zip lists, as it lists it; None where it is no zip, or damaged.
    """

    path: Path
    head: bytes = b""
    file_tree: FileTree | None = None
    names: tuple[str, ...] = ()
    members: frozenset[str] | None = None

    @property
    def is_zip(self) -> bool:
        """Whether it begins as one; it may be damaged."""
        return self.head.startswith(b"PK")

    def heads(self, limit: int, passed: Callable[[str], bool] = bool) -> Iterator[tuple[str, bytes]]:
        """Names and first bytes of the files in a folder or a zip whose name is `passed`; none where the zip cannot be read."""
        if self.file_tree is not None:
            for name in filter(passed, self.file_tree.names):
                yield name, self.file_tree.read(name, limit) or b""


@contextmanager
def candidate_at(path: Path) -> Iterator[Candidate]:
    """The file or folder at a path, a zip open for as long as readers are asked."""
    with ExitStack() as stack:
        if path.is_dir():
            walk = walked(path)
            yield Candidate(path, file_tree=FolderFileTree(path, walk.names, walk.aside), names=walk.names)
        elif starts_as_zip(path):
            yield _zip_candidate(path, stack)
        else:
            yield Candidate(path, first_bytes(path, _HEAD_BYTES) if path.is_file() else b"")


def _zip_candidate(path: Path, stack: ExitStack) -> Candidate:
    head = first_bytes(path, _HEAD_BYTES)
    try:
        file = stack.enter_context(open_zip(path))
    except DataError:
        return Candidate(path, head)
    members = frozenset(file.namelist())
    try:
        listing = listing_of(file)
    except DataError:
        return Candidate(path, head, names=shown_names(file), members=members)
    return Candidate(path, head, ZipFileTree(file, listing.members, listing.aside), shown_names(file), members)
