"""Fuzzed requests at the hub's public door, in this process: everything behind its listener is real. A program as well:

    python -m tests.engines.fuzzing_hub --count 1000000 --seed 1

    raw bytes --> GuardedLine, uvicorn --> Gate --> Flower's SuperLink, enrolment, bodies        answers of sites --> HubPost

Counted is what has no name: an exception out of an application (the server would answer 500 and write a traceback), a status of
500 that is not Flower's own word for a request of a site which it did not expect, a head line that cannot be sent. After every
500 requests an honest site has to be answered.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio.to_thread
import uvicorn
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.message_pb2 import Message as Letter
from flwr.proto.node_pb2 import Node
from google.protobuf.message import Message  # type: ignore[import-untyped]
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.engines.flower.embedded import Embedded, public_pem
from tests.engines.flower.test_gate import login, media_type, signed
from tests.engines.fuzzed_bytes import Changes, Tally, main, new_folder, peak_mib, pieces
from tests.engines.remote.parties import NAMES, STUDY, Parties
from tests.enrolment.requests_by_hand import TestSite
from wardround.cli.hub.wiring import _OwnPages
from wardround.engines.flower import gate, letters
from wardround.engines.flower.gate import ALLOWED, FLEET
from wardround.engines.flower.guarded_lines import guarded
from wardround.engines.remote import body_app, tickets
from wardround.engines.remote.body_app import PREFIX, BodyApp
from wardround.engines.remote.hub_post import HubPost
from wardround.hub.daemon import enrolment
from wardround.hub.daemon.certificates import Authority
from wardround.hub.daemon.enrolment import EnrolmentDesk
from wardround.hub.daemon.invitations import Inviter, invite
from wardround.hub.daemon.roster import Roster
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import ChainedLog, Head
from wardround.values.ids import SiteId
from wardround.wire.enrolment import PATH
from wardround.wire.hub_address import HubAddress
from wardround.wire.sealed import LARGEST_BODY, SealedBody, Subject, open_sealed, seal

KINDS = {"fleet": 100, "junk": 20, "line": 40, "enrolment": 20, "bodies": 30, "answers": 1}
"""Kind of request -> how often."""
HONEST_EVERY = 500
WARM = 1000
SIGNED_FOR_S = 60.0
NAMED = frozenset({200, 201, 202, 206, 400, 401, 403, 404, 405, 409, 411, 412, 413, 415, 416, 422, 426, 429, 501, 503, 507})
UNEXPECTED = (500, True, b'{"detail":"Internal server error."}')
"""Status, whether it is a fleet path, and body, where Flower translates an exception of its own."""


@dataclass
class Request:
    """What comes to an application. body: in the pieces that come; then the line is closed."""

    path: str
    headers: list[tuple[bytes, bytes]]
    body: list[bytes] = field(default_factory=lambda: [b""])
    method: str = "POST"
    client: Any = ("192.0.2.1", 5000)

    @property
    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "https",
            "path": self.path,
            "raw_path": self.path.encode("utf-8", "replace"),
            "root_path": "",
            "query_string": b"",
            "headers": self.headers,
            "client": self.client,
            "server": ("hub", 443),
        }

    @property
    def raw(self) -> bytes:
        """As it stands on a line."""
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in self.headers)
        return f"{self.method} {self.path} HTTP/1.1\r\n".encode() + lines + b"\r\n" + b"".join(self.body)


class Door:
    """A hub in this process without a port, and honest sites at it. Used within one running event loop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.embedded = Embedded(Parties(folder))
        log = ChainedLog(folder / "enrolment-log")
        hub, roster = self.embedded.parties.hub, Roster(folder / "roster", log)
        desk = EnrolmentDesk(roster, hub.identity, hub.sealing.public)
        authority = Authority.at(folder / "hub-keys").certificate
        inviter = Inviter(HubAddress.read("hub.example.org:443"), hub.identity, hub.sealing.public, authority)
        code = invite(roster, inviter, "st-anna").code
        self.joining = TestSite.new(folder / "keys").enrolment(code, hub.card, roster.clock())
        bodies = BodyApp(self.embedded.store, lambda: self.embedded.parties.roster)
        self.app: Any = self.embedded.hub._server.config.app
        self.app._ours = _OwnPages(desk, bodies)
        self.public = {site: public_pem(login(self.embedded, site)) for site in NAMES}
        self.nodes: dict[SiteId, Node] = {}
        self.letters: dict[SiteId, Letter] = {}
        self._headers: dict[SiteId, tuple[float, list[tuple[bytes, bytes]]]] = {}
        self._run: Any = None

    async def open(self) -> None:
        """Honest sites come, and each has an order to answer."""
        self.embedded.hub._mailroom.loop = asyncio.get_running_loop()
        self._run = await asyncio.to_thread(self.embedded.hub.carrier._start_run)
        for site in NAMES:
            await self.order(site)

    async def close(self) -> None:
        await asyncio.to_thread(self._run.close)

    def headers(self, site: SiteId) -> list[tuple[bytes, bytes]]:
        """Of a request of this site, signed not long ago."""
        at, headers = self._headers.get(site, (float("-inf"), []))
        if time.monotonic() > at + SIGNED_FOR_S:
            values = {**media_type(), **signed(login(self.embedded, site)), "wardround-wait": "0"}
            headers = [(name.encode(), value.encode()) for name, value in values.items()]
            self._headers[site] = (time.monotonic(), headers)
        return headers

    def request(self, site: SiteId, path: str, message: Message) -> Request:
        body = message.SerializeToString()
        return Request(FLEET + path, [*self.headers(site), (b"content-length", str(len(body)).encode())], [body])

    async def order(self, site: SiteId) -> None:
        """The site logs in, and takes an order of a new message, as an honest one does."""
        before = self.nodes.get(site)
        if before is not None:
            await answered(self.app, self.request(site, "deactivate-node", DeactivateNodeRequest(node_id=before.node_id)))
        active = await answered(
            self.app,
            self.request(site, "activate-node", ActivateNodeRequest(public_key=self.public[site], heartbeat_interval=10.0)),
        )
        assert active[0] == 200, f"an honest {site} cannot log in: {active}"
        node = self.nodes[site] = Node(node_id=ActivateNodeResponse.FromString(active[1]).node_id)
        message = letters.order(self._run.number, node.node_id, b"an order", 3000.0)
        assert await asyncio.to_thread(self._run.push, [message]) == [True]
        pulled = await answered(self.app, self.request(site, "pull-messages", PullMessagesRequest(node=node)))
        messages = PullMessagesResponse.FromString(pulled[1]).messages_list
        assert pulled[0] == 200 and messages, f"an honest {site} gets no order: {pulled[0]}"
        self.letters[site] = messages[-1]


async def answered(app: Any, request: Request) -> tuple[int, bytes]:
    """Status and body of an application's answer; 0 where it hung up without one."""
    coming = [{"type": "http.request", "body": piece, "more_body": True} for piece in request.body]
    if coming:
        coming[-1]["more_body"] = False
    sent: list[Any] = []

    async def receive() -> Any:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        for name, value in event.get("headers", ()):
            if b"\n" in name + value or b"\r" in name + value:
                raise ValueError("a head line that cannot be sent")
        sent.append(event)

    await app(request.scope, receive, send)
    return (sent[0]["status"] if sent else 0), b"".join(event.get("body", b"") for event in sent)


class Fuzz:
    """Sends changed requests of every kind."""

    def __init__(self, door: Door, seed: int, tally: Tally) -> None:
        self.door, self.changes, self.tally = door, Changes(seed), tally
        self.watched = _Watched(door.app)
        self.post = HubPost(
            _Forging(self),
            door.embedded.parties.hub,
            lambda: door.embedded.parties.roster,
            door.embedded.store,
            _NoLog(),
            door.folder / "numbers",
        )

    async def send(self, kind: str) -> None:
        match kind:
            case "fleet":
                await self._asked(kind, self._distorted(self._fleet()))
            case "junk":
                await self._asked(kind, self._junk())
            case "enrolment":
                await self._asked(kind, self._distorted(self._enrolment()))
            case "bodies":
                await self._asked(kind, self._distorted(self._body()))
            case "line":
                await self._on_a_line(kind)
            case "answers":
                await asyncio.to_thread(self.post.ask, "order", STUDY, {NAMES[0]: b"an order"}, 1.0)

    async def _asked(self, kind: str, request: Request) -> None:
        try:
            async with asyncio.timeout(30.0):
                status, said = await answered(self.door.app, request)
        except Exception as error:  # noqa: BLE001
            self.tally.count(kind, "nameless")
            self.tally.fault(kind, error)
            return
        self.tally.count(kind, str(status))
        if status and status not in NAMED and (status, request.path in ALLOWED, said) != UNEXPECTED:
            self.tally.fault(kind, ValueError(f"status {status} of {request.path}: {said[:300]!r}"))

    def _fleet(self) -> Request:
        """A request of a site that is in the roster, changed in its protobuf."""
        changes, site = self.changes, self.changes.draw.choice(NAMES)
        node, letter = self.door.nodes[site], self.door.letters[site]
        make: dict[str, Callable[[], Message]] = {
            "pull-messages": lambda: PullMessagesRequest(node=node),
            "push-messages": lambda: self._pushed(node, letter),
            "send-node-heartbeat": lambda: SendNodeHeartbeatRequest(node=node, heartbeat_interval=10.0),
            "confirm-message-received": lambda: ConfirmMessageReceivedRequest(
                node=node, run_id=letter.metadata.run_id, message_object_id=letter.metadata.message_id
            ),
            "activate-node": lambda: ActivateNodeRequest(public_key=self.door.public[site], heartbeat_interval=10.0),
            "deactivate-node": lambda: DeactivateNodeRequest(node_id=node.node_id if changes.often(0.01) else 1),
        }
        path = changes.draw.choice([*make, "push-messages", "push-messages"])
        other = path != "push-messages" and changes.often(0.02)
        message = make[changes.draw.choice(list(make)) if other else path]()
        return self.door.request(site, path, changes.protobuf(message))

    def _pushed(self, node: Node, letter: Letter) -> Message:
        reply = letters.reply(letter, self.changes.spoilt(b"sealed"))
        return PushMessagesRequest(node=node, messages_list=[reply], message_object_trees=[letters.tree_of(reply)])

    def _junk(self) -> Request:
        """Anything at any path."""
        changes, draw = self.changes, self.changes.draw
        path = draw.choice([*sorted(ALLOWED), PATH, PREFIX, PREFIX + "0" * 64, "/", "*", changes.text("/v1/fleet/pull-messages")])
        headers = draw.choice([[], self.door.headers(draw.choice(NAMES))])
        body = draw.choice([b"", draw.randbytes(draw.randrange(3000)), b"\n" * 100_000])
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        method = draw.choice(["POST", "POST", "GET", "PUT", "HEAD", "OPTIONS", "é", ""])
        return self._distorted(Request(path, headers, [body], method))

    def _enrolment(self) -> Request:
        """A request to join, with the code of an open invitation, that was changed."""
        changes = self.changes
        body = changes.json_bytes(self.door.joining)
        client = (f"198.51.{changes.draw.randrange(256)}.{changes.draw.randrange(256)}", 1)
        kinds = [client, client, client, None, ("", 0), ("::1%eth0", 1), ("2001:db8::1", 1), ("x" * 100, -1)]
        return Request(PATH, [(b"content-length", str(len(body)).encode())], [body], client=changes.draw.choice(kinds))

    def _body(self) -> Request:
        """A request for a body, with a ticket that is right, of another body, or changed."""
        changes, draw, site = self.changes, self.changes.draw, self.changes.draw.choice(NAMES)
        data = draw.randbytes(draw.randrange(2000))
        sha256, method = sha256_hex(data), draw.choice(["PUT", "PUT", "GET"])
        size = len(data) if changes.often(0.8) else draw.choice([0, 1, len(data) + 5, 1 << 31, (1 << 31) + 1])
        expires = time.time_ns() // 1_000_000 + draw.choice([1000, 1000, 1000, tickets.LIFETIME_MS + 1_000_000, -1_000_000])
        party = self.door.embedded.parties.sites[site]
        written = tickets.written(tickets.Ticket(site, method, sha256, size, expires), party.identity)  # type: ignore[arg-type]
        if changes.often(0.2):
            written = changes.text(written)
        start = draw.choice([0, 0, 0, len(data) // 2, len(data) + 1, 1 << 62])
        headers = [(tickets.HEADER.encode(), written.encode("utf-8", "replace"))]
        if changes.often(0.7):
            spelled = f"bytes {start}-{size - 1}/{size}" if method == "PUT" else f"bytes={start}-"
            name = b"content-range" if method == "PUT" else b"range"
            headers.append((name, (changes.text(spelled) if changes.often(0.3) else spelled).encode("utf-8", "replace")))
        part = data[min(start, len(data)) :] if method == "PUT" else b""
        headers.append((b"content-length", str(len(part)).encode()))
        return Request(PREFIX + sha256, headers, [part], method)

    def _distorted(self, request: Request) -> Request:
        """As it comes over a network, or over a bad one: in pieces, with other bytes, heads or lengths, or cut off."""
        changes = self.changes
        body = b"".join(request.body)
        if changes.often(0.15):
            body = changes.spoilt(body)
            if changes.often(0.8):
                length = str(len(body)).encode()
                request.headers = [(name, length if name == b"content-length" else value) for name, value in request.headers]
        if changes.often(0.2):
            request.headers = changes.headers(request.headers)
        request.body = pieces(changes, body)
        if changes.often(0.03):
            request.body = request.body[:-1]
        return request

    async def _on_a_line(self, kind: str) -> None:
        """Bytes to the server's own reading of them, as if they came out of TLS."""
        changes, draw = self.changes, self.changes.draw
        chosen = draw.sample([self._fleet, self._junk, self._body, self._enrolment], draw.choice([1, 1, 2]))
        data = b"".join(make().raw for make in chosen)
        for _ in range(draw.choice([0, 1, 1, 2])):
            data = changes.spoilt(data)
        self.watched.faults = faults = list[BaseException]()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context.get("exception") or RuntimeError(context["message"])))
        line = _Line(self.watched)
        for piece in pieces(changes, data):
            if not line.transport.is_closing():
                line.protocol.data_received(piece)
            await asyncio.sleep(0)
        await line.end()
        loop.set_exception_handler(None)
        self.tally.count(kind, line.transport.status)
        for error in faults:
            self.tally.fault(kind, error)


class _Watched:
    """The application behind every line, and what came out of it that is no answer. Its server's settings are read once."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.faults: list[BaseException] = []
        self.config = uvicorn.Config(self, log_config=None, access_log=False, lifespan="off", ws="none", server_header=False)
        self.config.load()
        self.protocol = guarded(HttpToolsProtocol)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._app(scope, receive, send)
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self.faults.append(error)
            raise


class _Line:
    """One connection of uvicorn's protocol with our guard, that writes into memory."""

    def __init__(self, watched: _Watched) -> None:
        self.state = uvicorn.server.ServerState()
        self.transport = _Memory()
        self.protocol = watched.protocol(config=watched.config, server_state=self.state, app_state={})
        self.protocol.connection_made(self.transport)

    async def end(self) -> None:
        """The other side goes away; what was begun comes to its end."""
        for _ in range(3):
            await asyncio.sleep(0)
        self.protocol.connection_lost(None)
        if self.state.tasks:
            await asyncio.wait(list(self.state.tasks), timeout=30.0)


class _Memory(asyncio.Transport):
    """Keeps the first status that was written."""

    status = "silent"

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.9", 1), "sockname": ("192.0.2.1", 443)})
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.status == "silent" and bytes(data[:9]) == b"HTTP/1.1 ":
            self.status = bytes(data[9:12]).decode()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class _Forging:
    """A carrier that brings twenty changed answers to each order, and no true one: what a site, or who is on the way, can do."""

    def __init__(self, fuzz: Fuzz) -> None:
        self._fuzz = fuzz

    def exchange(self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Any) -> frozenset[SiteId]:  # noqa: ARG002
        fuzz, parties = self._fuzz, self._fuzz.door.embedded.parties
        for site, order in outbox.items():
            asked = open_sealed(order, {"hub": parties.hub.card}, site, now_ms=time.time_ns() // 1_000_000)
            for _ in range(20):
                data = fuzz.changes.spoilt(self._answer(site, asked.sha256, asked.header.number))
                with fuzz.tally.counted("answers"):
                    arrived(site, data)
        return frozenset()

    def _answer(self, site: SiteId, asked: str, number: int) -> bytes:
        changes, parties = self._fuzz.changes, self._fuzz.door.embedded.parties
        topic = changes.draw.choice(["reply", "reply", "status", "order"])
        subject = Subject(topic, STUDY, changes.draw.choice([number, number, 1]), asked, 60_000)
        body = SealedBody.of(changes.draw.randbytes(changes.draw.choice([0, 10, 200_000])))
        head = Head(changes.draw.randrange(100), "a" * 64)
        now_ms = time.time_ns() // 1_000_000 + changes.draw.choice([0, 0, 10**9, -(10**9)])
        return seal(subject, body, parties.sites[site], parties.hub.card, now_ms=now_ms, log=head)

    def close(self) -> None:
        pass


class _NoLog:
    """Lines of a log are no part of what is looked at here; each would wait for the disk."""

    head = Head(0, "0" * 64)

    def append(self, *_: object, **__: object) -> Head:
        return self.head


class _Inline:
    """asyncio, but that nothing is handed to another thread: the same code runs, and most of the time went into the handing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def to_thread(call: Callable[..., Any], *arguments: Any) -> Any:
        return call(*arguments)


async def _run_inline(call: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
    return call(*arguments)


@contextmanager
def _in_one_thread() -> Iterator[None]:
    """Of the applications' own work. Whoever plays a site or the coordinator waits for the loop, and keeps a thread."""
    with ExitStack() as patches:
        patches.enter_context(patch.object(anyio.to_thread, "run_sync", _run_inline))
        for module in (gate, body_app, enrolment):
            patches.enter_context(patch.object(module, "asyncio", _Inline()))
        yield


async def fuzz(count: int, seed: int = 0, kinds: tuple[str, ...] = tuple(KINDS)) -> Tally:
    """Sends at least so many changed requests of these kinds."""
    folder = new_folder()
    tally = Tally()
    try:
        door = Door(folder)
        await door.open()
        with _in_one_thread(), door.embedded.store.awaiting(NAMES, LARGEST_BODY):
            await _sent(Fuzz(door, seed, tally), count, kinds)
        await door.close()
    finally:
        shutil.rmtree(folder)
    return tally


async def _sent(sending: Fuzz, count: int, kinds: tuple[str, ...]) -> None:
    tally, began, honest = sending.tally, 0.0, HONEST_EVERY
    while tally.sent < count:
        kind = sending.changes.draw.choices(kinds, [KINDS[one] for one in kinds])[0]
        await sending.send(kind)
        if tally.sent >= honest:
            honest += HONEST_EVERY
            for site in NAMES:
                await sending.door.order(site)
        if not began and tally.sent >= min(WARM, count // 2):
            began = peak_mib()
    tally.grown_mib = peak_mib() - began


if __name__ == "__main__":
    main(__doc__, KINDS, lambda count, seed, kinds: asyncio.run(fuzz(count, seed, kinds)))
