"""Files that are whole or absent, never half-written."""

import contextlib
import os
import tempfile
from pathlib import Path

from wardround.values.errors import RunError


def write_atomic(path: Path, data: bytes, *, private: bool = False) -> None:
    """Replace `path` by `data` so that a crash or a full disk leaves either the old content or the new.

    private: only this user may read the file; otherwise the user's umask decides.

    Raises RunError, with the old file untouched, where the disk refuses.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if not private and os.name == "posix":
                os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise RunError(
            f"{path} could not be written",
            found=error.strerror or type(error).__name__,
            mend="free some disk space or choose another folder, then run again with --resume; the earlier file is intact",
        ) from error


def _sync_folder(folder: Path) -> None:
    """A rename is durable only once its folder is; Windows has no such call."""
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
