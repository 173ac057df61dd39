"""A site's end of the carrier: its own warm process, with Flower's thin client and our own patience.

    activate (after saying that we left) -> pull, held open by the hub -> ... -> push the answer        beside it: heartbeats

Whatever breaks is tried again, waiting longer each time. No code comes from the hub, and Flower's own retries, which sleep and
raise signals in their own process, are not used.
"""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import ActivateNodeRequest, DeactivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import Message
from flwr.proto.node_pb2 import Node
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from wardround.engines.flower import letters
from wardround.engines.flower.gate import LONGEST_WAIT_S, WAIT_HEADER
from wardround.engines.flower.line_faults import in_words, require_no_socks
from wardround.engines.flower.nodes import HEARTBEAT_S
from wardround.engines.remote.body_client import tls_context
from wardround.engines.remote.carrier import Carried
from wardround.engines.remote.short_answers import at_most
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError, WireError
from wardround.values.private_files import read_private

CONNECTED = "connected"
_BEAT_EVERY_S = 6.0
_CLOSE_S = 2.0
_GOODBYE_S = 3.0
_TIMEOUT = httpx.Timeout(LONGEST_WAIT_S + 20.0, connect=15.0)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_LONGEST_REFUSED_S = 4.0
"""Where nothing listens at the hub's port: to ask costs next to nothing, and a hub that is back is found soon."""
_LONGEST_KEY = 1 << 14
_LONGEST_ANSWER = 4 << 20  # one message and its envelopes have little more than one MiB
_SHORTEST_WAIT_S = 1.0
_TURNED_AWAY = frozenset({401, 412})
Value = TypeVar("Value")


class FlowerSiteCarrier:
    """Implements `SiteCarrier`. address: host:port of the hub. ca_pem: the authorities that are believed, and no others.
    login_key: PEM file. node_file: which node of Flower's this site was. proxy: overrides HTTPS_PROXY.

    Raises RunError where the login key cannot be read.
    """

    def __init__(self, address: str, ca_pem: bytes, login_key: Path, node_file: Path, proxy: str | None = None) -> None:
        require_no_socks()
        key = _login(login_key)
        self._address, self._proxy, self._node_file = address, proxy, node_file
        self._public = public_key_to_bytes(key.public_key())
        self._waiting = _Waiting()
        signing = NodeAuthHttpInterceptor(key, key.public_key())
        context = tls_context(ca_pem)
        self._client = FleetHttpClient(f"https://{address}", interceptors=[signing, self._waiting], verify=context)
        self._client._client.close()
        hooks = {"response": [at_most(_LONGEST_ANSWER)]}
        self._client._client = httpx.Client(
            verify=context, timeout=_TIMEOUT, proxy=proxy, follow_redirects=False, event_hooks=hooks
        )
        self._lock, self._receiving = threading.Lock(), threading.Lock()
        self._node: Node | None = None
        self._pauses = 0
        self._state = "connecting"
        self._closed = threading.Event()
        threading.Thread(target=self._beat, name="wardround-heartbeat", daemon=True).start()

    @property
    def state(self) -> str:
        return self._state

    def receive(self, wait_s: float) -> Carried | None:
        with self._receiving:
            return None if self._closed.is_set() else self._tried(lambda: self._pulled(wait_s))

    def reply(self, carried: Carried, data: bytes, may_leave: Callable[[], bool] = lambda: True) -> bool:
        """Tries until the hub has it, or has said that it does not wait for it, or the order has expired."""
        message: Message = carried.ticket
        until = letters.expiry(message) - 2 * letters.MARGIN_S
        while not self._closed.is_set() and time.time() < until and may_leave():
            taken = self._tried(lambda: self._pushed(message, data))
            if taken is not None:
                return taken
        return False

    def close(self) -> None:
        """Says that this site leaves, where the line lets it. Whoever stops a site does not wait for a hub that is silent."""
        self._closed.set()
        self._client._client.timeout = httpx.Timeout(_GOODBYE_S)
        node = self._node
        if node is not None:
            with suppress(httpx.HTTPError, ValueError):  # ValueError: what came is no answer of Flower's
                self._client.DeactivateNode(DeactivateNodeRequest(node_id=node.node_id))
                self._node_file.unlink(missing_ok=True)
        if self._receiving.acquire(timeout=_CLOSE_S):  # the hub lets go of a request that it holds when its site leaves
            self._receiving.release()
        self._client.close()

    def _pulled(self, wait_s: float) -> Carried | None:
        node = self._active()
        self._waiting.seconds = min(LONGEST_WAIT_S, wait_s)
        began = time.monotonic()
        for message in self._client.PullMessages(PullMessagesRequest(node=node)).messages_list:
            with suppress(WireError):  # none of ours: the hub hears nothing
                return Carried(letters.data_of(message), message)
        self._closed.wait(
            max(0.0, min(_SHORTEST_WAIT_S, wait_s) - (time.monotonic() - began))
        )  # a hub that does not hold us open
        return None

    def _pushed(self, message: Message, data: bytes) -> bool:
        """Whether the hub's Flower waits for this answer. One that was started anew does not, and says so at once."""
        node = self._active()
        if node.node_id != message.metadata.dst_node_id:
            return False
        reply = letters.reply(message, data)
        request = PushMessagesRequest(node=node, messages_list=[reply], message_object_trees=[letters.tree_of(reply)])
        try:
            stored = self._client.PushMessages(request)
        except httpx.HTTPStatusError as error:
            if error.response.status_code in _TURNED_AWAY or error.response.status_code >= 500:
                raise
            return False  # 403: the run that the order came in has ended
        return reply.metadata.message_id in stored.objects_to_push  # 200 is answered in any case

    def _active(self) -> Node:
        """This site's node. After a kill Flower holds us for present, and refuses us until we say that we left."""
        with self._lock:
            if self._node is None:
                self._leave_before()
                request = ActivateNodeRequest(public_key=self._public, heartbeat_interval=HEARTBEAT_S)
                node = Node(node_id=self._client.ActivateNode(request).node_id)
                write_atomic(self._node_file, f"{node.node_id}\n".encode(), private=True)
                self._node, self._state = node, CONNECTED  # the first answer of the hub may be a while: it waits for a message
            return self._node

    def _leave_before(self) -> None:
        text = (read_private(self._node_file, 100) or b"").decode("ascii", "replace").strip()
        if text.isdecimal():
            with suppress(httpx.HTTPStatusError, ValueError):  # a hub that was started anew knows nothing of that node
                self._client.DeactivateNode(DeactivateNodeRequest(node_id=int(text)))

    def _tried(self, call: Callable[[], Value]) -> Value | None:
        """The value of a call; None, after a pause, where the line is broken. `state` says what is wrong."""
        try:
            value = call()
        except (httpx.HTTPError, OSError, ValueError, RuntimeError, RunError) as error:
            if self._closed.is_set():
                return None
            if isinstance(error, RuntimeError):
                raise  # only a closed client is expected to raise it
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in _TURNED_AWAY:
                self._node = None
            self._state = str(error) if isinstance(error, RunError) else in_words(error, self._address, self._proxy)
            longest = _LONGEST_REFUSED_S if isinstance(error, httpx.ConnectError) else _LONGEST_PAUSE_S
            pause = min(longest, _FIRST_PAUSE_S * 2 ** min(self._pauses, 9))
            self._pauses += 1
            self._closed.wait(pause * random.uniform(0.5, 1.0))
            return None
        self._pauses, self._state = 0, CONNECTED
        return value

    def _beat(self) -> None:
        """The hub knows that we are there while we compute; one that was started anew is told who we are."""
        while not self._closed.wait(_BEAT_EVERY_S):
            if (node := self._node) is not None:
                self._beat_once(node)

    def _beat_once(self, node: Node) -> None:
        try:
            request = SendNodeHeartbeatRequest(node=node, heartbeat_interval=HEARTBEAT_S)
            if self._client.SendNodeHeartbeat(request).success:
                return
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in _TURNED_AWAY:
                return
        except (httpx.HTTPError, RuntimeError, ValueError):
            return  # whoever receives or replies sees it and says so
        self._rejoin(node)

    def _rejoin(self, node: Node) -> None:
        if self._node is node:
            self._node = None
        with suppress(httpx.HTTPError, RuntimeError, ValueError, RunError):
            self._active()


class _Waiting:
    """Tells the hub how long a request for messages may be held open."""

    seconds = LONGEST_WAIT_S

    def intercept(self, context: Any, call_next: Callable[[Any], httpx.Response]) -> httpx.Response:
        context.request.headers[WAIT_HEADER.decode()] = str(int(self.seconds))
        return call_next(context)


def _login(path: Path) -> ec.EllipticCurvePrivateKey:
    content = read_private(path, _LONGEST_KEY)
    try:
        key = serialization.load_pem_private_key(content or b"", None)
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} holds no login key", hint="join the hub with a new invitation") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise RunError(f"{path} holds a key of another kind", hint="join the hub with a new invitation")
    return key
