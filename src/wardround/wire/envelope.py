"""The envelope: magic, version, canonical JSON header, safetensors payload (docs/spec/wire.md, section 3)."""

import hashlib
import json
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from wardround.values.canonical import canonical_json
from wardround.values.errors import WireError
from wardround.values.tree import Array, Bundle, Tree, raw_bytes
from wardround.wire.messages import (
    Answer,
    AnswerHeader,
    Ask,
    AskHeader,
    ContributionHeader,
    ContributionMessage,
    Message,
    Order,
    OrderHeader,
    Refusal,
    RefusalHeader,
)

MAGIC = b"WRND"
VERSION = 1
HEADER_LIMIT = 1 << 21  # holds 10,000 sites with the longest names
PAYLOAD_LIMIT = 1 << 30
TENSOR_HEADER_LIMIT = 1 << 24  # about 150,000 arrays
_DIMENSIONS = 64

_FRONT = struct.Struct(">4sHIQ")
_TYPES = {"float32": "F32", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64"}
_TYPE_NAMES = {short: name for name, short in _TYPES.items()}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}/[ -~]{1,200}")
_Header = OrderHeader | ContributionHeader | RefusalHeader | AskHeader | AnswerHeader
_HEADERS: dict[str, type[_Header]] = {
    "order": OrderHeader,
    "contribution": ContributionHeader,
    "refusal": RefusalHeader,
    "ask": AskHeader,
    "answer": AnswerHeader,
}


def to_bytes(message: Message) -> bytes:
    """The one way to write a message: equal messages give equal bytes."""
    header = canonical_json(message.header.model_dump(mode="json"))
    if len(header) > HEADER_LIMIT:
        raise _refuse(f"a header of at most {HEADER_LIMIT} bytes", f"{len(header)} bytes", hint="use fewer or shorter site names")
    payload = [] if isinstance(message, Refusal) else _written(message.arrays)
    return b"".join([_FRONT.pack(MAGIC, VERSION, len(header), sum(map(len, payload))), header, *payload])


def payload_digest(arrays: Tree) -> bytes:
    """SHA-256 of the payload that these arrays are written as, without writing it in one piece."""
    digest = hashlib.sha256()
    for piece in _written(arrays):
        digest.update(piece)
    return digest.digest()


def from_bytes(data: bytes, *, payload_limit: int = PAYLOAD_LIMIT) -> Message:
    """The message that `data` holds. Raises WireError where a single byte is not as the specification says."""
    if len(data) < _FRONT.size:
        raise _refuse("a message is at least 18 bytes", f"{len(data)} bytes")
    magic, version, header_size, payload_size = _FRONT.unpack_from(data)
    if magic != MAGIC:
        raise _refuse("the magic WRND", repr(magic))
    if version != VERSION:
        raise _refuse(f"version {VERSION}", f"version {version}", hint="run the same release of Wardround on both sides")
    if header_size > HEADER_LIMIT or payload_size > payload_limit:
        raise _refuse(f"at most {HEADER_LIMIT} + {payload_limit} bytes", f"{header_size} + {payload_size} bytes")
    if len(data) != _FRONT.size + header_size + payload_size:
        raise _refuse(f"{_FRONT.size + header_size + payload_size} bytes in all", f"{len(data)} bytes")
    header = _read_header(data[_FRONT.size : _FRONT.size + header_size])
    arrays = _read_arrays(memoryview(data)[_FRONT.size + header_size :])
    match header:
        case OrderHeader():
            return Order(header, arrays)
        case ContributionHeader():
            return ContributionMessage(header, arrays)
        case AskHeader():
            return Ask(header, arrays)
        case AnswerHeader():
            return Answer(header, arrays)
    if arrays:
        raise _refuse("a refusal without payload", f"{len(arrays)} arrays")
    return Refusal(header)


def _read_header(raw: bytes) -> _Header:
    try:
        value: Any = json.loads(raw)
        canonical = canonical_json(value)
    except (ValueError, RecursionError) as error:
        raise _refuse("a header of canonical JSON", type(error).__name__) from error
    if canonical != raw or not isinstance(value, dict):
        raise _refuse("a header in canonical form (sorted keys, none twice, no spaces)", "another form")
    kind = _HEADERS.get(str(value.get("kind")))
    if kind is None:
        raise _refuse("a header of kind order, contribution, refusal, ask or answer", repr(value.get("kind"))[:60])
    try:
        header = kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "header"
        raise _refuse(f"a valid {value['kind']} header", f"{field}: {first['msg']}") from error
    if missing := set(type(header).model_fields) - set(value):
        raise _refuse("a header with every key written out", f"no {', '.join(sorted(missing))}")
    return header


def _written(arrays: Tree) -> list[bytes | memoryview]:
    """The payload in pieces; nothing for no arrays."""
    if not arrays:
        return []
    _require_known(arrays)
    return [_tensor_header(arrays), *(raw_bytes(arrays[name]) for name in _in_order(arrays))]


def _in_order(arrays: Tree) -> list[str]:
    """Wider types first, so that every array is aligned; then by name."""
    return sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))


def _tensor_header(arrays: Tree) -> bytes:
    """The one safetensors header for these arrays. The library would accept others, with room for data that nobody reads."""
    entries: dict[str, Any] = {}
    start = 0
    for name in _in_order(arrays):
        end = start + arrays[name].nbytes
        entries[name] = {
            "dtype": _TYPES[arrays[name].dtype.name],
            "shape": list(arrays[name].shape),
            "data_offsets": [start, end],
        }
        start = end
    text = canonical_json(entries)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _read_arrays(payload: memoryview) -> Tree:
    """The arrays, in memory of their own. They are taken as the header has them, and are right if they would be written so."""
    if not payload:
        return {}
    start = 8 + int.from_bytes(payload[:8], "little")
    if start > min(len(payload), TENSOR_HEADER_LIMIT):
        raise _refuse("a safetensors payload", f"a header of {start - 8} bytes")
    try:
        entries = json.loads(bytes(payload[8:start]))
        kinds = {name: (_known_type(entry["dtype"]), tuple(entry["shape"])) for name, entry in entries.items()}
        whole = np.frombuffer(payload[start:], np.uint8).copy()
        arrays = _cut(whole, kinds)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _refuse("a safetensors payload", type(error).__name__) from error
    _require_known(arrays)
    if not arrays or payload[:start] != _tensor_header(arrays):
        raise _refuse("a payload with the one header that its arrays have", "metadata, padding, another order or nothing")
    return arrays


def _cut(whole: NDArray[np.uint8], kinds: Mapping[str, tuple[str, tuple[int, ...]]]) -> Tree:
    """Arrays of these types and shapes, one after the other, which fill `whole`. ValueError or TypeError where they do not."""
    arrays: Tree = {}
    start = 0
    for name, (kind, shape) in sorted(kinds.items(), key=lambda item: (-np.dtype(item[1][0]).itemsize, item[0])):
        if len(shape) > _DIMENSIONS or not all(0 <= length <= PAYLOAD_LIMIT for length in shape):
            raise ValueError("a shape that no array has")
        end = start + math.prod(shape) * np.dtype(kind).itemsize
        if end > len(whole):
            raise ValueError("more values than there are bytes")
        arrays[name] = whole[start:end].view(np.dtype(kind).newbyteorder("<")).reshape(shape)
        start = end
    if start != len(whole):
        raise ValueError("bytes that belong to no array")
    return arrays


def _require_known(arrays: Tree) -> None:
    for name, array in arrays.items():
        if not _NAME.fullmatch(name):
            raise _refuse("array names of the form part/name", repr(name)[:80])
        if array.dtype.name not in _TYPES:
            raise _refuse_type(array.dtype.name)


def _known_type(short: str) -> str:
    if short not in _TYPE_NAMES:
        raise _refuse_type(repr(short)[:60])
    return _TYPE_NAMES[short]


def _refuse_type(type_name: str) -> WireError:
    return _refuse(f"arrays of type {', '.join(sorted(_TYPES))}", type_name)


def _refuse(expected: str, received: str, hint: str = "") -> WireError:
    return WireError("A message was refused", expected=expected, found=received, hint=hint)


def pack_bundle(bundle: Bundle) -> Tree:
    """A bundle as flat, named arrays: `part/name`."""
    return {f"{part}/{name}": array for part, tree in bundle.items() for name, array in tree.items()}


def unpack_bundle(arrays: dict[str, Array]) -> Bundle:
    """Inverse of `pack_bundle`."""
    bundle: Bundle = {}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        bundle.setdefault(part, {})[rest] = array
    return bundle
