"""Bodies that are too long for a message, as files at the hub, each under the SHA-256 of its ciphertext.

    out/HASH             of the hub, until its exchange is over
    from/SITE/HASH       of a site, whole and right; `take` unlinks it, and its blocks are free once it has been read
    from/SITE/HASH.part  what has come so far of one; it counts for nothing

Nothing here outlives the process: an exchange that was cut short is made anew, with other keys and so with other bytes.
"""

import contextlib
import errno
import hashlib
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from wardround.values.disk_faults import mend_of
from wardround.values.errors import RefusedError, RunError, WireError
from wardround.values.private_files import make_private, private_folder
from wardround.wire.sealed import SealedBody

HASH = re.compile(r"[0-9a-f]{64}")
UNFETCHED = 2
"""How many bodies a site may have put that the hub has not fetched, with those on their way."""
SPARE = 1 << 28
"""Bytes of the disk that no body of a site may take, or a twentieth of a small disk."""
_READ = 1 << 20
_OUT, _FROM, _PART = "out", "from", ".part"


class BodyStore:
    """The files in one folder, of this process alone. What an earlier process left is removed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        private_folder(folder, signs=(_OUT, _FROM))
        for name in (_OUT, _FROM):
            shutil.rmtree(folder / name, ignore_errors=True)
            make_private(folder / name)
        self._lock = threading.Lock()
        self._coming: set[tuple[str, str]] = set()
        self._awaited: dict[str, list[int]] = {}

    @contextlib.contextmanager
    def awaiting(self, sites: Iterable[str], size: int) -> Iterator[None]:
        """As long as it is open, bodies of at most `size` bytes are taken of these sites. Of others, and else, none is."""
        awaited = tuple(sites)
        with self._lock:
            for site in awaited:
                self._awaited.setdefault(site, []).append(size)
        try:
            yield
        finally:
            with self._lock:
                for site in awaited:
                    self._awaited[site].remove(size)

    def add(self, body: SealedBody) -> None:
        """Keeps the ciphertext of a body of the hub. RunError where the disk refuses."""
        path = self.folder / _OUT / body.sha256
        try:
            with path.open("wb") as file:
                file.writelines(body.pieces())
        except OSError as error:
            path.unlink(missing_ok=True)
            raise RunError(
                f"A message of {body.size:,} bytes cannot be kept in {self.folder}",
                found=error.strerror or type(error).__name__,
                hint=f"{mend_of(error) or 'look at the folder'}; a body is kept once for all sites, and each site's answer until "
                "it has been read",
            ) from error

    def remove(self, sha256: str) -> None:
        """Forgets a body of the hub. Whoever reads it at the moment reads it to its end."""
        (self.folder / _OUT / sha256).unlink(missing_ok=True)

    def sent(self, sha256: str) -> BinaryIO | None:
        """A body of the hub; None where there is none."""
        return _opened(self.folder / _OUT / sha256)

    def take(self, site: str, sha256: str) -> BinaryIO | None:
        """A whole body of a site, which is not in the store any more; None where there is none."""
        path = self.folder / _FROM / site / sha256
        file = _opened(path)
        if file is not None:
            with contextlib.suppress(OSError):  # Windows unlinks no open file: it goes at the next start
                path.unlink()
        return file

    def upload(self, site: str, sha256: str, size: int) -> "Upload":
        """What has come of a site's body, to be gone on with. RefusedError for too many, two at once, or one that nobody awaits:
        a site could fill the disk with 2 GiB for which nobody asked."""
        folder = self.folder / _FROM / site
        make_private(folder)
        with self._lock:
            if size > max(self._awaited.get(site, ()), default=0):
                raise RefusedError("No exchange awaits a body of this size", found=f"{size} bytes", code="not-awaited")
            if (site, sha256) in self._coming:
                raise RefusedError("Another request brings this body", hint="wait until it has ended", code="busy")
            self._make_room(folder, sha256)
            self._coming.add((site, sha256))
        try:
            return Upload(folder / sha256, size, lambda: self._coming.discard((site, sha256)))
        except OSError:
            self._coming.discard((site, sha256))
            raise

    def _make_room(self, folder: Path, sha256: str) -> None:
        """The oldest gives way: its answer was lost on the way, or the hub would have taken it."""
        others = [path for path in folder.iterdir() if path.name.removesuffix(_PART) != sha256]
        idle = [path for path in others if (folder.name, path.name.removesuffix(_PART)) not in self._coming]
        for path in sorted(idle, key=lambda path: path.stat().st_mtime_ns)[: max(0, len(others) - UNFETCHED + 1)]:
            path.unlink(missing_ok=True)
            others.remove(path)
        if len(others) >= UNFETCHED:
            raise RefusedError("A site brings too many bodies at once", expected=f"at most {UNFETCHED}", code="too-many-bodies")


class Upload:
    """One body on its way into the store. received: bytes that are there. Closed in any case."""

    def __init__(self, path: Path, size: int, closed: Callable[[], None]) -> None:
        self._path, self._size, self._closed = path, size, closed
        self._part = path.with_name(path.name + _PART)
        self._hash = hashlib.sha256()
        self._file = None if path.exists() else self._part.open("ab+")
        self.received = size if self._file is None else self._hashed(self._file)

    @property
    def whole(self) -> bool:
        """Whether the body is in the store, right and whole."""
        return self._file is None

    def write(self, data: bytes) -> None:
        """Adds what comes next. WireError for more than the body has; OSError where the disk refuses."""
        if self._file is None or self.received + len(data) > self._size:
            raise WireError("More bytes came than the body has", expected=f"{self._size} bytes")
        _require_spare(self._path.parent)
        self._file.write(data)
        self._hash.update(data)
        self.received += len(data)

    def finish(self) -> None:
        """Takes a body in that is complete. WireError, and nothing of it is kept, where its hash is another."""
        if self._file is None or self.received < self._size:
            return
        self._file.close()
        self._file = None
        if self._hash.hexdigest() != self._path.name:
            self._part.unlink(missing_ok=True)
            raise WireError("A body is not the one that was announced", hint="send it again")
        self._part.replace(self._path)

    def discard(self) -> None:
        """Gives the disk back what came so far."""
        self._part.unlink(missing_ok=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take was never counted
            if self._file is not None:
                self._file.close()
        self._closed()

    def _hashed(self, file: BinaryIO) -> int:
        file.seek(0)
        while data := file.read(_READ):
            self._hash.update(data)
        return file.tell()


def _require_spare(folder: Path) -> None:
    """OSError where the disk is nearly full: what sites bring must not take the place of the hub's own log and state."""
    usage = shutil.disk_usage(folder)
    if usage.free < min(SPARE, usage.total // 20):
        raise OSError(errno.ENOSPC, "the disk is nearly full")


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None
