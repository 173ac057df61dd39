"""The hub's end of the carrier: messages into Flower's queues, and answers out of them.

    outbox --one push--> queues of nodes      pull, held until something comes --> arrived(site, bytes) --> taken, or sent again

A site that is not there is no error: its message is sent again until the deadline. A message that Flower lost is a new one with
the same bytes. Runs are changed now and then, since Flower keeps something of every message until its run ends.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from wardround.engines.flower.gate import Logins
from wardround.engines.flower.holding import held
from wardround.engines.flower.inner import Inner, Lane
from wardround.engines.flower.messages import Packed, data_of, packed
from wardround.engines.flower.quiet import require_flower
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId

require_flower()

import httpx  # noqa: E402
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, PushObjectRequest  # noqa: E402
from flwr.proto.node_pb2 import Node  # noqa: E402
from flwr.proto.runtime_pb2 import PullAppMessagesRequest, PushAppMessagesRequest  # noqa: E402

MESSAGES_A_LANE = 5000
_HUB_NODE = 1
_AGAIN_S = 1.0  # until a message that could not be delivered is sent once more
_GRACE_S = 30.0  # that a message outlives its exchange
Arrived = Callable[[SiteId, bytes], bool]


@dataclass
class _Exchange:
    """One exchange at work. open: message id -> its site. due: site -> when its message is sent (again). taken: who answered."""

    outbox: Mapping[SiteId, bytes]
    arrived: Arrived
    until: float
    open: dict[str, SiteId] = field(default_factory=dict)
    due: dict[SiteId, float] = field(default_factory=dict)
    taken: set[SiteId] = field(default_factory=set)

    @property
    def waits(self) -> bool:
        return len(self.taken) < len(self.outbox) and time.monotonic() < self.until

    def lost(self, message_id: str) -> None:
        """The message came to nothing: it is sent again a little later."""
        site = self.open.pop(message_id, None)
        if site is not None and site not in self.taken:
            self.due[site] = time.monotonic() + _AGAIN_S


class FlowerHubCarrier:
    """Carries messages between the hub and its sites (`engines.remote.carrier.HubCarrier`)."""

    def __init__(self, inner: Inner, logins: Logins) -> None:
        self._inner, self._logins = inner, logins
        self._lane: Lane | None = None
        self._lock = threading.Lock()
        self._retired: list[Lane] = []
        self._at_work: dict[int, int] = {}

    def close(self) -> None:
        for lane in [*self._retired, *([self._lane] if self._lane else [])]:
            lane.close()

    def exchange(self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Arrived) -> frozenset[SiteId]:
        exchange = _Exchange(outbox, arrived, time.monotonic() + deadline_s)
        exchange.due = dict.fromkeys(outbox, 0.0)
        lane = self._entered(len(outbox))
        try:
            while exchange.waits:
                try:
                    self._step(lane, exchange)
                except httpx.HTTPStatusError:  # the run or its task is gone
                    lane = self._changed(lane)
                    for message_id in list(exchange.open):
                        exchange.lost(message_id)
                except httpx.HTTPError:  # the server is stopping, or busy beyond its time
                    time.sleep(_AGAIN_S)
        finally:
            self._left(lane)
        return frozenset(exchange.taken)

    def _step(self, lane: Lane, exchange: _Exchange) -> None:
        self._send_due(lane, exchange)
        if exchange.open:
            self._pull(lane, exchange)
        else:
            time.sleep(min(_AGAIN_S / 4, max(0.0, exchange.until - time.monotonic())))

    def _send_due(self, lane: Lane, exchange: _Exchange) -> None:
        now = time.monotonic()
        sites = [site for site, due in exchange.due.items() if due <= now]
        if not sites:
            return
        nodes = self._inner.nodes(self._logins())
        until = time.time() + (exchange.until - now) + _GRACE_S
        messages: dict[SiteId, Packed] = {}
        for site in sites:
            if site in nodes:
                del exchange.due[site]
                messages[site] = packed(
                    exchange.outbox[site],
                    until=until,
                    run_id=lane.run_id,
                    src_node_id=_HUB_NODE,
                    dst_node_id=nodes[site],
                    message_type="query",
                )
            else:  # not confirmed, or revoked: perhaps before the deadline it is
                exchange.due[site] = now + _AGAIN_S
        if messages:
            self._push(lane, exchange, messages)

    def _push(self, lane: Lane, exchange: _Exchange, messages: Mapping[SiteId, Packed]) -> None:
        answer = lane.client.PushMessages(
            PushAppMessagesRequest(
                messages_list=[one.message for one in messages.values()],
                message_object_trees=[one.tree for one in messages.values()],
            )
        )
        lane.sent += len(messages)
        for (site, one), stored in zip(messages.items(), answer.message_ids, strict=True):
            exchange.open[one.object_id] = site
            if not stored:
                exchange.lost(one.object_id)
                continue
            with suppress(httpx.HTTPStatusError):  # whoever has the message may have confirmed it already
                lane.client.PushObject(
                    PushObjectRequest(
                        node=Node(node_id=_HUB_NODE),
                        run_id=lane.run_id,
                        object_id=one.object_id,
                        object_content=one.content,
                        session_id=answer.session_id,
                    )
                )

    def _pull(self, lane: Lane, exchange: _Exchange) -> None:
        """Whatever has come: answers, and Flower's own word that a message will have none."""
        wait = min([exchange.until, *exchange.due.values()]) - time.monotonic()
        with held(wait):
            answer = lane.client.PullMessages(PullAppMessagesRequest(message_ids=list(exchange.open)))
        for message in answer.messages_list:
            asked = message.metadata.reply_to_message_id
            site = exchange.open.get(asked)
            if site is None:
                continue
            if message.HasField("error"):
                exchange.lost(asked)
                continue
            del exchange.open[asked]
            self._confirm(lane, message.metadata.message_id)
            if _data(message) is not None and exchange.arrived(site, _data(message) or b""):
                exchange.taken.add(site)
            else:
                exchange.due[site] = time.monotonic() + _AGAIN_S

    def _confirm(self, lane: Lane, message_id: str) -> None:
        with suppress(httpx.HTTPStatusError):
            lane.client.ConfirmMessageReceived(
                ConfirmMessageReceivedRequest(node=Node(node_id=_HUB_NODE), run_id=lane.run_id, message_object_id=message_id)
            )

    def _entered(self, messages: int) -> Lane:
        with self._lock:
            if self._lane is None:
                self._lane = self._inner.lane()
            elif self._lane.sent + messages > MESSAGES_A_LANE:
                self._retired.append(self._lane)
                self._lane = self._inner.lane()
            self._at_work[self._lane.run_id] = self._at_work.get(self._lane.run_id, 0) + 1
            return self._lane

    def _left(self, lane: Lane) -> None:
        with self._lock:
            self._at_work[lane.run_id] -= 1
            for old in [old for old in self._retired if not self._at_work.get(old.run_id)]:
                self._retired.remove(old)
                old.close()
                self._inner.end(old)

    def _changed(self, lane: Lane) -> Lane:
        """Another run, since this one is over for Flower."""
        with self._lock:
            self._at_work[lane.run_id] -= 1
            if self._lane is lane:
                lane.close()
                self._lane = None
        for _ in range(3):
            with suppress(httpx.HTTPError, EngineError):
                return self._entered(0)
            time.sleep(_AGAIN_S)
        raise EngineError("The hub's Flower begins no run any more", hint="start the hub again; runs go on where they stood")


def _data(message: Any) -> bytes | None:
    try:
        return data_of(message)
    except ValueError:
        return None
