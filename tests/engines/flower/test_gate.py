"""The hub's one public door: who gets through it, with what, and how much memory that can cost."""

import base64
import datetime
import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES

from tests.engines.flower.embedded import HOST, Embedded, listening, public_pem
from tests.engines.remote.parties import NAMES
from wardround.engines.flower.gate import ALLOWED, LIMIT
from wardround.engines.remote.body_client import tls_context
from wardround.values.ids import SiteId

EAST = NAMES[0]
FLOWERS = sorted({path for _, path in PROTOBUF_REQUEST_TYPES} | {"/docs", "/openapi.json", "/health", "/", "/v1/fleet/"})


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with listening(tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.fixture(scope="module")
def client(embedded: Embedded) -> Iterator[httpx.Client]:
    context = tls_context(embedded.ca_pem)
    with httpx.Client(base_url=f"https://{embedded.address}", verify=context, timeout=30.0) as opened:
        yield opened


def login(embedded: Embedded, site: SiteId = EAST) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(embedded.login_key(site).read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def signed(key: ec.EllipticCurvePrivateKey, seconds_ahead: float = 0.0) -> dict[str, str]:
    """Flower's headers of a node: its key, the time, and a signature over the time."""
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds_ahead)
    signature = key.sign(at.isoformat().encode(), ec.ECDSA(hashes.SHA256()))
    return {
        "flwr-public-key": base64.b64encode(public_pem(key)).decode(),
        "flwr-timestamp": at.isoformat(),
        "flwr-signature": base64.b64encode(signature).decode(),
    }


def media_type() -> dict[str, str]:
    from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE

    return {"content-type": PROTOBUF_MEDIA_TYPE, "accept": PROTOBUF_MEDIA_TYPE}


def activate(client: httpx.Client, key: ec.EllipticCurvePrivateKey, headers: dict[str, str] | None = None) -> httpx.Response:
    body = ActivateNodeRequest(public_key=public_pem(key), heartbeat_interval=10.0).SerializeToString()
    return client.post("/v1/fleet/activate-node", content=body, headers=headers or {**media_type(), **signed(key)})


@pytest.mark.parametrize("path", FLOWERS)
def test_a_stranger_gets_nothing_out_of_any_path(path: str, client: httpx.Client) -> None:
    """Stock Flower lets anybody list nodes, register a key, start a run with code of his own and stop ours."""
    stranger = ec.generate_private_key(ec.SECP384R1())
    response = client.post(path, headers={**media_type(), **signed(stranger)})
    assert (response.status_code, response.content) == (401 if path in ALLOWED else 404, b"")


def test_no_other_method_gets_anywhere(embedded: Embedded, client: httpx.Client) -> None:
    """Flower answers to questions about its documentation, and would answer to a browser's."""
    for method in ("GET", "PUT", "OPTIONS", "DELETE", "HEAD"):
        for path in ("/v1/fleet/pull-messages", "/docs"):
            assert client.request(method, path, headers=signed(login(embedded))).status_code == 404


@pytest.mark.parametrize("path", sorted(set(FLOWERS) - ALLOWED))
def test_a_registered_site_gets_no_further_than_its_own_messages(path: str, embedded: Embedded, client: httpx.Client) -> None:
    """Control and runtime are for the hub's own process, and objects could fill its memory."""
    assert client.post(path, headers={**media_type(), **signed(login(embedded))}, content=b"").status_code == 404


def test_paths_that_only_look_like_ours_are_refused(client: httpx.Client) -> None:
    """A second reading of a path, with dots or escapes, is how gates are walked around."""
    for path in ("/bodies", "/enrol/", "/enrolment", "/bodies/../v1/control/list-nodes", "/v1/fleet/%2e%2e/control/list-nodes"):
        assert client.post(path, content=b"").status_code == 404
    assert client.post("/v1/fleet/pull-messages/", content=b"").status_code == 404


def test_no_key_no_body(embedded: Embedded) -> None:
    """400 MB from a stranger took stock Flower from 146 to 948 MB; here the line is closed before they come."""
    sent = 0
    with (
        socket.create_connection((HOST, embedded.hub.port)) as plain,
        tls_context(embedded.ca_pem).wrap_socket(plain, server_hostname=HOST) as line,
    ):
        line.settimeout(20.0)
        line.sendall(b"POST /v1/fleet/push-messages HTTP/1.1\r\nhost: hub\r\ncontent-length: 400000000\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(400):
                line.sendall(bytes(1 << 20))
                sent += 1
    assert sent < 100


@pytest.mark.parametrize("length", [str(LIMIT + 1), "400000000", "-1", "9" * 30, "1e3", ""])
def test_a_registered_site_states_a_length_and_a_short_one(length: str, embedded: Embedded) -> None:
    """The length is looked at before a byte of the body is read; chunks have none."""
    connection = http.client.HTTPSConnection(HOST, embedded.hub.port, context=tls_context(embedded.ca_pem), timeout=20.0)
    connection.putrequest("POST", "/v1/fleet/push-messages")
    for name, value in {**media_type(), **signed(login(embedded))}.items():
        connection.putheader(name, value)
    if length:
        connection.putheader("content-length", length)
    else:
        connection.putheader("transfer-encoding", "chunked")
    connection.endheaders()
    response = connection.getresponse()
    assert response.status in (400, 413)  # 400: no length at all, by the server's own reading
    connection.close()


def test_a_site_logs_in_with_its_own_key_and_in_its_own_time(embedded: Embedded, client: httpx.Client) -> None:
    """Five seconds ahead and five minutes behind are Flower's limits; the site's state names the difference."""
    north = login(embedded, NAMES[1])
    assert activate(client, north).status_code == 200
    for seconds in (-310.0, 8.0):
        late = activate(client, north, {**media_type(), **signed(north, seconds)})
        assert late.status_code == 401 and "date" in late.headers
    wrong = {**media_type(), **signed(login(embedded, NAMES[2])), "flwr-public-key": signed(north)["flwr-public-key"]}
    assert activate(client, north, wrong).status_code == 401
    node = Node(node_id=int.from_bytes(b"another", "big"))
    other = client.post(
        "/v1/fleet/pull-messages",
        content=PullMessagesRequest(node=node).SerializeToString(),
        headers={**media_type(), **signed(north)},
    )
    assert other.status_code == 401


@pytest.mark.parametrize("body", [b"\xff" * 1000, b"\n" * (1 << 20), bytes(LIMIT)])
def test_junk_from_a_registered_site_is_an_error_of_that_request(body: bytes, embedded: Embedded, client: httpx.Client) -> None:
    """A broken site may not take the hub with it."""
    for path in sorted(ALLOWED):
        response = client.post(path, content=body, headers={**media_type(), **signed(login(embedded)), "wardround-wait": "0"})
        assert response.status_code >= 400
    assert activate(client, login(embedded, NAMES[2])).status_code in (200, 412)


@pytest.mark.slow
def test_an_empty_queue_is_waited_at_as_long_as_the_site_says(embedded: Embedded, client: httpx.Client) -> None:
    """A held request costs nothing; whoever wants to stop soon says so."""
    east = login(embedded)
    node = activate(client, east)
    assert node.status_code == 200
    from flwr.proto.fleet_pb2 import ActivateNodeResponse

    body = PullMessagesRequest(node=Node(node_id=ActivateNodeResponse.FromString(node.content).node_id)).SerializeToString()
    for seconds in (0, 1):
        began = time.monotonic()
        headers = {**media_type(), **signed(east), "wardround-wait": str(seconds)}
        response = client.post("/v1/fleet/pull-messages", content=body, headers=headers)
        assert response.status_code == 200 and response.content == b""
        assert seconds <= time.monotonic() - began < seconds + 3.0


def test_old_tls_is_refused(embedded: Embedded) -> None:
    """TLS 1.2 or later, whatever this machine's libraries would still speak."""
    context = tls_context(embedded.ca_pem)
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((HOST, embedded.hub.port)) as plain, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(plain, server_hostname=HOST)


def test_nothing_else_of_the_hub_listens(embedded: Embedded) -> None:
    """Flower would open ports for gRPC, health and its own processes."""
    inodes = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink() and path.exists()}
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    assert ports == {embedded.hub.port}
