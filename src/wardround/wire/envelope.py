"""The envelope: magic, version, canonical JSON header, safetensors payload (docs/spec/wire.md, section 3)."""

import json
import re
import struct
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from wardround.values.canonical import canonical_json
from wardround.values.errors import WireError
from wardround.values.tree import Array, Bundle, Tree
from wardround.wire.messages import Contribution, ContributionHeader, Message, Order, OrderHeader, Refusal, RefusalHeader

MAGIC = b"WRND"
VERSION = 1
HEADER_LIMIT = 1 << 16
PAYLOAD_LIMIT = 1 << 30

_FRONT = struct.Struct(">4sHIQ")
_TYPES = {"float32": "F32", "uint16": "U16", "uint32": "U32", "uint64": "U64"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}/[ -~]{1,200}")
_HEADERS: dict[str, type[OrderHeader] | type[ContributionHeader] | type[RefusalHeader]] = {
    "order": OrderHeader,
    "contribution": ContributionHeader,
    "refusal": RefusalHeader,
}


def to_bytes(message: Message) -> bytes:
    """The one way to write a message: equal messages give equal bytes."""
    header = canonical_json(message.header.model_dump(mode="json"))
    if len(header) > HEADER_LIMIT:
        raise _refuse(f"a header of at most {HEADER_LIMIT} bytes", f"{len(header)} bytes", mend="use fewer or shorter site names")
    payload = [] if isinstance(message, Refusal) else _written(message.arrays)
    return b"".join([_FRONT.pack(MAGIC, VERSION, len(header), sum(map(len, payload))), header, *payload])


def from_bytes(data: bytes, *, payload_limit: int = PAYLOAD_LIMIT) -> Message:
    """The message that `data` holds. Raises WireError where a single byte is not as the specification says."""
    if len(data) < _FRONT.size:
        raise _refuse("a message is at least 18 bytes", f"{len(data)} bytes")
    magic, version, header_size, payload_size = _FRONT.unpack_from(data)
    if magic != MAGIC:
        raise _refuse("the magic WRND", repr(magic))
    if version != VERSION:
        raise _refuse(f"version {VERSION}", f"version {version}", mend="run the same release of Wardround on both sides")
    if header_size > HEADER_LIMIT or payload_size > payload_limit:
        raise _refuse(f"at most {HEADER_LIMIT} + {payload_limit} bytes", f"{header_size} + {payload_size} bytes")
    if len(data) != _FRONT.size + header_size + payload_size:
        raise _refuse(f"{_FRONT.size + header_size + payload_size} bytes in all", f"{len(data)} bytes")
    header = _read_header(data[_FRONT.size : _FRONT.size + header_size])
    arrays = _read_arrays(data[_FRONT.size + header_size :])
    if isinstance(header, OrderHeader):
        return Order(header, arrays)
    if isinstance(header, ContributionHeader):
        return Contribution(header, arrays)
    if arrays:
        raise _refuse("a refusal without payload", f"{len(arrays)} arrays")
    return Refusal(header)


def _read_header(raw: bytes) -> OrderHeader | ContributionHeader | RefusalHeader:
    try:
        value: Any = json.loads(raw)
        canonical = canonical_json(value)
    except (ValueError, RecursionError) as error:
        raise _refuse("a header of canonical JSON", type(error).__name__) from error
    if canonical != raw or not isinstance(value, dict):
        raise _refuse("a header in canonical form (sorted keys, none twice, no spaces)", "another form")
    kind = _HEADERS.get(str(value.get("kind")))
    if kind is None:
        raise _refuse("a header of kind order, contribution or refusal", repr(value.get("kind"))[:60])
    try:
        header = kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "header"
        raise _refuse(f"a valid {value['kind']} header", f"{place}: {first['msg']}") from error
    if missing := set(type(header).model_fields) - set(value):
        raise _refuse("a header with every key written out", f"no {', '.join(sorted(missing))}")
    return header


def _written(arrays: Tree) -> list[bytes]:
    """The payload in pieces; nothing for no arrays."""
    if not arrays:
        return []
    _require_known(arrays)
    little = (arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False) for name in _in_order(arrays))
    return [_tensor_header(arrays), *(array.tobytes() for array in little)]


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


def _read_arrays(payload: bytes) -> Tree:
    if not payload:
        return {}
    try:
        arrays = load_tensors(payload)
    except (SafetensorError, KeyError, ValueError, OverflowError) as error:
        raise _refuse("a safetensors payload", type(error).__name__) from error
    _require_known(arrays)
    if not arrays or not payload.startswith(_tensor_header(arrays)):
        raise _refuse("a payload with the one header that its arrays have", "metadata, padding, another order or nothing")
    return dict(arrays)


def _require_known(arrays: Tree) -> None:
    for name, array in arrays.items():
        if not _NAME.fullmatch(name):
            raise _refuse("array names of the form part/name", repr(name)[:80])
        if array.dtype.name not in _TYPES:
            raise _refuse(f"arrays of type {', '.join(sorted(_TYPES))}", array.dtype.name)


def _refuse(expected: str, found: str, mend: str = "") -> WireError:
    return WireError("A message was refused", expected=expected, found=found, mend=mend)


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
