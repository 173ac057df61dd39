"""Arrays of a file that are used where they lie: the system reads them when they are looked at, and lets them go when it is told.

    file of `write_tensors` --arrays--> read-only arrays --let_go--> no memory of this process, until they are looked at again

The file may be replaced by another meanwhile: a mapping is of the file that was there, until the last of its arrays is gone.
"""

import json
import math
import mmap
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from wardround.values.tensor_file import array_types
from wardround.values.tree import Tree

_LENGTH = 8  # of the header's own length, at the start of a safetensors file


class MappedFiles:
    """Files whose arrays are in use. `let_go` is for all of them."""

    def __init__(self) -> None:
        self._mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    @staticmethod
    def can_let_go() -> bool:
        """Whether this system takes memory back while arrays are in use: Linux does."""
        return hasattr(mmap, "MADV_DONTNEED")

    def arrays(self, path: Path) -> Tree:
        """The arrays of a whole file, as `read_tensors` gives them, but that they cannot be changed. What the file says is not
        proved again: it is for whoever has just written it."""
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._mappings.add(mapping)
        start = _LENGTH + int.from_bytes(mapping[:_LENGTH], "little")
        header: dict[str, Any] = json.loads(mapping[_LENGTH:start])
        types = array_types()
        return {
            name: _array(mapping, start + entry["data_offsets"][0], types[entry["dtype"]], tuple(entry["shape"]))
            for name, entry in header.items()
            if name != "__metadata__"
        }

    def let_go(self) -> None:
        """Gives the memory of all arrays back. They are read from the disk where they are looked at next."""
        if self.can_let_go():
            for mapping in tuple(self._mappings):
                mapping.madvise(mmap.MADV_DONTNEED)


def _array(mapping: mmap.mmap, start: int, kind: str, shape: tuple[int, ...]) -> Any:
    count = math.prod(shape)
    if not count:
        return np.empty(shape, kind)
    return np.frombuffer(mapping, np.dtype(kind).newbyteorder("<"), count, start).reshape(shape)
