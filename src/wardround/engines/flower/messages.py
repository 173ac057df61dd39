"""Bytes as Flower's messages and back. All that we say travels inline, as one value of the message's content.

    bytes <-> Message(content = {"wardround": {"data": bytes}})      beside it an empty object, which Flower counts deliveries by

The object is pushed like any other: a message whose object never comes is taken back by Flower after 180 s, in the middle of a
long training.
"""

import hashlib
import time
import uuid
from dataclasses import dataclass
from typing import Any

from wardround.engines.flower.quiet import require_flower

require_flower()

from flwr.proto.message_pb2 import Message, Metadata, ObjectTree  # noqa: E402
from flwr.proto.recorddict_pb2 import RecordDict  # noqa: E402

_KEY, _DATA = "wardround", "data"
REPLY_MARGIN_S = 1.0
"""A reply that would live a tenth of a second longer than its order is dropped, and Flower says that all is well."""


@dataclass(frozen=True)
class Packed:
    """message, tree: as Flower takes them. object_id, content: of the one object that belongs to it."""

    message: Any
    tree: Any
    object_id: str
    content: bytes


def packed(data: bytes, *, until: float, margin_s: float = 0.0, **metadata: Any) -> Packed:
    """A message with these bytes, which lives until `until` (seconds since 1970). metadata: Flower's fields."""
    body = uuid.uuid4().bytes  # two messages with equal objects would be one to Flower
    content = b"ArrayChunk  %d\0" % len(body) + body
    object_id = hashlib.sha256(content).hexdigest()
    now = time.time()
    message = Message(
        metadata=Metadata(message_id=object_id, created_at=now, ttl=max(1.0, until - now - margin_s), **metadata),
        content=_record(data),
    )
    return Packed(message, ObjectTree(object_id=object_id), object_id, content)


def data_of(message: Any) -> bytes:
    """The bytes of a message. ValueError where it holds none as we write them."""
    for item in message.content.items:
        if item.key == _KEY:
            for entry in item.config_record.items:
                if entry.key == _DATA and entry.value.HasField("bytes"):
                    return bytes(entry.value.bytes)
    raise ValueError("a message without our bytes")


def _record(data: bytes) -> Any:
    record = RecordDict()
    item = record.items.add()
    item.key = _KEY
    entry = item.config_record.items.add()
    entry.key = _DATA
    entry.value.bytes = data
    return record
