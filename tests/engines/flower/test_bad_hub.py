"""A hub that turned bad, or whoever has its keys, against the memory of a hospital that has approved nothing."""

import gzip
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.engines.flower.embedded import HOST, make_certificates, private_pem
from tests.engines.remote.parties import party
from wardround.engines.flower.line_faults import in_words
from wardround.engines.flower.site_carrier import FlowerSiteCarrier
from wardround.engines.remote.body_client import BodyClient
from wardround.values.errors import EngineError, RunError
from wardround.wire.sealed import SealedBody

BOMB = gzip.compress(bytes(64 << 20))


@dataclass
class BadHub:
    """Answers every request alike. sent: bytes that somebody took. kind: of its answers."""

    kind: str
    address: str = ""
    sent: int = 0
    requests: int = 0
    ca_pem: bytes = b""
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def running(folder: Path, kind: str) -> Iterator[BadHub]:
    bad, over = BadHub(kind, ca_pem=make_certificates(folder / "tls")), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bad.requests += 1
            self.rfile.read(int(self.headers.get("content-length", 0)))
            if bad.kind == "silent":
                over.wait(60.0)
            self.send_response(200)
            if kind == "idle":
                self.send_header("content-length", "0")
                self.end_headers()
                return
            if kind == "packed":
                self.send_header("content-encoding", "gzip")
            if kind == "stated":
                self.send_header("content-length", str(1 << 40))
            self.end_headers()
            try:
                for _ in range(64):
                    piece = BOMB if kind == "packed" else bytes(1 << 20)
                    self.wfile.write(piece)
                    bad.sent += len(piece)
            except OSError:
                pass
            self.close_connection = True

        do_PUT = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls" / "hub.pem", folder / "tls" / "hub.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    bad.address = f"{HOST}:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield bad
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["endless", "stated", "packed"])
def test_an_answer_without_an_end_is_not_read(tmp_path: Path, kind: str) -> None:
    """A request for messages is answered by whoever has the hub's port, before anything is signed."""
    key = tmp_path / "login.key"
    key.write_bytes(private_pem(ec.generate_private_key(ec.SECP384R1())))
    key.chmod(0o600)
    with running(tmp_path, kind) as bad:
        carrier = FlowerSiteCarrier(bad.address, bad.ca_pem, key, tmp_path / "node")
        assert carrier.receive(1.0) is None
        assert "not as hubs are" in carrier.state
        carrier.close()
        assert bad.requests and bad.sent < 24 << 20


@pytest.mark.slow
def test_a_hub_that_never_waits_is_not_asked_without_end(tmp_path: Path) -> None:
    """It answers "nothing" at once, for ever: a hospital's machine would do nothing else."""
    key = tmp_path / "login.key"
    key.write_bytes(private_pem(ec.generate_private_key(ec.SECP384R1())))
    key.chmod(0o600)
    with running(tmp_path, "idle") as bad:
        carrier = FlowerSiteCarrier(bad.address, bad.ca_pem, key, tmp_path / "node")
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            assert carrier.receive(20.0) is None
        carrier.close()
        assert 2 <= bad.requests <= 8


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["endless", "packed"])
def test_an_answer_to_a_body_is_short(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub says how much of a body has come in the head of its answer, and no more."""
    monkeypatch.setattr("wardround.engines.remote.body_client.PATIENCE_S", 0.5)
    with running(tmp_path, kind) as bad:
        client = BodyClient(bad.address, bad.ca_pem, party("east"))
        with pytest.raises(EngineError, match="could not be carried"):
            client.put(SealedBody.of(b"hello"))
        client.close()
        assert bad.sent < bad.requests * (12 << 20)


@pytest.mark.parametrize("variable", ["ALL_PROXY", "https_proxy"])
def test_a_socks_proxy_is_named_with_a_mend(tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's client looked for a package that nobody installed, and the service ended with a fault of ours."""
    monkeypatch.setenv(variable, "socks5://user:secret@127.0.0.1:9")
    with pytest.raises(RunError, match="SOCKS") as refusal:
        FlowerSiteCarrier("127.0.0.1:1", b"", tmp_path / "login.key", tmp_path / "node")
    assert variable.upper() in refusal.value.hint and "secret" not in str(refusal.value)


def test_a_proxy_that_is_away_is_not_taken_for_the_hub() -> None:
    """Whoever looks at the hub's machine then looks at the wrong one; the proxy's password is nobody's to read."""
    words = in_words(httpx.ConnectError("[Errno 111] Connection refused"), "hub:443", "http://user:secret@proxy:3128")
    assert "the proxy proxy:3128" in words and "secret" not in words


def test_a_hospital_that_stops_does_not_wait_for_a_silent_hub(tmp_path: Path) -> None:
    """systemd would kill it, in the middle of what it writes."""
    key = tmp_path / "login.key"
    key.write_bytes(private_pem(ec.generate_private_key(ec.SECP384R1())))
    key.chmod(0o600)
    with running(tmp_path, "idle") as bad:
        carrier = FlowerSiteCarrier(bad.address, bad.ca_pem, key, tmp_path / "node")
        assert carrier.receive(0.0) is None
        bad.kind = "silent"
        began = time.monotonic()
        carrier.close()
        assert bad.requests >= 3 and time.monotonic() - began < 15.0
