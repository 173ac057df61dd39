"""A site's end of the carrier: its own warm process, with Flower's thin client and our own patience.

    activate (after saying that we left) -> pull, held open -> confirm -> ... -> push the answer        beside it: heartbeats

Whatever breaks is tried again, waiting longer each time. No code comes from the hub, and Flower's own retries, which sleep and
raise signals in their own process, are not used.
"""

import random
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from wardround.engines.flower.holding import HoldInterceptor, held
from wardround.engines.flower.line_faults import in_words
from wardround.engines.flower.messages import REPLY_MARGIN_S, data_of, packed
from wardround.engines.flower.quiet import require_flower
from wardround.engines.remote.carrier import Carried
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError
from wardround.values.private_files import read_private

require_flower()

import httpx  # noqa: E402
from flwr.proto.fleet_pb2 import (  # noqa: E402
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest  # noqa: E402
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, PushObjectRequest  # noqa: E402
from flwr.proto.node_pb2 import Node  # noqa: E402
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor  # noqa: E402
from flwr.supercore.primitives.asymmetric import public_key_to_bytes  # noqa: E402
from flwr.supernode.fleet_http_client import FleetHttpClient  # noqa: E402
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor  # noqa: E402

HEARTBEAT_S = 10.0
"""As told to Flower: a site that was silent for twice as long is taken for offline."""
_BEAT_EVERY_S = 6.0
_TIMEOUT_S = 45.0
_LONGEST_WAIT_S = 30.0
_LONGEST_KEY = 1 << 14
Answer = TypeVar("Answer")


class FlowerSiteCarrier:
    """Carries messages between a site and its hub (`engines.remote.carrier.SiteCarrier`).

    address: HOST:PORT. authorities: PEM of the certificate authorities that are trusted, and no other. login_key: PEM file of the
    site's login key. node_file: where it is remembered which node of Flower's this site was.
    """

    def __init__(self, address: str, authorities: bytes, login_key: Path, node_file: Path) -> None:
        key = _login(login_key)
        self._public = public_key_to_bytes(key.public_key())
        self._node_file = node_file
        self._node: Any = None
        self._waits = 0
        self._state = "connecting"
        self._address = address
        interceptors = (
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(key, key.public_key()),
            HoldInterceptor(),
        )
        self._client = FleetHttpClient(
            f"https://{address}", interceptors=interceptors, verify=_trusting(authorities), timeout=_TIMEOUT_S
        )
        self._closed = threading.Event()
        threading.Thread(target=self._beat, name="flower-heartbeat", daemon=True).start()

    @property
    def state(self) -> str:
        return self._state

    def close(self) -> None:
        self._closed.set()
        if self._node is not None:
            with suppress(httpx.HTTPError):
                self._client.DeactivateNode(DeactivateNodeRequest(node_id=self._node.node_id))
                self._node_file.unlink(missing_ok=True)
        self._client.close()

    def receive(self, wait_s: float) -> Carried | None:
        return self._tried(lambda: self._received(wait_s))

    def reply(self, carried: Carried, data: bytes) -> bool:
        """Tries until the hub has it or the order has expired."""
        metadata = carried.ticket
        until = metadata.created_at + metadata.ttl
        while not self._closed.is_set() and time.time() < until - REPLY_MARGIN_S:
            taken = self._tried(lambda: self._replied(metadata, data, until))
            if taken is not None:
                return taken
        return False

    def _received(self, wait_s: float) -> Carried | None:
        node = self._active()
        with held(wait_s):
            answer = self._client.PullMessages(PullMessagesRequest(node=node))
        for message in answer.messages_list:
            metadata = message.metadata
            confirm = ConfirmMessageReceivedRequest(node=node, run_id=metadata.run_id, message_object_id=metadata.message_id)
            with suppress(httpx.HTTPStatusError):
                self._client.ConfirmMessageReceived(confirm)
            with suppress(ValueError):
                return Carried(data_of(message), metadata)
        return None

    def _replied(self, metadata: Any, data: bytes, until: float) -> bool:
        """Whether the hub's Flower waits for this answer. Where it was started anew it does not, and says so at once."""
        node = self._active()
        answer = packed(
            data,
            until=until,
            margin_s=REPLY_MARGIN_S,
            run_id=metadata.run_id,
            src_node_id=node.node_id,
            dst_node_id=metadata.src_node_id,
            reply_to_message_id=metadata.message_id,
            message_type=metadata.message_type,
        )
        try:
            stored = self._client.PushMessages(
                PushMessagesRequest(
                    node=node, messages_list=[answer.message], message_object_trees=[answer.tree], clientapp_runtime_list=[0.0]
                )
            )
        except httpx.HTTPStatusError as error:
            if error.response.status_code in (401, 403):
                raise  # this node is none any more: activate, and try again
            return False
        if answer.object_id not in stored.objects_to_push:
            return False
        with suppress(httpx.HTTPStatusError):
            self._client.PushObject(
                PushObjectRequest(
                    node=node,
                    run_id=metadata.run_id,
                    object_id=answer.object_id,
                    object_content=answer.content,
                    session_id=stored.session_id,
                )
            )
        return True

    def _active(self) -> Any:
        """This site's node, activated where it is not. After a kill Flower holds us for online, and refuses before we say that we
        left."""
        if self._node is None:
            self._say_that_we_left()
            request = ActivateNodeRequest(public_key=self._public, heartbeat_interval=HEARTBEAT_S)
            self._node = Node(node_id=self._client.ActivateNode(request).node_id)
            write_atomic(self._node_file, f"{self._node.node_id}\n".encode(), private=True)
        return self._node

    def _say_that_we_left(self) -> None:
        text = (read_private(self._node_file, 100) or b"").decode("ascii", "replace").strip()
        if text.isdecimal():
            with suppress(httpx.HTTPStatusError):
                self._client.DeactivateNode(DeactivateNodeRequest(node_id=int(text)))

    def _tried(self, call: Callable[[], Answer]) -> Answer | None:
        """The answer of a call; None, after a pause, where the line is broken. `state` says what is wrong."""
        try:
            answer = call()
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in (401, 403, 412):
                self._node = None
            self._state = in_words(error, self._address)
            self._waits += 1
            pause = min(_LONGEST_WAIT_S, 0.1 * 2 ** min(self._waits, 9)) * random.uniform(0.5, 1.0)
            self._closed.wait(pause)
            return None
        self._waits, self._state = 0, "connected"
        return answer

    def _beat(self) -> None:
        while not self._closed.wait(_BEAT_EVERY_S):
            node = self._node
            if node is not None:
                with suppress(httpx.HTTPError):
                    alive = self._client.SendNodeHeartbeat(SendNodeHeartbeatRequest(node=node, heartbeat_interval=HEARTBEAT_S))
                    if not alive.success and self._node is node:
                        self._node = None


def _login(path: Path) -> ec.EllipticCurvePrivateKey:
    content = read_private(path, _LONGEST_KEY)
    try:
        key = serialization.load_pem_private_key(content or b"", None)
    except ValueError as error:
        raise RunError(f"{path} holds no login key", hint="join the hub with a new invitation") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise RunError(f"{path} holds a key of another kind", hint="join the hub with a new invitation")
    return key


def _trusting(authorities: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=authorities.decode("ascii"))
    return context
