"""Lookup tables (PS3.3 C.11.1.1 and C.11.2.1.1), read by what they hold where their descriptor says otherwise.

The descriptor names entries (0 means 65,536), the first value mapped, and the bits of an entry. Real files declare 16 bits for
tables of 12, write a negative first value into an unsigned word, and pack two entries of 8 bits into one word.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.dicom.picture.fields import values_of
from wardround.sources.dicom.picture.findings import HeaderFinding, HeaderRefusal

SMALLEST_DEPTH, LARGEST_DEPTH = 8, 16


@dataclass(frozen=True)
class LookupTable:
    """first: the input that the first entry is for. depth: bits of an entry, so that 2**depth - 1 is full scale."""

    first: int
    entries: NDArray[np.int64]
    depth: int

    @property
    def top(self) -> int:
        return int(2**self.depth - 1)


def looked_up(table: LookupTable, values: NDArray[Any]) -> NDArray[np.int64]:
    """Inputs below the table get its first entry, those above it its last.

    >>> looked_up(LookupTable(-1, np.array([5, 6, 7]), 8), np.array([-9, -1, 0, 0.6, 9])).tolist()
    [5, 5, 6, 7, 7]
    """
    position = np.clip(np.rint(values) - table.first, 0, len(table.entries) - 1)
    entries: NDArray[np.int64] = table.entries[position.astype(np.int64)]
    return entries


def read_table(
    item: Any, names: tuple[str, str], inputs: tuple[float, float], little_endian: bool
) -> tuple[LookupTable, list[HeaderFinding]]:
    """The table of a sequence item, and what is doubtful of it.

    names: of its descriptor and its data. inputs: smallest and largest value that it can be asked for.
    """
    descriptor = [int(number) for number in _words(values_of(item, names[0]), little_endian)]
    data = values_of(item, names[1])
    if len(descriptor) != 3 or not data:
        raise HeaderRefusal("lut-incomplete", names[0] if data else names[1])
    count, declared = descriptor[0] % 2**16 or 2**16, descriptor[2]
    entries = _entries(data, count, declared, little_endian)
    depth = _depth(entries, declared)
    doubts = []
    if depth != declared:
        doubts.append(HeaderFinding("lut-depth", f"declared {declared} bits, holds {int(entries.max()).bit_length()}"))
    steps = np.diff(entries)
    if np.any(steps > 0) and np.any(steps < 0):
        doubts.append(HeaderFinding("lut-turns"))
    return LookupTable(_first(descriptor[1], inputs), entries, depth), doubts


def _words(values: list[Any], little_endian: bool) -> list[Any]:
    """Implicit VR leaves some values as bytes."""
    if len(values) == 1 and isinstance(values[0], bytes):
        content = values[0][: len(values[0]) // 2 * 2]
        return list(np.frombuffer(content, "<u2" if little_endian else ">u2"))
    return values


def _entries(data: list[Any], count: int, declared: int, little_endian: bool) -> NDArray[np.int64]:
    words = np.array(_words(data, little_endian), np.int64) % 2**16
    if len(words) == count:
        return words
    if declared <= SMALLEST_DEPTH and len(words) == (count + 1) // 2:
        low, high = words % 256, words // 256
        # PS3.5 6.2: OW swaps the bytes of a word with the byte order of the file; the value of the word has the first one low.
        return np.stack([low, high], axis=1).reshape(-1)[:count]
    raise HeaderRefusal("lut-length", f"declared {count}, holds {len(words)}")


def _depth(entries: NDArray[np.int64], declared: int) -> int:
    """The declared depth where the highest entry reaches the upper half of its scale, else the fewest bits, from 8, that hold it.

    A table that is to show a picture uses its scale; one that stays below its half was written for fewer bits than declared.
    """
    held = max(SMALLEST_DEPTH, int(entries.max()).bit_length())
    return declared if declared == held and declared <= LARGEST_DEPTH else held


def _first(declared: int, inputs: tuple[float, float]) -> int:
    """The first value mapped is signed where the inputs are, whatever the word that it was written into (PS3.3 C.11.2.1.1)."""
    low, high = inputs
    if low < 0 and high < declared and declared >= 2**15:
        return declared - 2**16
    if low >= 0 and declared < 0 and declared + 2**16 <= high:
        return declared + 2**16
    return declared
