"""Arrays as bytes and back: a safetensors file with one spelling (docs/spec/wire.md, 3.3 to 3.5).

Whoever knows the arrays to come (`ArrayKinds`) compares the sender's array header with its own, and decodes none of it. Whoever
knows a bound (`PayloadLimits`) decodes an array header of at most so many arrays.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.values.canonical import canonical_json
from wardround.values.errors import WireError
from wardround.values.tree import Array, Tree, raw_bytes

PAYLOAD_LIMIT = 1 << 30
TENSOR_HEADER_LIMIT = 1 << 24  # about 150,000 arrays
_ARRAY_LIMIT = 1280  # bytes of the header for one array: a name of 233 characters, all escaped, and 64 long axes
_DIMENSIONS = 64
_TYPES = {"float32": "F32", "float64": "F64", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64"}
_TYPE_NAMES = {short: name for name, short in _TYPES.items()}
_BYTES = {name: np.dtype(name).itemsize for name in _TYPES}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}/[ -~]{1,200}")

ArrayKind = tuple[str, tuple[int, ...]]
"""Type and shape of an array, as in ("float32", (3, 4))."""
ArrayKinds = Mapping[str, ArrayKind]


@dataclass(frozen=True)
class PayloadLimits:
    """What a payload holds at most. bytes_in_all: with the array header."""

    arrays: int
    bytes_in_all: int

    @property
    def header_bytes(self) -> int:
        """The most bytes that the header of so many arrays has, its length included."""
        return min(TENSOR_HEADER_LIMIT, 64 + self.arrays * _ARRAY_LIMIT)


ANY = PayloadLimits(TENSOR_HEADER_LIMIT, PAYLOAD_LIMIT)
"""The limits of the format itself, for a reader without a plan."""


def kinds_of(arrays: Tree) -> dict[str, ArrayKind]:
    """Name, type and shape of each array. WireError where the wire has no such name or type."""
    kinds = {name: (array.dtype.name, tuple(array.shape)) for name, array in arrays.items()}
    _require_spellable(kinds)
    return kinds


def payload_size(kinds: ArrayKinds) -> int:
    """The bytes of a payload with exactly these arrays."""
    return len(_array_header(kinds)) + _size(kinds) if kinds else 0


def write_arrays(arrays: Tree) -> list[bytes | memoryview]:
    """The payload in pieces; nothing for no arrays."""
    if not arrays:
        return []
    kinds = kinds_of(arrays)
    return [_array_header(kinds), *(raw_bytes(arrays[name]) for name in _in_order(kinds))]


def read_exactly(payload: memoryview, kinds: ArrayKinds) -> Tree:
    """The arrays, in memory of their own, where the payload holds these and nothing else; no byte of its header is decoded."""
    if not kinds:
        if payload:
            raise refuse_bytes("no arrays", f"a payload of {len(payload)} bytes")
        return {}
    header, size = _array_header(kinds), _size(kinds)
    if len(payload) != len(header) + size:
        raise refuse_bytes(f"{_summary(kinds)} in {len(header) + size} bytes", f"{len(payload)} bytes")
    if payload[: len(header)] != header:
        raise refuse_bytes(_summary(kinds), "arrays of other names, types, shapes or order")
    return _cut(np.frombuffer(payload[len(header) :], np.uint8).copy(), kinds)


def read_arrays(payload: memoryview, limits: PayloadLimits = ANY, *, lent: bool = False) -> Tree:
    """The arrays, in memory of their own. They are taken as the header has them, and are right if they would be written so.

    lent: they are the payload's bytes, for whoever reads them once; such arrays cannot be changed."""
    if len(payload) > limits.bytes_in_all:
        raise refuse_bytes(f"a payload of at most {limits.bytes_in_all} bytes", f"{len(payload)} bytes")
    if not payload:
        return {}
    start = 8 + int.from_bytes(payload[:8], "little")
    if start > min(len(payload), limits.header_bytes):
        raise refuse_bytes(f"a safetensors payload of at most {limits.arrays} arrays", f"a header of {start - 8} bytes")
    try:
        entries = json.loads(bytes(payload[8:start]))
        kinds = {name: (_known_type(entry["dtype"]), tuple(entry["shape"])) for name, entry in entries.items()}
        _require_possible(kinds, len(payload) - start)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise refuse_bytes("a safetensors payload", type(error).__name__) from error
    _require_spellable(kinds)
    if len(kinds) > limits.arrays:
        raise refuse_bytes(f"at most {limits.arrays} arrays", f"{len(kinds)}")
    if not kinds or payload[:start] != _array_header(kinds):
        raise refuse_bytes("a payload with the one header that its arrays have", "metadata, padding, another order or nothing")
    whole = np.frombuffer(payload[start:], np.uint8)
    return _cut(whole if lent else whole.copy(), kinds)


def _in_order(kinds: ArrayKinds) -> list[str]:
    """Wider types first, so that every array is aligned; then by name."""
    return sorted(kinds, key=lambda name: (-_BYTES[kinds[name][0]], name))


def _bytes_of(kind: ArrayKind) -> int:
    return math.prod(kind[1]) * _BYTES[kind[0]]


def _size(kinds: ArrayKinds) -> int:
    return sum(map(_bytes_of, kinds.values()))


def _array_header(kinds: ArrayKinds) -> bytes:
    """The one safetensors header for these arrays. The library would accept others, with room for data that nobody reads."""
    entries: dict[str, Any] = {}
    start = 0
    for name in _in_order(kinds):
        end = start + _bytes_of(kinds[name])
        entries[name] = {"dtype": _TYPES[kinds[name][0]], "shape": list(kinds[name][1]), "data_offsets": [start, end]}
        start = end
    text = canonical_json(entries)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _require_possible(kinds: ArrayKinds, size: int) -> None:
    """ValueError or TypeError where no arrays of these shapes fill `size` bytes."""
    for _, shape in kinds.values():
        # True and 1.0 are equal to 1 but are spelled otherwise: as an axis they would pass for it.
        if len(shape) > _DIMENSIONS or not all(type(length) is int and 0 <= length <= PAYLOAD_LIMIT for length in shape):
            raise ValueError("a shape that no array has")
    if _size(kinds) != size:
        raise ValueError("arrays that do not fill the payload")


def _cut(whole: NDArray[np.uint8], kinds: ArrayKinds) -> Tree:
    """Arrays of these types and shapes, one after the other, which fill `whole`."""
    arrays: Tree = {}
    start = 0
    for name in _in_order(kinds):
        kind, shape = kinds[name]
        end = start + _bytes_of(kinds[name])
        arrays[name] = _shaped(whole[start:end].view(np.dtype(kind).newbyteorder("<")), shape)
        start = end
    return arrays


def _shaped(values: NDArray[Any], shape: tuple[int, ...]) -> Array:
    try:
        return values.reshape(shape)
    except ValueError as error:  # [0, 2**30, 2**30, 2**30]: no values, and more places than numpy counts
        raise refuse_bytes("a safetensors payload", "a shape that no array has") from error


def _require_spellable(kinds: ArrayKinds) -> None:
    for name, (kind, _) in kinds.items():
        if not _NAME.fullmatch(name):
            raise refuse_bytes("array names of the form part/name", repr(name)[:80])
        if kind not in _TYPES:
            raise _refuse_type(kind)


def _known_type(short: str) -> str:
    if short not in _TYPE_NAMES:
        raise _refuse_type(repr(short)[:60])
    return _TYPE_NAMES[short]


def _refuse_type(type_name: str) -> WireError:
    return refuse_bytes(f"arrays of type {', '.join(sorted(_TYPES))}", type_name)


def _summary(kinds: ArrayKinds) -> str:
    names = sorted(kinds)
    return f"{len(names)} arrays ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"


def refuse_bytes(expected: str, received: str, hint: str = "") -> WireError:
    """The error for bytes that are no message of ours."""
    return WireError("A message was refused", expected=expected, found=received, hint=hint)
