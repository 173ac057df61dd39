"""The envelope: magic, version, canonical JSON header, safetensors payload (docs/spec/wire.md, section 3).

    bytes --open_envelope--> header, payload not read --checks by the reader--> Envelope.exact_message(arrays to come)

A reader that holds a plan looks at the header first, and says which arrays it takes before one byte of them is decoded.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from wardround.values.canonical import canonical_json
from wardround.values.tree import Array, Bundle, Tree
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
from wardround.wire.payload import (
    ANY,
    PAYLOAD_LIMIT,
    ArrayKinds,
    PayloadLimits,
    read_arrays,
    read_exactly,
    refuse_bytes,
    write_arrays,
)

MAGIC = b"WRND"
VERSION = 1
HEADER_LIMIT = 1 << 21  # holds 10,000 sites with the longest names
_HEADER_START = 2048
_HEADER_SITE = 656  # in the cohort, among those counted and those disputed, and in the roster

_FRONT = struct.Struct(">4sHIQ")
FRONT_BYTES = _FRONT.size
AnyHeader = OrderHeader | ContributionHeader | RefusalHeader | AskHeader | AnswerHeader
_HEADERS: dict[str, type[AnyHeader]] = {
    "order": OrderHeader,
    "contribution": ContributionHeader,
    "refusal": RefusalHeader,
    "ask": AskHeader,
    "answer": AnswerHeader,
}


def largest_header(sites: int) -> int:
    """The most bytes that a header needs in a study of so many sites, whatever its kind."""
    return min(HEADER_LIMIT, _HEADER_START + _HEADER_SITE * sites)


@dataclass(frozen=True)
class Envelope:
    """A message whose header was read and whose payload was not: what it costs so far, the header costs.

    header: valid by itself; whether it belongs to this study is the reader's to check. payload: as it came.
    """

    header: AnyHeader
    payload: memoryview

    def exact_message(self, kinds: ArrayKinds) -> Message:
        """The message, where it holds these arrays and no other. Raises WireError at the first byte that is another."""
        return _message(self.header, read_exactly(self.payload, kinds))

    def message(self, limits: PayloadLimits = ANY, *, lent: bool = False) -> Message:
        """The message, with whatever arrays it holds. Raises WireError beyond the limits, before anything is decoded. lent: the
        arrays are the payload's bytes, and cannot be changed."""
        return _message(self.header, read_arrays(self.payload, limits, lent=lent))


def to_bytes(message: Message) -> bytes:
    """The one way to write a message: equal messages give equal bytes."""
    header = canonical_json(message.header.model_dump(mode="json"))
    if len(header) > HEADER_LIMIT:
        raise refuse_bytes(
            f"a header of at most {HEADER_LIMIT} bytes", f"{len(header)} bytes", hint="use fewer or shorter site names"
        )
    payload = [] if isinstance(message, Refusal) else write_arrays(message.arrays)
    return b"".join([_FRONT.pack(MAGIC, VERSION, len(header), sum(map(len, payload))), header, *payload])


def payload_digest(arrays: Tree) -> bytes:
    """SHA-256 of the payload that these arrays are written as, without writing it in one piece."""
    digest = hashlib.sha256()
    for piece in write_arrays(arrays):
        digest.update(piece)
    return digest.digest()


def from_bytes(data: bytes, *, payload_limit: int = PAYLOAD_LIMIT) -> Message:
    """The message that `data` holds, whatever it is. Raises WireError where a byte is not as the specification says."""
    return open_envelope(data, payload_limit=payload_limit).message()


def open_envelope(data: bytes, *, header_limit: int = HEADER_LIMIT, payload_limit: int = PAYLOAD_LIMIT) -> Envelope:
    """The header of a message, read, and its payload, untouched. Raises WireError where the header is not as specified.

    header_limit, payload_limit: bytes that are taken at most; both are looked at before the header is decoded. A reader with a
    plan takes `largest_header` of its sites.
    """
    if len(data) < _FRONT.size:
        raise refuse_bytes("a message is at least 18 bytes", f"{len(data)} bytes")
    magic, version, header_size, payload_size = _FRONT.unpack_from(data)
    if magic != MAGIC:
        raise refuse_bytes("the magic WRND", repr(magic))
    if version != VERSION:
        raise refuse_bytes(f"version {VERSION}", f"version {version}", hint="run the same release of Wardround on both sides")
    if header_size > header_limit or payload_size > payload_limit:
        raise refuse_bytes(f"at most {header_limit} + {payload_limit} bytes", f"{header_size} + {payload_size} bytes")
    start = _FRONT.size + header_size
    if len(data) != start + payload_size:
        raise refuse_bytes(f"{start + payload_size} bytes in all", f"{len(data)} bytes")
    return Envelope(_read_header(data[_FRONT.size : start]), memoryview(data)[start:])


def _message(header: AnyHeader, arrays: Tree) -> Message:
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
        raise refuse_bytes("a refusal without payload", f"{len(arrays)} arrays")
    return Refusal(header)


def _read_header(raw: bytes) -> AnyHeader:
    try:
        value: Any = json.loads(raw)
        canonical = canonical_json(value)
    except (ValueError, RecursionError) as error:
        raise refuse_bytes("a header of canonical JSON", type(error).__name__) from error
    if canonical != raw or not isinstance(value, dict):
        raise refuse_bytes("a header in canonical form (sorted keys, none twice, no spaces)", "another form")
    kind = _HEADERS.get(str(value.get("kind")))
    if kind is None:
        raise refuse_bytes("a header of kind order, contribution, refusal, ask or answer", repr(value.get("kind"))[:60])
    try:
        header = kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "header"
        raise refuse_bytes(f"a valid {value['kind']} header", f"{field}: {first['msg']}") from error
    if missing := set(type(header).model_fields) - set(value):
        raise refuse_bytes("a header with every key written out", f"no {', '.join(sorted(missing))}")
    return header


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
