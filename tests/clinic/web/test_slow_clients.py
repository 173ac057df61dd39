"""Clients that take their time, or come too often: they cost themselves alone."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from wardround.clinic.place.clinic_place import ClinicSettings
from wardround.clinic.web import guard, http_head
from wardround.clinic.web.guard import Guard, RequestRate, TooSlow
from wardround.clinic.web.http_head import LimitedHead


async def counting(_scope, receive, send):
    """Says how long the body was, or 408."""
    size, more = 0, True
    try:
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    except TooSlow:
        size = -1
    await send({"type": "http.response.start", "status": 408 if size < 0 else 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def listening() -> Iterator[int]:
    """A server with our parser and our guard: its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        app = Guard(counting, frozenset({f"127.0.0.1:{port}"}), 1 << 20)
        config = uvicorn.Config(app, http=LimitedHead, log_config=None, lifespan="off", ws="none", timeout_keep_alive=30)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(timeout=20)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(http_head, "HEAD_S", 0.6)
    monkeypatch.setattr(guard, "BODY_S", 0.6)
    with listening() as port:
        yield port


def line_to(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def seconds_until_closed(line: socket.socket, drip: bytes = b"") -> float:
    """How long the other side keeps the connection, fed with a byte now and then."""
    began = time.monotonic()
    line.settimeout(0.05)
    while time.monotonic() - began < 8:
        try:
            if line.recv(4096) == b"":
                break
        except TimeoutError:
            try:
                line.send(drip)
            except OSError:
                break
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (b"", b""),  # a connection that never says a word
        (b"", b"\r\n"),  # blank lines begin no head
        (b"GET / HTTP/1.1\r\nhost: x\r\n", b""),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: ", b"a"),  # slowloris: a byte before each time-out
    ],
)
def test_a_head_that_does_not_end_is_closed(port: int, first: bytes, drip: bytes) -> None:
    """400 such connections would keep everybody else out."""
    with line_to(port) as line:
        line.sendall(first)
        assert 0.3 < seconds_until_closed(line, drip) < 4


@pytest.mark.slow
def test_a_line_that_had_an_answer_is_no_way_around(port: int) -> None:
    """The time begins anew with each head, and ends with it: blank lines after an answer do not keep a connection for ever."""
    asked = f"GET / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()
    with line_to(port) as line:
        for _ in range(3):
            line.sendall(asked)
            assert line.recv(4096).startswith(b"HTTP/1.1 200")
            time.sleep(0.4)
        assert seconds_until_closed(line, b"\r\n") < 4


@pytest.mark.slow
@pytest.mark.parametrize("length", [b"content-length: 500000", b"transfer-encoding: chunked"])
def test_a_body_that_drips_is_given_up(port: int, length: bytes) -> None:
    """Each holds a place among the requests, and memory."""
    head = f"POST /cases HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n".encode() + length + b"\r\n\r\n"
    with line_to(port) as line:
        line.sendall(head)
        began = time.monotonic()
        line.settimeout(10)
        assert line.recv(4096).startswith(b"HTTP/1.1 408") and time.monotonic() - began < 4
        assert seconds_until_closed(line, b"1") < 4


@pytest.mark.slow
def test_a_body_that_comes_at_some_pace_is_taken(port: int) -> None:
    """A film over a slow line is no attack: it has a second more for every 64 KiB."""
    with line_to(port) as line:
        size = 8 * 40_000
        line.sendall(f"POST /cases HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {size}\r\n\r\n".encode())
        for _ in range(8):
            line.sendall(b"a" * 40_000)
            time.sleep(0.2)
        assert line.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_head_that_is_too_long_is_refused_in_one_piece_too(port: int) -> None:
    """A server reads 256 KiB at once; then no piece of the head is the second one."""
    with line_to(port) as line:
        line.sendall(f"GET / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx: {'a' * 40_000}\r\n\r\n".encode())
        assert b" 200 " not in line.recv(4096)


def test_a_network_has_its_requests_a_minute_and_no_more() -> None:
    """What was not used is saved for a minute; another network is not counted with it, and 0 is no limit."""
    now = [0.0]
    rate = RequestRate(60, lambda: now[0])
    assert sum(rate.allows("a") for _ in range(200)) == 60 and rate.allows("b")
    now[0] += 10.0
    assert sum(rate.allows("a") for _ in range(200)) == 10
    now[0] += 1e6
    assert sum(rate.allows("a") for _ in range(200)) == 60
    assert all(RequestRate(0).allows("a") for _ in range(1000))


def test_a_flood_of_networks_takes_no_memory() -> None:
    """A stranger has more addresses than a server has memory."""
    rate = RequestRate(60, lambda: 0.0)
    for one in range(30_000):
        rate.allows(str(one))
    assert len(rate._left) == 10_000


def test_too_many_requests_are_told_so(films) -> None:
    """Before anything else is done for them."""
    from tests.clinic.web.visitors import client, hosts
    from wardround.clinic.web.app import bare_application

    guarded = Guard(bare_application(films.state), hosts(), 1 << 20, a_minute=5)
    visitor = client(guarded, {})
    assert [visitor.get("/health").status_code for _ in range(7)] == [200] * 5 + [429] * 2
    assert ClinicSettings(hospital="x").requests_per_minute == 12_000
