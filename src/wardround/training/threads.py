"""Threads that do not change the result, and an allocator that does not give memory back after every step.

A sum of floating-point numbers depends on its order, and torch cuts an operation by the number of threads it has. Here every
piece of work runs with one torch thread; pieces run side by side instead, each on its own worker, and their results come
back in the order they were given. So the bits depend on how a batch is cut, never on how many workers there are.

    batch --cut--> piece 1, piece 2, ... --workers--> gradient 1, gradient 2, ... --added in order--> gradient
"""

import ctypes
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from types import TracebackType
from typing import TypeVar

import torch

from wardround.values.cores import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

# glibc's mallopt parameters, <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_MEBIBYTE = 2**20


@cache
def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory for the next step; False where there is no glibc.

    By default glibc maps every large array anew and returns it when freed, so each step pays for page faults: plain CPU
    training is then 1.3 to 2 times slower. 32 MiB is the largest mapping threshold that glibc takes on 64 bit.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        settings = (
            (_M_MMAP_THRESHOLD, 32 * _MEBIBYTE),
            (_M_TRIM_THRESHOLD, 512 * _MEBIBYTE),
            (_M_TOP_PAD, 64 * _MEBIBYTE),
            (_M_ARENA_MAX, usable_cores() + 1),
        )
        return all(libc.mallopt(name, value) == 1 for name, value in settings)
    except (OSError, AttributeError):  # another libc (musl): it has no mallopt, training is merely slower
        return False


def give_back_freed_memory() -> bool:
    """After training: what `keep_freed_memory` kept goes back to the system, for the libraries that come next. False without
    glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL("libc.so.6").malloc_trim(0) == 1)
    except (OSError, AttributeError):
        return False


class PieceThreads:
    """Up to `workers` pieces of work at once, each with one torch thread; a context manager.

    Inside the block the calling thread has one torch thread too; leaving it restores the earlier number. With `lasting` the
    threads wait for the next block: a new thread takes its memory from another of the allocator's arenas, and what the earlier
    one freed lies idle.
    """

    def __init__(self, workers: int, *, lasting: bool = False) -> None:
        if workers < 1:
            raise ValueError(f"a piece_threads needs at least one worker, found {workers}")
        self._workers, self._lasting = workers, lasting
        self._pool: ThreadPoolExecutor | None = None
        self._earlier_threads = 1

    def __enter__(self) -> "PieceThreads":
        keep_freed_memory()
        self._earlier_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        if self._workers > 1 and self._pool is None:
            # torch keeps the number of threads for each thread: without the initialiser a worker would use all cores.
            self._pool = ThreadPoolExecutor(self._workers, "wardround-piece", initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None and not self._lasting:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        torch.set_num_threads(self._earlier_threads)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """`work` of every item, in the order of the items; the first error is raised."""
        return list(self.stream(work, items))

    def stream(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The same, one result after the other; at most `workers` + 1 wait to be taken."""
        if self._pool is None:
            yield from map(work, items)
            return
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(self._pool.submit(work, item))
            if len(waiting) > self._workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
