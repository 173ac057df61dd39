"""Strangers who connect and say little, or too much, before they could be known: they cost the hub neither memory nor places."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import ActivateNodeRequest, ActivateNodeResponse, PullMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node

from tests.engines.flower.embedded import HOST, Embedded, listening, public_pem
from tests.engines.flower.test_gate import EAST, login, media_type, signed
from wardround.engines.flower import guarded_lines
from wardround.engines.flower.gate import Gate
from wardround.engines.flower.guarded_lines import LONGEST_HEAD
from wardround.engines.flower.mailroom import Mailroom
from wardround.engines.remote.body_client import tls_context


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Embedded]:
    monkeypatch.setattr(guarded_lines, "HEAD_S", 1.0)
    with listening(tmp_path) as running:
        yield running


def connected(embedded: Embedded) -> ssl.SSLSocket:
    line = socket.create_connection((HOST, embedded.hub.port), timeout=10.0)
    return tls_context(embedded.ca_pem).wrap_socket(line, server_hostname=HOST)


def is_hung_up(line: ssl.SSLSocket) -> bool:
    """Whether the hub closes the line within some seconds, without a word or after one."""
    try:
        while line.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def request(embedded: Embedded, path: str, body: bytes) -> bytes:
    headers = {**media_type(), **signed(login(embedded)), "host": "hub", "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /v1/fleet/{path} HTTP/1.1\r\n{head}\r\n".encode() + body


def activate_node(line: ssl.SSLSocket, embedded: Embedded) -> Node:
    """A first request on this line, that is answered."""
    body = ActivateNodeRequest(public_key=public_pem(login(embedded)), heartbeat_interval=10.0).SerializeToString()
    line.sendall(request(embedded, "activate-node", body))
    response = line.recv(1 << 16)
    assert response.startswith(b"HTTP/1.1 200")
    if not (answer := response.partition(b"\r\n\r\n")[2]):
        answer = line.recv(1 << 16)
    return Node(node_id=ActivateNodeResponse.FromString(answer).node_id)


@pytest.mark.parametrize(
    "head", [b"GET /" + b"a" * 40, b"POST /enrol HTTP/1.1\r\nx-first: 1\r\n", b"POST /enrol HTTP/1.1\r\nx: "]
)
def test_a_head_without_an_end_is_cut_off(embedded: Embedded, head: bytes) -> None:
    """Whoever sends lines for ever would fill the hub's memory before his first request has begun."""
    sent = 0
    with connected(embedded) as line:
        line.sendall(head)
        with pytest.raises(OSError):
            for _ in range(2000):
                line.sendall(b"a: b\r\n" * 2000 if head.endswith(b"\r\n") else b"a" * 12_000)
                sent += 12_000
    assert sent < LONGEST_HEAD + (4 << 20)  # what lay in the sockets of both sides


@pytest.mark.slow
@pytest.mark.parametrize("said", [b"", b"POST /enrol HT"])
def test_a_line_on_which_nothing_is_asked_is_closed(embedded: Embedded, said: bytes) -> None:
    """A thousand of them would take all places of the hub, for ever."""
    with connected(embedded) as line:
        line.sendall(said)
        assert is_hung_up(line)


@pytest.mark.slow
def test_a_line_is_closed_also_after_a_first_request(embedded: Embedded) -> None:
    """One sign of a second request stops the server's own clock."""
    with connected(embedded) as line:
        activate_node(line, embedded)
        line.sendall(b"G")
        assert is_hung_up(line)


def test_an_endless_head_behind_a_request_that_is_held_open_is_cut_off(embedded: Embedded) -> None:
    """While a site waits for a message, what comes behind its request is no body."""
    with connected(embedded) as line:
        node = activate_node(line, embedded)
        line.sendall(request(embedded, "pull-messages", PullMessagesRequest(node=node).SerializeToString()))
        time.sleep(0.5)
        with pytest.raises(OSError):
            line.sendall(b"POST /enrol HTTP/1.1\r\n")
            for _ in range(2000):
                line.sendall(b"a: b\r\n" * 2000)


@pytest.mark.slow
def test_a_request_of_former_keys_is_held_open_no_more(embedded: Embedded) -> None:
    """It made the hub believe that the hospital has nothing to do, and a message to its new keys was taken for lost."""
    with connected(embedded) as line:
        node = activate_node(line, embedded)
        line.sendall(request(embedded, "pull-messages", PullMessagesRequest(node=node).SerializeToString()))
        time.sleep(0.5)
        embedded.logins[EAST] = public_pem(ec.generate_private_key(ec.SECP384R1()))
        embedded.hub._mailroom.ring([EAST])
        assert line.recv(1 << 16).startswith(b"HTTP/1.1 401")


def test_a_stranger_takes_so_many_lines_and_no_more(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """One address with thousands of lines would take the places of all hospitals; one of a hospital counts no more."""
    monkeypatch.setattr(guarded_lines, "HEAD_S", 60.0)
    monkeypatch.setattr(guarded_lines, "MOST_UNPROVED", 3)
    with connected(embedded) as proved:
        beat = SendNodeHeartbeatRequest(node=activate_node(proved, embedded), heartbeat_interval=10.0).SerializeToString()

        def is_answered(line: ssl.SSLSocket) -> bool:
            line.sendall(request(embedded, "send-node-heartbeat", beat))
            return line.recv(1 << 16).startswith(b"HTTP/1.1 200")

        with connected(embedded), connected(embedded), connected(embedded) as third:
            with connected(embedded) as fourth:
                assert is_hung_up(fourth)
            assert is_answered(third)  # who says who he is makes room
            with connected(embedded) as fifth:
                assert is_answered(fifth) and is_answered(proved)


def test_a_body_that_is_longer_than_it_was_stated_to_be_is_not_gathered() -> None:
    """A server may let chunks pass beside a stated length (h11 does): the gate counts for itself."""
    taken, statuses = [0], []

    class Nodes:
        def site_of(self, key: bytes) -> str:  # noqa: ARG002
            return EAST

    async def receive() -> dict[str, Any]:
        taken[0] += 1 << 20
        return {"type": "http.request", "body": bytes(1 << 20), "more_body": taken[0] < 1 << 29}

    async def send(event: dict[str, Any]) -> None:
        statuses.append(event.get("status"))

    gate = Gate(None, Nodes(), Mailroom(), None)  # type: ignore[arg-type]
    scope = {"type": "http", "method": "POST", "path": "/v1/fleet/push-messages", "headers": [(b"content-length", b"10")]}
    asyncio.run(gate(scope, receive, send))
    assert taken[0] == 1 << 20 and statuses[0] == 413


def test_the_address_is_that_of_the_line(embedded: Embedded) -> None:
    """Who connects from the hub's own machine cannot say from where he comes, and be refused in another's name."""
    assert not embedded.hub._server.config.proxy_headers
