"""Files and folders of a hospital that are for its own user alone, whatever the umask: keys, state, log, report, ledger.

    folder  --private_folder-->   0700, ours; one that others may write to is refused, since they may have changed what lies there
    file    --private_status-->   a regular file, ours, 0600 or less; a link, another owner or loose rights are refused

What is refused is refused before it is read, with the command that mends it. Systems without POSIX rights have none of this: the
rights of the folder's parent decide there.
"""

import errno
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from wardround.values.errors import RunError

CHECKED = os.name == "posix"
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


def private_folder(folder: Path, *, signs: tuple[str, ...]) -> None:
    """Makes the folder, or takes one that is there. Afterwards nobody else can list it, read in it or write to it.

    signs: files by which a folder of ours is told. One that others could only read becomes 0700 where it is empty or has a sign:
    an earlier version or its owner made it by the umask, and nobody else could have changed a file in it. Any other folder with
    loose rights is somebody's to decide about, and RunError says what to run.
    """
    make_private(folder)
    if not CHECKED:
        return
    status = folder.stat()
    _require_owner(folder, status)
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS_WRITE:
        raise _loose(folder, mode, 0o700, "look whether everything in it is yours, since others could write there")
    if mode & _OTHERS:
        if any(folder.iterdir()) and not any(os.path.lexists(folder / sign) for sign in signs):
            raise _loose(folder, mode, 0o700, "or choose a folder that nothing else uses")
        _tighten(folder)


def make_private(folder: Path) -> None:
    """Makes the folder and its missing parents, each 0700. Those that are there stay as they are."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        if CHECKED:
            _tighten(one)  # an umask such as 0777 takes rights away from the owner as well


def private_status(path: Path) -> os.stat_result | None:
    """None where there is no such file. RunError where it is a link, no regular file, another user's, or open to others."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if CHECKED:
        _require_private(path, status)
    return status


def read_private(path: Path, limit: int) -> bytes | None:
    """The file's first bytes, at most `limit`; None where there is no such file. RunError as `private_status`.

    The file is opened first and then looked at: in a folder that is not private another could take its place in between.
    """
    try:
        descriptor = open_unfollowed(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise _linked(path) from error
        raise RunError(f"{path} cannot be read", found=error.strerror or "", hint=_mend("chmod 600", path)) from error
    try:
        if CHECKED:
            _require_private(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(descriptor)


def private_lock(path: Path) -> FileLock:
    """A lock in a file of ours. Raises RunError for a link, through which a lock would create or empty another file."""
    if path.is_symlink():
        raise _linked(path)
    if CHECKED and path.exists() and (status := path.stat()).st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & _OTHERS:
        _tighten(path, 0o600)  # there is nothing in it: an earlier version made it by the umask
    return FileLock(path, mode=0o600)


@contextmanager
def only_holder(path: Path, taken: RunError) -> Iterator[None]:
    """Of this block: the only one that holds the lock. Raises `taken` where another process does."""
    lock = private_lock(path)
    try:
        lock.acquire(timeout=1)  # who only looks whether it is free has it for a moment
    except Timeout as error:
        raise taken from error
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path, *, wait_s: float) -> bool:
    """Whether another process holds the lock, and does not let go of it within `wait_s` seconds."""
    lock = private_lock(path)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        return True
    except OSError:  # a disk that takes no lock, such as a read-only copy, has no process that holds one
        return False
    lock.release()
    return False


def open_unfollowed(path: Path, flags: int, mode: int = 0o600) -> int:
    """A descriptor of the file itself, never of what a link names, and without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0), mode)


def _require_private(path: Path, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _linked(path)
    if not stat.S_ISREG(status.st_mode):
        raise RunError(f"{path} is no file", hint=f"move away what is there: {_mend('mv', path)} {shlex.quote(f'{path}.away')}")
    _require_owner(path, status)
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        raise _loose(path, mode, 0o600, "and think of who could read or change it meanwhile")


def _require_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        me = _user(os.geteuid())
        raise RunError(
            f"{path} belongs to another user",
            expected=me,
            found=_user(status.st_uid),
            hint=f"run as that user, or {_mend(f'sudo chown {me}', path)}",
        )


def _tighten(path: Path, mode: int = 0o700) -> None:
    path.chmod(mode)
    if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        raise RunError(
            f"{path} stays open to other users whatever its rights are set to",
            hint="choose a folder on a disk that keeps the rights of files, not a memory stick nor a share of Windows",
        )


def _loose(path: Path, mode: int, own_mode: int, besides: str) -> RunError:
    return RunError(
        f"Other users can get at {path}",
        expected=f"rights for its owner alone, {own_mode:o}",
        found=f"{mode:o}",
        hint=f"{_mend(f'chmod {own_mode:o}', path)}; {besides}",
    )


def _linked(path: Path) -> RunError:
    link = shlex.quote(str(path))
    mend = f'put the file in its place: mv "$(readlink -f {link})" {link}' if path.exists() else f"remove it: rm {link}"
    return RunError(
        f"{path} is a symbolic link, and what it names may be anybody's", expected="the file itself", found="a link", hint=mend
    )


def _mend(command: str, path: Path) -> str:
    return f"{command} {shlex.quote(str(path))}"


def _user(number: int) -> str:
    import pwd  # only where there are POSIX users

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
