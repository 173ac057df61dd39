"""Looking at processes through /proc. Not a test."""

import time
from collections.abc import Sequence
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Of all its threads: the kernel keeps them apart by the thread that started them."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in lists for child in children.read_text().split()]


def comm_of(pid: int) -> str:
    """The name that `top` shows; of a hospital's process it is the hospital's."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def descendants_of(pid: int) -> list[int]:
    children = children_of(pid)
    return [*children, *(one for child in children for one in descendants_of(child))]


def is_running(pid: int) -> bool:
    """A process that has closed all it had open and waits to be reaped is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(pids: Sequence[int], seconds: float = 20.0) -> None:
    """Fails where one of them is still running then."""
    until = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_running, pids)), "a process outlived those it worked for"
