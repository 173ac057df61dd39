"""What a program and all its children asked of the system: every socket, and every path that they made or changed.

strace sees the threads of C and Rust libraries, too, which an audit hook of Python does not. A program that uses no network makes
no socket at all: pairs for its own children are made by another call, and asking for a host's address takes a socket.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

NETWORK = ("socket", "connect", "bind", "listen")
ADDRESSED = ("sendto", "sendmsg", "sendmmsg")
OPENING = ("open", "openat", "openat2", "creat")
CHANGING = ("mkdir", "mkdirat", "mknod", "mknodat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat")
UNREADABLE = ("io_uring_setup", "chdir", "fchdir", "chroot")
"""After these, a call's path or socket cannot be told from what is written of it; nothing of ours needs them."""
DEVICES = ("/dev/null", "/dev/tty", "/dev/ptmx", "/proc/self/", "/dev/pts/")
_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
_NO_CHANGE = re.compile(r"= -1 (EEXIST|ENOENT|ENOTDIR|EISDIR)")
"""Other failures count: a folder that could not be written here can be written elsewhere."""
_CALL = re.compile(r"(\w+)\((.*)")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
_ADDRESS = re.compile(r"sa_family=|msg_name=\{")


@dataclass(frozen=True)
class SystemCalls:
    """sockets: calls that make, name or address one, as strace wrote them. changed: paths made, renamed or opened to write."""

    status: int
    output: str
    sockets: tuple[str, ...]
    changed: tuple[Path, ...]

    def outside(self, folders: Sequence[Path]) -> list[Path]:
        """What was changed and lies in none of these folders, nor is a device."""
        inside = [folder.resolve() for folder in folders]
        paths = {path.resolve() for path in self.changed if not str(path).startswith(DEVICES)}
        return sorted(path for path in paths if not any(path.is_relative_to(folder) for folder in inside))


def watched(command: Sequence[str], environment: Mapping[str, str], folder: Path, traces: Path) -> SystemCalls:
    """Runs the command in `folder`. Skips the test, with the reason, where nothing can be traced. traces: an empty folder."""
    if reason := why_nothing_is_traced():
        pytest.skip(reason)
    traces.mkdir(parents=True, exist_ok=True)
    every_call = (*NETWORK, *ADDRESSED, *OPENING, *CHANGING, *UNREADABLE)
    a_file_a_thread = ("-ff", "-o", str(traces / "calls"))  # so that no call is cut in two
    done = subprocess.run(
        [*_strace(every_call, *a_file_a_thread), *command],
        env=dict(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for file in sorted(traces.iterdir()) for line in file.read_text("utf-8", "replace").splitlines()]
    sockets = tuple(line for line in lines if _is_network(line))
    changed = tuple(folder / path for line in lines for path in _changed(line))
    return SystemCalls(done.returncode, done.stdout + done.stderr, sockets, changed)


def _strace(calls: Sequence[str], *more: str) -> list[str]:
    """The words that watch a command and its children. A `?` stands before a call that not every processor has."""
    traced = ",".join(f"?{name}" for name in calls)
    return ["strace", "-qq", "--seccomp-bpf", "-y", "-s", "4096", "-e", "signal=none", "-e", f"trace={traced}", *more]


@cache
def why_nothing_is_traced() -> str:
    """Empty where strace is there and works."""
    if shutil.which("strace") is None:
        return "strace is not installed (Debian: apt-get install strace), so no system call can be seen"
    done = subprocess.run([*_strace(OPENING, "-f"), "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()[:200]}"


def _is_network(line: str) -> bool:
    call = _CALL.match(line)
    if call is None:
        return False
    name, arguments = call.groups()
    return name in NETWORK or name in UNREADABLE or (name in ADDRESSED and bool(_ADDRESS.search(arguments)))


def _changed(line: str) -> Iterator[Path]:
    """As the call names them: not from the root where it does not."""
    call = _CALL.match(line)
    if call is None or _NO_CHANGE.search(line):
        return
    name, arguments = call.groups()
    if name in CHANGING or name == "creat" or (name in OPENING and _WRITING.search(arguments)):
        for folder, path in _PATH.findall(arguments):
            yield Path(folder) / path
