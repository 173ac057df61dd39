"""New keys of a hospital whose service runs: the hub confirms them, and the service goes over by itself."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wardround.cli.hub.wiring import _OwnPages
from wardround.cli.site import wiring
from wardround.engines.flower.hub import FlowerHub
from wardround.engines.remote.body_app import BodyApp
from wardround.engines.remote.body_store import BodyStore
from wardround.engines.remote.hub_post import HubPost
from wardround.hub.daemon.certificates import server_certificate
from wardround.site.daemon.home import SiteHome
from wardround.site.daemon.joining import join, rotate
from wardround.values.ids import SiteId
from wardround.wire.sealed import HUB, Party

from .loopback import TestHub, hub_in, site_in

STUDY = "5" * 64
ANNA = SiteId("st-anna")


@contextmanager
def listening(hub: TestHub) -> Iterator[HubPost]:
    """The hub's port with enrolment and messages, and its post."""
    store = BodyStore(hub.folder / "bodies")
    pages = _OwnPages(hub.desk, BodyApp(store, hub.roster.key_cards))
    certificate = server_certificate(hub.keys, hub.address)
    carrier = FlowerHub(hub.address.host, hub.address.port, certificate, certificate, hub.roster.logins, pages)
    carrier.start()
    try:
        party = Party(HUB, hub.identity, hub.sealing)
        yield HubPost(carrier.carrier, party, hub.roster.key_cards, store, hub.log, hub.folder / "post")
    finally:
        carrier.stop()


@contextmanager
def serving(home: SiteHome, say: Callable[[str], None]) -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=wiring.serve, args=(home, stop, say), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(15)
        assert not thread.is_alive()


def is_answered(post: HubPost) -> bool:
    """Whether the hospital reads what the hub says to it, and signs with the keys of the roster. It knows no such study."""
    return ANNA in post.ask("offer", STUDY, {ANNA: b"{}"}, 30.0)


@pytest.mark.slow
def test_a_service_goes_over_to_keys_that_the_hub_has_confirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a hospital is silently away from the moment of the telephone call until somebody starts its service again."""
    monkeypatch.setattr(wiring, "ASKED_EVERY_S", 0.1)
    hub, home = hub_in(tmp_path / "hub"), site_in(tmp_path / "site")
    sentences: list[str] = []
    with listening(hub) as post:
        joined = join(hub.invite(ANNA).text.encode(), home)
        hub.roster.confirm(ANNA, joined.words)
        wiring.wait_until_confirmed(home, threading.Event())
        before = home.identity.public
        with serving(home, sentences.append):
            assert is_answered(post)
            waiting = rotate(home)
            assert waiting.new_keys and is_answered(post), "until the hub has confirmed, the old keys hold"
            hub.roster.confirm(ANNA, waiting.words)
            until = time.monotonic() + 30
            while not any("new keys" in sentence for sentence in sentences) and time.monotonic() < until:
                time.sleep(0.05)
            assert is_answered(post)
        assert home.identity.public != before
        assert [entry.code for entry in home.log.entries()].count("keys-changed") == 1


@pytest.mark.slow
def test_keys_that_the_hub_has_refused_are_not_asked_about_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that asks each ten seconds would fill the hub's log, and use up what its network may be refused."""
    monkeypatch.setattr(wiring, "ASKED_EVERY_S", 0.02)
    hub, home = hub_in(tmp_path / "hub"), site_in(tmp_path / "site")
    with listening(hub) as post:
        hub.roster.confirm(ANNA, join(hub.invite(ANNA).text.encode(), home).words)
        wiring.wait_until_confirmed(home, threading.Event())
        rotate(home)
        hub.roster.turn_away(ANNA)
        with serving(home, lambda _: None):
            assert is_answered(post)
            time.sleep(0.5)
        assert len(hub.logged("enrolment-refused")) <= 1
