"""Long bodies as files at the hub: only a site's own signature opens the door, and a line that breaks costs no byte twice."""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.engines.flower.embedded import HOST, Embedded, listening
from tests.engines.remote.breaking_line import breaking
from tests.engines.remote.parties import NAMES, party
from wardround.engines.remote import tickets
from wardround.engines.remote.body_app import BodyApp
from wardround.engines.remote.body_client import BodyClient, tls_context
from wardround.engines.remote.body_store import UNFETCHED, BodyStore
from wardround.engines.remote.tickets import Ticket
from wardround.values.errors import EngineError, RefusedError, RunError, WireError
from wardround.wire.sealed import LARGEST_BODY, Party, SealedBody

EAST = NAMES[0]
SIZE = 3_000_000


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with listening(tmp_path_factory.mktemp("bodies")) as running, running.store.awaiting(NAMES, LARGEST_BODY):
        yield running


@pytest.fixture
def plain(embedded: Embedded) -> Iterator[httpx.Client]:
    """A client without our manners."""
    with httpx.Client(base_url=f"https://{embedded.address}", verify=tls_context(embedded.ca_pem), timeout=20.0) as client:
        yield client


def now_ms() -> int:
    """Asked when a ticket is written: a run of all tests comes here long after it has read this file."""
    return time.time_ns() // 10**6


def client_over(embedded: Embedded, address: str, patience_s: float = 20.0) -> BodyClient:
    client = BodyClient(address, embedded.ca_pem, embedded.parties.sites[EAST])
    client._patience_s = patience_s
    return client


def read_all(client: BodyClient, body: SealedBody, piece: int = 1_000_003) -> bytes:
    with client.open(body.sha256, body.size) as reader:
        pieces = []
        while data := reader.read(piece):
            pieces.append(data)
        return b"".join(pieces)


def ticket_for(site: Party, method: str, body: SealedBody, **other: object) -> dict[str, str]:
    values = {"name": site.name, "method": method, "sha256": body.sha256, "size": body.size, "expires": now_ms() + 60_000} | other
    return {tickets.HEADER: tickets.written(Ticket(**values), site.identity)}


def test_a_body_comes_whole_over_a_line_that_breaks(embedded: Embedded) -> None:
    """Each connection carries a part; what came is not fetched again."""
    body = SealedBody.of(os.urandom(SIZE))
    embedded.store.add(body)
    with (
        breaking((HOST, embedded.hub.port), 400_000, 900_000, 1_200_000) as line,
        closing(client_over(embedded, line.address)) as client,
    ):
        assert read_all(client, body) == b"".join(body.pieces())
    assert line.connections == 4
    embedded.store.remove(body.sha256)
    with closing(client_over(embedded, embedded.address)) as client, pytest.raises(WireError, match="no more"):
        read_all(client, body)


def test_a_body_goes_whole_over_a_line_that_breaks(embedded: Embedded) -> None:
    """The hub says how much it has, and the rest is made anew from there."""
    body = SealedBody.of(os.urandom(SIZE))
    with breaking((HOST, embedded.hub.port), 700_000, 1_500_000) as line, closing(client_over(embedded, line.address)) as client:
        client.put(body)
    assert line.connections == 3
    file = embedded.store.take(EAST, body.sha256)
    assert file is not None
    with file:
        assert file.read() == b"".join(body.pieces())
    assert embedded.store.take(EAST, body.sha256) is None


def test_a_hub_that_is_away_is_tried_for_a_while(embedded: Embedded) -> None:
    """The error names the line; the site's service goes on."""
    with closing(client_over(embedded, f"{HOST}:1", 0.5)) as client, pytest.raises(EngineError, match="could not be carried"):
        client.put(SealedBody.of(b"x"))


def test_only_the_signature_of_a_site_of_the_roster_opens_the_door(embedded: Embedded, plain: httpx.Client) -> None:
    """A stranger, another name, another body, another method, yesterday's ticket, a changed one: all the same 403."""
    body, east = SealedBody.of(os.urandom(SIZE)), embedded.parties.sites[EAST]
    embedded.store.add(body)
    path, right = f"/bodies/{body.sha256}", ticket_for(east, "GET", body)
    other = SealedBody.of(b"another")
    wrong = [
        {},
        {tickets.HEADER: ""},
        {tickets.HEADER: "e30="},
        {tickets.HEADER: "x" * 3000},
        ticket_for(party(EAST), "GET", body),
        ticket_for(party("west"), "GET", body),
        ticket_for(east, "GET", body, name=NAMES[1]),
        ticket_for(east, "PUT", body),
        ticket_for(east, "GET", other),
        ticket_for(east, "GET", body, expires=now_ms() - 400_000),
        ticket_for(east, "GET", body, expires=now_ms() + 10**9),
        ticket_for(east, "GET", body, size=LARGEST_BODY + 1),
        ticket_for(east, "GET", body, size=-1),
        {tickets.HEADER: right[tickets.HEADER][:-8] + "AAAAAAA="},
    ]
    for headers in wrong:
        response = plain.get(path, headers=headers)
        assert (response.status_code, response.content) == (403, b"")
    assert plain.get(path, headers=right).content == b"".join(body.pieces())
    embedded.store.remove(body.sha256)


def test_what_a_ticket_does_not_promise_is_refused_before_it_comes(embedded: Embedded, plain: httpx.Client) -> None:
    """A length above the ticket's, or none, and names that are no hash."""
    body, east = SealedBody.of(b"short"), embedded.parties.sites[EAST]
    path, ticket = f"/bodies/{body.sha256}", ticket_for(east, "PUT", body)
    assert plain.put(path, headers=ticket, content=bytes(body.size + 1)).status_code == 413
    assert plain.put(path, headers=ticket, content=iter([bytes(body.size)])).status_code == 413  # chunks state no length
    assert plain.put(path, headers={**ticket, "content-range": "bytes 5-1/1"}, content=b"").status_code == 413
    for name in ("x", "../" + "0" * 61, "0" * 63, "G" * 64, "A" * 64):
        assert plain.put(f"/bodies/{name}", headers=ticket, content=b"").status_code == 404


def test_bytes_of_another_hash_are_thrown_away(embedded: Embedded, plain: httpx.Client) -> None:
    """What lies in the store is what its name says, or it is not in the store."""
    body, east = SealedBody.of(b"a body"), embedded.parties.sites[EAST]
    path, ticket = f"/bodies/{body.sha256}", ticket_for(east, "PUT", body)
    assert plain.put(path, headers=ticket, content=bytes(body.size)).status_code == 422
    assert embedded.store.take(EAST, body.sha256) is None
    assert plain.put(path, headers=ticket, content=b"".join(body.pieces())).status_code == 201
    assert plain.put(path, headers=ticket, content=b"".join(body.pieces())).status_code == 201  # once more: it is there
    file = embedded.store.take(EAST, body.sha256)
    assert file is not None
    file.close()


def test_a_site_fills_no_more_than_its_share_of_the_disk(embedded: Embedded) -> None:
    """Answers that were lost on the way leave their bodies: the oldest gives way."""
    bodies = [SealedBody.of(bytes([number])) for number in range(5)]
    with closing(client_over(embedded, embedded.address)) as client:
        for body in bodies:
            client.put(body)
    taken = [embedded.store.take(EAST, body.sha256) for body in bodies]
    assert [file is not None for file in taken] == [False] * (5 - UNFETCHED) + [True] * UNFETCHED
    for file in taken:
        if file is not None:
            file.close()


def test_a_body_that_no_exchange_awaits_is_not_taken(tmp_path: Path) -> None:
    """One hospital could keep 4 GiB of the hub's disk taken, and with it every study of large models."""
    store = BodyStore(tmp_path / "bodies")
    for sites, size in (([], 0), ([NAMES[1]], 100), ([EAST], 99)):
        with store.awaiting(sites, size), pytest.raises(RefusedError) as refused:
            store.upload(EAST, "0" * 64, 100)
        assert refused.value.code == "not-awaited"
    with store.awaiting([EAST], 50), store.awaiting([EAST, NAMES[1]], 100):
        store.upload(EAST, "0" * 64, 100).close()
    with pytest.raises(RefusedError):
        store.upload(EAST, "0" * 64, 100)


def test_a_full_disk_is_said_ever_more_seldom(tmp_path: Path) -> None:
    """Each refusal was a sentence of the service's: on the very disk that is full."""
    said: list[str] = []
    app = BodyApp(BodyStore(tmp_path / "bodies"), dict, said.append)

    async def refused_often() -> None:
        async def send(_: object) -> None:
            pass

        for _ in range(100):
            await app._refused_by_disk(send, OSError(28, "No space left on device"))

    asyncio.run(refused_often())
    assert len(said) == 7


def test_a_full_disk_is_named_at_both_ends(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site hears that it is the hub's disk, the hub's people hear it too, and no part of a file stays."""
    heard: list[str] = []

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    body = SealedBody.of(b"x")
    ours = embedded.hub._server.config.app._ours  # type: ignore[union-attr]
    monkeypatch.setattr(ours, "_disk_full", heard.append)
    monkeypatch.setattr("wardround.engines.remote.body_store.Upload.write", full)
    with closing(client_over(embedded, embedded.address)) as client, pytest.raises(EngineError, match="disk is full"):
        client.put(body)
    assert heard == ["No space left on device"]
    assert not list(embedded.store.folder.rglob(f"{body.sha256}*"))


def test_a_hub_without_room_for_its_own_body_says_so_and_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order whose body is cut off may not leave."""
    store, body = BodyStore(tmp_path / "bodies"), SealedBody.of(b"x")

    def pieces(_: SealedBody, start: int = 0) -> Iterator[bytes]:  # noqa: ARG001
        yield b"a part"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SealedBody, "pieces", pieces)
    with pytest.raises(RunError, match="No space left"):
        store.add(body)
    assert store.sent(body.sha256) is None


def test_nothing_of_an_earlier_process_is_kept(tmp_path: Path) -> None:
    """Its exchanges are made anew with other keys: whatever lies here is of no use to anybody."""
    first = BodyStore(tmp_path / "bodies")
    first.add(body := SealedBody.of(b"x"))
    with first.awaiting([EAST], 1):
        upload = first.upload(EAST, hashlib.sha256(b"y").hexdigest(), 1)
    upload.close()
    second = BodyStore(tmp_path / "bodies")
    assert second.sent(body.sha256) is None
    assert not [path for path in (tmp_path / "bodies").rglob("*") if path.is_file()]


def test_a_ticket_with_half_a_sign_is_no_ticket(plain: httpx.Client) -> None:
    """It is read before anybody has signed: what cannot be written as bytes is refused as any other."""
    value = {"name": EAST, "method": "GET", "sha256": "\ud800", "size": 1, "expires": now_ms(), "signature": "0" * 128}
    header = base64.b64encode(json.dumps(value).encode()).decode()
    assert plain.get(f"/bodies/{'a' * 64}", headers={tickets.HEADER: header}).status_code == 403


def test_what_sites_bring_leaves_room_for_the_hubs_own_log(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site may bring two bodies of two gigabytes: on a disk that is nearly full they would end every study."""
    whole = shutil.disk_usage(embedded.store.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: whole._replace(free=(1 << 28) - 1))
    with closing(embedded.body_client(EAST)) as client, pytest.raises(EngineError, match="disk is full"):
        client.put(SealedBody.of(os.urandom(1000)))
    monkeypatch.undo()
    assert not [path for path in (embedded.store.folder / "from" / EAST).glob("*.part") if path.stat().st_size]
