"""Files that are whole or absent, never half-written."""

import contextlib
import ctypes
import os
import re
import stat
import struct
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from wardround.values.disk_faults import mend_of
from wardround.values.errors import DataError, RunError
from wardround.values.private_files import make_private, open_unfollowed, private_lock, read_private

_PART = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.part")
"""How `write_atomic` names a file until it is whole."""


def write_atomic(path: Path, data: bytes | Callable[[str], Iterable[bytes | memoryview]], *, private: bool = False) -> None:
    """Replace `path` by `data` so that a crash or a full disk leaves either the old content or the new.

    private: only this user may read the file, and a folder that is made for it is this user's alone; otherwise the user's umask
    decides. data: the content, or what makes it, in pieces, from the file's `place_of`, which it keeps when it is renamed but not
    when it is copied or restored.

    Raises RunError, with the old file untouched, where the disk refuses.
    """
    temporary: Path | None = None
    try:
        if private:
            make_private(path.parent)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _begun(path)
        with os.fdopen(handle, "wb") as file:
            file.writelines(data(place_of(file.fileno())) if callable(data) else [data])
            file.flush()
            if not private and os.name == "posix":
                os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
            if os.name == "posix":
                temporary.replace(path)  # as long as the lock is held: an unlocked part is swept
        if os.name != "posix":
            temporary.replace(path)  # Windows renames no open file, and sweeps none either
        sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise _refused(path, error) from error


def require_apart(out: Path, *inputs: str | Path | None) -> None:
    """DataError where a file that is to be written is one of the inputs, or lies in a folder that is one: data are only read."""
    for source_path in inputs:
        source = Path(source_path or "")
        if not source_path or not source.exists():
            continue
        is_same = out.exists() and out.samefile(source)
        if is_same or (source.is_dir() and source.resolve() in out.resolve().parents):
            raise DataError(
                f"{out} {'is what is read' if is_same else 'lies in the folder that is read'}, and would be changed",
                hint="name a file in another folder",
            )


def kept_secret(path: Path, limit: int, make: Callable[[], bytes]) -> bytes:
    """The content of a file of this user alone, at most `limit` bytes; `make` gives it where there is no such file yet.

    Processes that come at once get the same bytes: the first of them makes the file. Raises RunError as `read_private` and
    `write_atomic`.
    """
    sweep(path.parent, path.name)
    content = read_private(path, limit)
    if content is not None:
        return content
    try:
        make_private(path.parent)
        with private_lock(path.with_name(f"{path.name}.lock")):
            content = read_private(path, limit)
            if content is None:
                content = make()
                write_atomic(path, content, private=True)
    except OSError as error:
        raise _refused(path, error) from error
    return content


def sweep(folder: Path, name: str = "") -> list[Path]:
    """Removes what `write_atomic` had not finished when its process was killed, and returns it. No living writer loses a file.

    name: of the one file whose remains are meant, in a folder that is not ours alone; else of every file in the folder. Removing
    a file does not erase it: until the disk uses its blocks again, whoever reads the raw disk reads it.
    """
    swept = []
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            match = _PART.fullmatch(path.name)
            if match is not None and name in ("", match["name"]) and _removed(path):
                swept.append(path)
    return swept


def _refused(path: Path, error: OSError) -> RunError:
    return RunError(
        f"{path} could not be written",
        found=error.strerror or type(error).__name__,
        hint=f"{mend_of(error) or 'choose a folder that you may write, and try again'}; the earlier file is intact",
    )


def _begun(path: Path) -> tuple[int, Path]:
    """A new file beside `path`, under a lock that says that its writer lives."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        if _locked(handle) is not False and os.fstat(handle).st_nlink > 0:
            return handle, Path(name)
        os.close(handle)  # somebody swept between the two calls


def _locked(handle: int) -> bool | None:
    """Whether this process has the lock of the open file now; None where the file system has no locks. Windows needs none:
    nobody can remove a file there that is open."""
    if os.name != "posix":
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _removed(path: Path) -> bool:
    """Whether the file had no living writer and is gone."""
    try:
        handle = open_unfollowed(path, os.O_RDWR)
    except OSError:
        return False  # another user's, or a link
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode) or not _locked(handle):
            return False
        if os.name == "posix":
            path.unlink()
    except OSError:
        return False
    finally:
        os.close(handle)
    if os.name != "posix":
        with contextlib.suppress(OSError):
            path.unlink()
    return not path.exists()


def place_of(file: int | Path) -> str:
    """What tells this file from every copy of it, also one that was written over it: its inode number and when it was created.

    The inode number alone does not: a file system gives a freed number away again, so that of three states written one after the
    other the third often has the first one's. Where the creation time cannot be had, the number is all there is.
    """
    status = os.stat(file)  # noqa: PTH116  (also takes a descriptor)
    return f"{status.st_ino}-{_created_ns(file, status)}"


def _created_ns(file: int | Path, status: os.stat_result) -> int:
    """The file's creation time. On Linux only statx tells it, which Python has from 3.15 on."""
    if born := getattr(status, "st_birthtime", None):
        return int(born * 1e9)
    if os.name != "posix":
        return status.st_ctime_ns  # Windows calls it so
    try:
        statx = ctypes.CDLL(None).statx
    except (AttributeError, OSError):
        return 0  # an older C library, or not Linux: the inode number is all there is
    buffer = ctypes.create_string_buffer(256)
    here, empty_path, birth_time = -100, 0x1000, 0x800  # AT_FDCWD, AT_EMPTY_PATH, STATX_BTIME
    if isinstance(file, int):
        failed = statx(file, b"", empty_path, birth_time, buffer)
    else:
        failed = statx(here, os.fsencode(file), 0, birth_time, buffer)
    (known_fields,) = struct.unpack_from("=I", buffer.raw, 0)
    seconds, nanoseconds = struct.unpack_from("=qI", buffer.raw, 80)
    return 0 if failed or not known_fields & birth_time else int(seconds) * 10**9 + int(nanoseconds)


def sync_folder(folder: Path) -> None:
    """Makes the renames in a folder durable. Windows has no such call."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
