"""An allocator that gives memory back at once: for a process that adds large arrays now and then, and waits in between."""

import ctypes
import sys

# glibc's mallopt parameters, <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
LARGE, _KEPT, _ARENAS = 2 << 20, 8 << 20, 2
"""Bytes from which on an array has a mapping of its own, which ends with it; larger than the pieces in which bodies are read. Of
the rest so much is kept at the end of each of so many heaps."""


def give_back_at_once() -> bool:
    """Ask glibc to return what is freed to the system; False where there is no glibc.

    By default it learns from the first large array that is freed to keep those like it, up to 32 MiB, in heaps of each thread:
    a hub that had added a model of 41 MB once held 300 MB for ever after, and a clinic of doctors 540 MB in place of 420.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        settings = ((_M_MMAP_THRESHOLD, LARGE), (_M_TRIM_THRESHOLD, _KEPT), (_M_ARENA_MAX, _ARENAS))
        return all(libc.mallopt(name, value) == 1 for name, value in settings)
    except (OSError, AttributeError):  # another libc (musl) has no mallopt, and gives back large arrays by itself
        return False
