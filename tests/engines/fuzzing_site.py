"""Fuzzed words of a hub at a hospital, in this process: whoever has the hub's port, its TLS or its keys. A program as well:

    python -m tests.engines.fuzzing_site --count 1000000 --seed 1

    answers to Flower's client --> FlowerSiteCarrier        sealed messages --> SitePost --> SiteDesk
    answers about bodies --> BodyClient                     answers to `/enrol` --> joining

Counted is what has no name: an exception that is none of Wardround's, wherever it comes out. It would end the hospital's service.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import ActivateNodeResponse, PullMessagesResponse, PushMessagesResponse
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatResponse
from flwr.proto.node_pb2 import Node
from google.protobuf.message import Message  # type: ignore[import-untyped]

from tests.engines.flower.embedded import make_certificates, private_pem
from tests.engines.fuzzed_bytes import Changes, Tally, main, new_folder, peak_mib
from tests.engines.remote.parties import party
from tests.federation.tiny_federation import NAMES, study
from tests.site.daemon.hospitals import Hospitals
from wardround.engines.flower import letters, site_carrier
from wardround.engines.flower.site_carrier import FlowerSiteCarrier
from wardround.engines.remote.body_client import BodyClient, BodyReader
from wardround.engines.remote.carrier import Carried
from wardround.engines.remote.site_post import SitePost
from wardround.hub.daemon.certificates import Authority
from wardround.values.canonical import canonical_json
from wardround.values.chained_log import ChainedLog, Head
from wardround.wire.enrolment import EnrolmentAnswer, SignedEnrolment
from wardround.wire.envelope import to_bytes
from wardround.wire.hub_address import HubAddress
from wardround.wire.invitation import Invitation
from wardround.wire.messages import Order, OrderHeader
from wardround.wire.sealed import HUB, Party, SealedBody, Subject, seal

KINDS = {"fleet answers": 4, "messages": 6, "offers": 3, "body answers": 3, "standing": 1, "invitation": 1}
"""Kind of what comes -> how often."""
WARM = 1000
SITE = NAMES[0]
BODY = b"a body of the hub that is read in pieces" * 20
STATUSES = [
    *(200, 200, 401, 401, 201, 202, 204, 206, 301, 302, 400, 401, 403),
    *(404, 409, 412, 413, 422, 426, 429, 500, 502, 599),
]
DATES = [
    *("Sat, 28 Nov 2026 20:00:00 GMT", "Mon, 20 Nov 1995 19:12:08 -0000", "", "yesterday", "Mon, 99 Nov 99999 25:61:61 +9999"),
    *("1", "\x00", "Sat, 28 Nov 0001 20:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"),
]


class Hub(httpx.BaseTransport):
    """Answers requests with what `say` makes of them, as a network would bring it."""

    def __init__(self, say: Callable[[httpx.Request], httpx.Response]) -> None:
        self._say = say

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._say(request)


class Stand:
    """A hospital's parts, each with a hub that turned bad at its other end."""

    def __init__(self, folder: Path, seed: int, tally: Tally) -> None:
        self.folder, self.tally, self.changes = folder, tally, Changes(seed)
        self.hospitals = Hospitals(folder / "hospitals", study(mode="masked", rounds=2))
        self.hub = party(HUB)
        home = self.hospitals.homes[SITE]
        self.own = Party(SITE, home.identity, home.sealing)
        self.hospitals.offered(SITE)
        self.hospitals.approve(SITE)
        self._number = 1
        self._late = letters.order(5, 7, b"", -60.0)
        self._ca_pem = make_certificates(folder / "tls")
        self._key = private_pem(ec.generate_private_key(ec.SECP256R1()))  # no hub looks at it here, and it signs sooner
        self._study_hash = self.hospitals.study.hash
        self._carrier = self._new_carrier()
        self._bodies = BodyClient("hub:443", self._ca_pem, self.own)
        self._bodies._patience_s = 0.0
        self._bodies._client = httpx.Client(
            base_url="https://hub:443", transport=Hub(self._body_answer), event_hooks=self._bodies._client.event_hooks
        )
        self.post = SitePost(
            self._carrier, self.own, self.hub.card, folder / "post", self._bodies, ChainedLog(folder / "post-log")
        )

    def close(self) -> None:
        self._carrier._node = None
        self._carrier.close()
        self._bodies.close()
        self.hospitals.close()

    def send(self, kind: str) -> None:
        match kind:
            case "fleet answers":
                self._fleet_answer()
            case "messages":
                self._message(self.changes.spoilt, self._sealed())
            case "offers":
                self._message(lambda data: data, self._sealed(true=True))
            case "body answers":
                self._body()
            case "standing":
                with self.tally.counted(kind):
                    SignedEnrolment.from_bytes(self._standing())
            case "invitation":
                with self.tally.counted(kind):
                    Invitation.read(self.changes.spoilt(self._invitation))

    # ---- answers to Flower's client

    def _new_carrier(self) -> FlowerSiteCarrier:
        key = self.folder / "login.key"
        key.write_bytes(self._key)
        key.chmod(0o600)
        carrier = FlowerSiteCarrier("hub:443", self._ca_pem, key, self.folder / "node")
        hooks = carrier._client._client.event_hooks
        carrier._client._client = httpx.Client(transport=Hub(self._flower_answer), event_hooks=hooks)
        return carrier

    def _fleet_answer(self) -> None:
        """The hospital asks for messages, and answers one that came."""
        self._carrier._pauses = 0
        with self.tally.counted("fleet answers"):
            carried = self._carrier.receive(0.0)
            if carried is not None:
                self._carrier._tried(lambda: self._carrier._pushed(carried.ticket, b"an answer"))
        if self._carrier._node is not None and self.changes.often(0.1):
            with self.tally.counted("heartbeat"):
                self._carrier._beat_once(self._carrier._node)
        if self.changes.often(0.1):
            self._carrier._node = None
        if self.changes.often(0.01):
            with self.tally.counted("start and end"):
                self._carrier.close()
            with self.tally.counted("start and end"):
                self._carrier = self.post._carrier = self._new_carrier()

    def _flower_answer(self, request: httpx.Request) -> httpx.Response:
        changes = self.changes
        node = Node(node_id=7)
        sent = letters.order(5, 7, changes.spoilt(b"sealed"), changes.draw.choice([60.0, 0.0, -1e9]))
        answers: dict[str, Message] = {
            "activate-node": ActivateNodeResponse(node_id=node.node_id),
            "pull-messages": PullMessagesResponse(messages_list=[sent]),
            "push-messages": PushMessagesResponse(objects_to_push=["a" * 64]),
            "send-node-heartbeat": SendNodeHeartbeatResponse(success=True),
        }
        message = answers.get(request.url.path.rsplit("/", 1)[-1])
        body = b"" if message is None else (changes.protobuf(message) if changes.often(0.7) else message).SerializeToString()
        return self._response(changes.spoilt(body) if changes.often(0.2) else body)

    def _response(self, body: bytes, status: int = 0) -> httpx.Response:
        """An answer whose status and head are what a bad hub, or something on the way, makes them."""
        changes, draw = self.changes, self.changes.draw
        status = status or (draw.choice(STATUSES) if changes.often(0.3) else 200)
        headers = [(b"content-length", str(len(body)).encode())]
        if changes.often(0.5):
            headers.append((b"date", draw.choice(DATES).encode()))
        if changes.often(0.2):
            headers = changes.headers(headers)
        if changes.often(0.05):
            headers.append((b"location", draw.choice([b"https://other/", b"//", b"http://[", b"\xff"])))
        if changes.often(0.05):
            headers.append((b"content-encoding", draw.choice([b"gzip", b"br", b"identity", b"x"])))
        return httpx.Response(status, headers=headers, stream=_Pieces(body))

    # ---- sealed messages

    def _sealed(self, *, true: bool = False) -> bytes:
        """A message with the hub's own signature. true: it is taken, and its body is what was changed."""
        changes, draw = self.changes, self.changes.draw
        topic = draw.choice(["offer", "offer", "order"] if true else ["offer", "order", "reply", "status"])
        study_hash = self._study_hash if changes.often(0.9) else draw.choice(["0" * 64, "f" * 64])
        body = self._offer() if topic == "offer" else changes.spoilt(self._order)
        self._number += 1 if true or changes.often(0.7) else -1
        subject = Subject(topic, study_hash, max(1, self._number), lifetime_ms=draw.choice([1000, 1000, 10**12]))
        now_ms = time.time_ns() // 1_000_000 + (0 if true else draw.choice([0, 0, 10**9, -(10**9)]))
        made = SealedBody.of(body if len(body) < 100_000 or true else body[:1000])
        return seal(subject, made, self.hub, self.own.card, now_ms=now_ms, log=Head(draw.randrange(100), "a" * 64))

    def _offer(self) -> bytes:
        offer = self._true_offer
        if self.changes.often(0.3):
            value = json.loads(offer)
            value["study"] = self.changes.text(value["study"])
            return canonical_json(value)
        return self.changes.json_bytes(offer) if self.changes.often(0.9) else self.changes.spoilt(offer)

    @cached_property
    def _true_offer(self) -> bytes:
        return self.hospitals.offer()

    @cached_property
    def _order(self) -> bytes:
        header = OrderHeader(study=self._study_hash, step="close", round=2, cohort=NAMES, opening="a" * 64)
        return to_bytes(Order(header))

    def _message(self, change: Callable[[bytes], bytes], data: bytes) -> None:
        """What the service does with a message, but for the way back."""
        post, desk = self.post, self.hospitals.desks[SITE]
        post._log = desk.log = _NoLog()  # type: ignore[assignment]
        with self.tally.counted("messages"):
            post._answer(Carried(change(data), self._late), desk.answer, desk.limit)

    # ---- bodies, joining

    def _body(self) -> None:
        if self.changes.often(0.5):
            with self.tally.counted("body answers"):
                self._bodies.put(SealedBody.of(BODY))
        else:
            with self.tally.counted("body answers"), self._bodies.open("0" * 64, len(BODY)) as reader:
                _read_all(reader)

    def _body_answer(self, request: httpx.Request) -> httpx.Response:
        changes, draw = self.changes, self.changes.draw
        if request.method == "GET":
            return self._response(changes.spoilt(BODY) if changes.often(0.3) else BODY, draw.choice([200, 206, 0]))
        answer = self._response(b"", draw.choice([200, 201, 202, 409, 409, 422, 0]))
        if changes.often(0.7):
            answer.headers["wardround-received"] = draw.choice(["0", "5", str(changes.number()), changes.text("12")])
        return answer

    def _standing(self) -> bytes:
        return self.changes.json_bytes(self._confirmed)

    @cached_property
    def _confirmed(self) -> bytes:
        answer = EnrolmentAnswer(name=SITE, request="0" * 64, state="confirmed", time=5)
        return SignedEnrolment.by(self.hub.identity, answer).to_bytes()

    @cached_property
    def _invitation(self) -> bytes:
        authority = Authority.at(self.folder / "hub-keys").certificate
        address, keys = HubAddress.read("hub.example.org:443"), (self.hub.identity, self.hub.sealing.public)
        return Invitation.signed(address, "st-anna", bytes(16), 1_900_000_000_000, keys, authority).text.encode()


class _Pieces(httpx.SyncByteStream):
    """A body as it comes over a line, which may be another than the head says."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        half = len(self._body) // 2
        yield from (self._body[:half], self._body[half:])


class _NoLog:
    """Lines of a log are no part of what is looked at here; each would wait for the disk."""

    head = Head(0, "0" * 64)

    def append(self, *_: object, **__: object) -> Head:
        return self.head

    def entries(self, *_: object) -> tuple[()]:
        return ()


def _read_all(reader: BodyReader) -> None:
    for size in (1, 100, len(BODY)):
        reader.read(size)


@contextmanager
def _without_pauses() -> Iterator[None]:
    """Nobody waits for a hub that is asked a thousand times a second."""
    with patch.object(site_carrier, "_FIRST_PAUSE_S", 0.0), patch.object(site_carrier, "_SHORTEST_WAIT_S", 0.0):
        yield


def fuzz(count: int, seed: int = 0, kinds: tuple[str, ...] = tuple(KINDS)) -> Tally:
    """Sends at least so many changed words of these kinds."""
    folder, tally, began = new_folder(), Tally(), 0.0
    try:
        with _without_pauses(), closing(Stand(folder, seed, tally)) as stand:
            while tally.sent < count:
                stand.send(stand.changes.draw.choices(kinds, [KINDS[one] for one in kinds])[0])
                if not began and tally.sent >= min(WARM, count // 2):
                    began = peak_mib()
        tally.grown_mib = peak_mib() - began
    finally:
        shutil.rmtree(folder)
    return tally


if __name__ == "__main__":
    main(__doc__, KINDS, fuzz)
