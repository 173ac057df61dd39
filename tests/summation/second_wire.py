"""The envelope of docs/spec/wire.md, section 3, a second time: as much of it as whole messages of a masked sum need.

Arrays are flat, and are here their type and their little-endian bytes. What is not in the one spelling fails an assertion.
"""

import json
from collections.abc import Mapping
from typing import Any

BITS = {"U8": 8, "U16": 16, "U32": 32, "F32": 32, "F64": 64, "U64": 64}


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def write_payload(arrays: Mapping[str, tuple[str, bytes]]) -> bytes:
    """Flat arrays, name -> (type, little-endian bytes), in the one spelling of wire.md 3.3."""
    if not arrays:
        return b""
    header, data = {}, b""
    for name in sorted(arrays, key=lambda name: (-BITS[arrays[name][0]], name)):
        kind, raw = arrays[name]
        header[name] = {"dtype": kind, "shape": [len(raw) * 8 // BITS[kind]], "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = canonical(header)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def read_payload(payload: bytes) -> dict[str, tuple[str, bytes]]:
    if not payload:
        return {}
    start = 8 + int.from_bytes(payload[:8], "little")
    arrays = {}
    for name, entry in json.loads(payload[8:start]).items():
        low, high = entry["data_offsets"]
        arrays[name] = (entry["dtype"], payload[start + low : start + high])
    assert write_payload(arrays) == payload, "a payload has one spelling"
    return arrays


def write_message(header: Mapping[str, Any], payload: bytes = b"") -> bytes:
    text = canonical(header)
    return b"WRND" + (1).to_bytes(2, "big") + len(text).to_bytes(4, "big") + len(payload).to_bytes(8, "big") + text + payload


def read_message(message: bytes) -> tuple[dict[str, Any], bytes]:
    end = 18 + int.from_bytes(message[6:10], "big")
    header, payload = json.loads(message[18:end]), message[end:]
    assert write_message(header, payload) == message, "a message has one spelling"
    return header, payload
