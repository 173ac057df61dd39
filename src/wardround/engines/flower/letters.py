"""Bytes as Flower's messages and back. They travel inside the message itself: Flower's objects would cost a second of waiting.

A reply must not outlive its order by Flower's clock, or it is dropped without a word: it ends a second before it.
"""

import secrets
import time

from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree
from flwr.proto.recorddict_pb2 import RecordDict

from wardround.values.errors import WireError

_NAME = "sealed"
_TYPE = "query"
MARGIN_S = 1.0


def order(run: int, node: int, data: bytes, lifetime_s: float) -> Message:
    metadata = Metadata(run_id=run, src_node_id=SUPERLINK_NODE_ID, dst_node_id=node, group_id="", message_type=_TYPE)
    return _letter(metadata, data, time.time() + lifetime_s)


def reply(to: Message, data: bytes) -> Message:
    metadata = Metadata(
        run_id=to.metadata.run_id,
        src_node_id=to.metadata.dst_node_id,
        dst_node_id=to.metadata.src_node_id,
        reply_to_message_id=to.metadata.message_id,
        group_id=to.metadata.group_id,
        message_type=to.metadata.message_type,
    )
    return _letter(metadata, data, expiry(to) - MARGIN_S)


def expiry(message: Message) -> float:
    """When Flower forgets the message, seconds since 1970."""
    end: float = message.metadata.created_at + message.metadata.ttl
    return end


def data_of(message: Message) -> bytes:
    """What travels inside. WireError for a message that is none of ours."""
    items = message.content.items
    if len(items) == 1 and len(items[0].config_record.items) == 1 and items[0].config_record.items[0].value.HasField("bytes"):
        data: bytes = items[0].config_record.items[0].value.bytes
        return data
    raise WireError("Flower brought a message that is none of Wardround's")


def tree_of(message: Message) -> ObjectTree:
    """The message without objects: nothing is to be pushed or pulled besides it."""
    return ObjectTree(object_id=message.metadata.message_id)


def _letter(metadata: Metadata, data: bytes, until: float) -> Message:
    content = RecordDict()
    item = content.items.add()
    item.key = _NAME
    value = item.config_record.items.add()
    value.key = _NAME
    value.value.bytes = data
    metadata.message_id = secrets.token_hex(32)
    metadata.created_at = time.time()  # both last: Flower compares them to a tenth of a second
    metadata.ttl = until - metadata.created_at
    return Message(metadata=metadata, content=content)
