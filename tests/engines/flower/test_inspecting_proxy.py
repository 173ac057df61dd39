"""A proxy that opens TLS, with the hospital's consent: it reads every byte of every request, changes some and sends them again.

site --TLS of the proxy--> Inspector: reads, changes, keeps --TLS of the hub--> hub
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.engines.flower.embedded import Embedded, listening, make_certificates
from tests.engines.remote.parties import NAMES, STUDY, served
from wardround.engines.flower.site_carrier import FlowerSiteCarrier
from wardround.engines.remote.body_client import BodyClient
from wardround.wire.sealed import SealedHeader, Topic

EAST = NAMES[0]
MAGIC = b"WRSM"
WORDS = b"four patients of this ward, and nobody else's business"
Change = Callable[[bytes], bytes]


class Inspector:
    """A proxy whose authority the hospital believes. seen: what was said, by direction, in the clear. change: what it makes of
    what the hub says (`down`), and of what the hospital says (`up`)."""

    def __init__(self, certificates: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates / "hub.pem", certificates / "hub.key")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen: dict[str, list[bytes]] = {"up": [], "down": []}
        self.change: dict[str, Change] = {}
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += near.recv(4096)
            host, port = head.split()[1].decode().rsplit(":", 1)
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with self._context.wrap_socket(near, server_side=True) as site, to_hub(f"{host}:{port}") as hub:
                threading.Thread(target=self._pump, args=("down", hub, site), daemon=True).start()
                self._pump("up", site, hub)

    def _pump(self, direction: str, one: socket.socket, other: socket.socket) -> None:
        """Small messages come in one piece."""
        with suppress(OSError, ValueError):
            while data := one.recv(1 << 20):
                self.seen[direction].append(data)
                other.sendall(self.change.get(direction, bytes)(data))
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


def to_hub(address: str) -> ssl.SSLSocket:
    """A line to the hub of somebody who looks at no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, port = address.rsplit(":", 1)
    return context.wrap_socket(socket.create_connection((host, int(port)), timeout=20.0))


@contextmanager
def inspected(folder: Path, heard: list[bytes]) -> Iterator[tuple[Embedded, Inspector]]:
    """A hub, and one hospital that talks to it through the proxy. heard: gets each body that the hospital takes for the hub's."""

    def answer(_: SealedHeader, body: bytes) -> tuple[Topic, bytes] | None:
        heard.append(body)
        return "reply", WORDS

    authorities = make_certificates(folder / "proxy", "Example Hospital Web Gateway")
    inspector = Inspector(folder / "proxy")
    with listening(folder / "parties") as embedded:
        ca_pem, home = embedded.ca_pem + authorities, embedded.parties.folder / EAST
        carrier = FlowerSiteCarrier(embedded.address, ca_pem, embedded.login_key(EAST), home / "node", inspector.url)
        bodies = BodyClient(embedded.address, ca_pem, embedded.parties.sites[EAST], proxy=inspector.url)
        try:
            with served({EAST: embedded.parties.site_post(EAST, carrier, bodies)}, lambda _: answer):
                yield embedded, inspector
        finally:
            inspector.close()


def once(spoil: Change) -> Change:
    """Changes the first sealed message that passes, and nothing after it."""
    left = [1]

    def change(data: bytes) -> bytes:
        if MAGIC in data and left:
            left.clear()
            return spoil(data)
        return data

    return change


def flipped(data: bytes) -> bytes:
    """One bit of the sealed message's signed header."""
    at = data.index(MAGIC) + 100
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_proxy_that_opens_tls_reads_nothing_of_what_is_said(tmp_path: Path) -> None:
    """Neither order nor answer, short or long; it sees that there are some."""
    heard: list[bytes] = []
    with inspected(tmp_path, heard) as (embedded, inspector):
        for order in (WORDS[::-1], WORDS[::-1] * 10_000):
            assert embedded.post.ask("order", STUDY, {EAST: order}, 60.0)[EAST] == WORDS
            assert heard[-1] == order
    everything = {direction: b"".join(pieces) for direction, pieces in inspector.seen.items()}
    assert MAGIC in everything["up"] and MAGIC in everything["down"]
    assert not any(part in data for data in everything.values() for part in (WORDS, WORDS[:12], WORDS[::-1], WORDS[::-1][:12]))


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_proxy_that_changes_one_bit_is_noticed_and_changes_nothing(direction: str, tmp_path: Path) -> None:
    """What it changed is refused by whoever gets it, and comes once more: the order has its effect once."""
    heard: list[bytes] = []
    with inspected(tmp_path, heard) as (embedded, inspector):
        inspector.change[direction] = once(flipped)
        assert embedded.post.ask("order", STUDY, {EAST: b"an order"}, 60.0)[EAST] == WORDS
        log = embedded.parties.site_log(EAST) if direction == "down" else embedded.parties.hub_log()
        assert ("message-refused" if direction == "down" else "answer-refused") in [line.code for line in log.entries()]
    assert set(heard) == {b"an order"}


def test_what_a_proxy_has_seen_is_of_no_use_to_it(tmp_path: Path) -> None:
    """It has the hospital's login for some seconds, and sends all of its requests again: the hub takes no answer from it."""
    heard: list[bytes] = []
    with inspected(tmp_path, heard) as (embedded, inspector):
        assert embedded.post.ask("order", STUDY, {EAST: b"first"}, 60.0)[EAST] == WORDS
        recorded = [data for data in inspector.seen["up"] if MAGIC in data]
        assert recorded

        def again(data: bytes) -> bytes:
            """Before the hospital's own next word, its last one comes again."""
            for one in recorded:
                with suppress(OSError), to_hub(embedded.address) as line:
                    line.sendall(one)
                    line.recv(1000)
            return data

        inspector.change["up"] = once(again)
        before = time.monotonic()
        assert embedded.post.ask("order", STUDY, {EAST: b"second"}, 60.0)[EAST] == WORDS
        assert heard == [b"first", b"second"] and time.monotonic() - before < 30.0
    codes = [line.code for line in embedded.parties.hub_log().entries()]
    assert codes.count("reply-received") == 2
