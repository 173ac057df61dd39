"""Sealed messages over a real embedded SuperLink: they arrive, large ones too, and whatever can go wrong is mended."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.engines.engine_conformance import EngineConformance
from tests.engines.flower.embedded import Embedded, listening, with_sites
from tests.engines.remote.parties import NAMES, STUDY, codes, served
from tests.engines.remote.test_remote_engine import answer_of
from wardround.engines.flower import letters
from wardround.engines.flower.site_carrier import FlowerSiteCarrier
from wardround.engines.remote.engine import RemoteEngine
from wardround.hub.engine import Engine
from wardround.site.config import SiteConfig
from wardround.values.ids import SiteId

BIG = 3_000_000


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1000, 1 << 20, BIG])
def test_every_site_answers_what_the_hub_asked_it(size: int, tmp_path: Path) -> None:
    """Inline and detached bodies are one protocol to whoever asks; every site has its own message."""
    outbox = {site: site.encode() + os.urandom(size) for site in NAMES}
    with with_sites(tmp_path) as embedded:
        heard: list[str] = []
        answers = embedded.post.ask("order", STUDY, outbox, 30.0, heard.append)
        assert dict(answers) == {site: site.encode() + b": " + data for site, data in outbox.items()}
        assert sorted(heard) == list(NAMES)
        assert codes(embedded.parties.hub_log()) == ["order-sent"] + ["reply-received"] * 3
        assert not [path for path in (tmp_path / "hub" / "bodies").rglob("*") if path.is_file()]


@pytest.mark.slow
def test_a_site_that_is_away_is_waited_for_until_the_deadline_and_not_longer(tmp_path: Path) -> None:
    """A round goes on without a hospital whose machine is off."""
    with with_sites(tmp_path, NAMES[1:]) as embedded:
        embedded.post.ask("offer", STUDY, dict.fromkeys(NAMES[1:], b"all are there"), 20.0)
        began = time.monotonic()
        answers = embedded.post.ask("offer", STUDY, dict.fromkeys(NAMES, b"hello"), 8.0)
        assert set(answers) == set(NAMES[1:])
        assert 7.9 < time.monotonic() - began < 16.0
        assert codes(embedded.parties.hub_log())[-1] == "no-answer"


class TestRemoteOverFlower(EngineConformance):
    @contextmanager
    def opened(self, configs: Sequence[SiteConfig], folder: Path) -> Iterator[Engine]:
        sites = {config.name: config.open() for config in configs}
        try:
            with listening(folder / "parties") as embedded:
                answers = {name: answer_of(site) for name, site in sites.items()}
                with served(embedded.site_posts(), answers.__getitem__):
                    yield RemoteEngine(embedded.post, configs[0].study.hash, map(SiteId, sites))
        finally:
            for site in sites.values():
                site.close()


def asked_in_a_thread(embedded: Embedded, outbox: dict[SiteId, bytes], deadline_s: float = 30.0) -> Callable[[], dict]:
    """Begins an exchange; what is returned waits for its answers."""
    answers: dict[SiteId, bytes] = {}
    post = embedded.post
    thread = threading.Thread(target=lambda: answers.update(post.ask("order", STUDY, outbox, deadline_s)))
    thread.start()

    def joined() -> dict[SiteId, bytes]:
        thread.join(deadline_s + 10.0)
        assert not thread.is_alive()
        return answers

    return joined


def received(carrier: FlowerSiteCarrier, within_s: float = 15.0):
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if (carried := carrier.receive(5.0)) is not None:
            return carried
    raise AssertionError("nothing came")


@pytest.mark.slow
def test_a_site_that_is_killed_with_an_order_in_its_hand_gets_it_again(tmp_path: Path) -> None:
    """Flower gives each message out once and refuses a killed site for 20 s (412), unless it says that it left. The next process
    says so, from its file, and has the order at once."""
    site = NAMES[0]
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {site: b"hello"})
        killed = embedded.site_carrier(site)
        received(killed)
        killed._closed.set()  # as kill -9 leaves it: nobody says goodbye, no heart beats
        killed._client.close()
        began = time.monotonic()
        with served({site: embedded.site_post(site)}):
            assert answers() == {site: b"east: hello"}
        assert time.monotonic() - began < 10.0


@pytest.mark.slow
def test_a_site_that_dies_again_and_again_gets_its_order_each_time_at_once(tmp_path: Path) -> None:
    """Pauses grow for who refuses. A night of restarts would else end in half a minute of silence after each."""
    site = NAMES[0]
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {site: b"hello"}, 60.0)
        waited = []
        for _ in range(6):
            began, killed = time.monotonic(), embedded.site_carrier(site)
            received(killed)
            waited.append(time.monotonic() - began)
            killed._closed.set()
            killed._client.close()
        with served({site: embedded.site_post(site)}):
            assert answers() == {site: b"east: hello"}
    assert waited[-1] < 3.0, waited  # six growing pauses: 0.2 s, then 0.4 ... 6.4 s


@pytest.mark.slow
def test_an_answer_that_is_none_is_asked_for_again(tmp_path: Path) -> None:
    """Flower takes one reply to a message: after a false one the true one can only come to the message sent again."""
    site = NAMES[0]
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {site: b"hello"})
        carrier = embedded.site_carrier(site)
        assert carrier.reply(received(carrier), b"not a sealed message")
        until = time.monotonic() + 30.0
        while codes(embedded.parties.hub_log())[-1] != "answer-refused" and time.monotonic() < until:
            time.sleep(0.05)  # a site that leaves at once may be gone before its answer is looked at
        carrier.close()
        with served({site: embedded.site_post(site)}):
            assert answers() == {site: b"east: hello"}
        assert codes(embedded.parties.hub_log()) == ["order-sent", "answer-refused", "reply-received"]


@pytest.mark.slow
def test_a_site_that_says_nothing_to_an_order_is_asked_again_ever_more_seldom(tmp_path: Path) -> None:
    """What is refused has no answer; the hub may not spin on it."""
    site, came = NAMES[0], []
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {site: b"hello"}, 4.0)
        carrier = embedded.site_carrier(site)
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            if (carried := carrier.receive(1.0)) is not None:
                came.append(carried.data)
        assert answers() == {}
        carrier.close()
    assert 2 <= len(came) <= 6
    assert len(set(came)) == 1


@pytest.mark.slow
def test_a_site_answers_for_another_in_vain(tmp_path: Path) -> None:
    """Flower would take a reply in another site's name: its node authentication signs a time of day and nothing else."""
    east, north = NAMES[:2]
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {east: b"hello"})
        victim, thief = embedded.site_carrier(east), embedded.site_carrier(north)
        carried = received(victim)
        thief._active()
        message = carried.ticket
        forged = letters.reply(message, b"a forged answer")
        request = letters_request(thief, forged)
        assert forged.metadata.message_id in thief._client.PushMessages(request).objects_to_push  # Flower took it
        assert not victim.reply(carried, b"the true one, too late")
        victim.close()
        thief.close()
        with served({east: embedded.site_post(east)}):
            assert answers() == {east: b"east: hello"}


def letters_request(carrier: FlowerSiteCarrier, message):
    from flwr.proto.fleet_pb2 import PushMessagesRequest

    return PushMessagesRequest(node=carrier._active(), messages_list=[message], message_object_trees=[letters.tree_of(message)])


@pytest.mark.slow
def test_a_reply_that_would_outlive_its_order_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower drops it with status 200 and no word; the carrier knows that it was dropped, and the hub asks again."""
    site = NAMES[0]
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {site: b"hello"})
        carrier = embedded.site_carrier(site)
        carried = received(carrier)
        with monkeypatch.context() as patched:
            patched.setattr(letters, "MARGIN_S", -1.0)
            assert not carrier._pushed(carried.ticket, b"an answer")
        carrier.close()
        with served({site: embedded.site_post(site)}):
            assert answers() == {site: b"east: hello"}


@pytest.mark.slow
def test_a_hub_that_is_started_anew_is_found_again_by_its_sites(tmp_path: Path) -> None:
    """Its Flower knows nothing of the sites' nodes any more: they say who they are, and go on."""
    with listening(tmp_path) as embedded, served(embedded.site_posts()):
        assert len(embedded.post.ask("order", STUDY, dict.fromkeys(NAMES, b"before"), 30.0)) == 3
        port = embedded.hub.port
        embedded.hub.stop()
        embedded.hub = embedded.new_hub(port)
        embedded.hub.start()
        assert len(embedded.post.ask("order", STUDY, dict.fromkeys(NAMES, b"after"), 60.0)) == 3


@pytest.mark.slow
def test_a_run_that_flower_ends_is_replaced_in_the_middle_of_an_exchange(tmp_path: Path) -> None:
    """A hub whose machine slept for a minute has lost its task; that may cost a second and no answer."""
    site = NAMES[0]
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {site: b"hello"})
        carrier = embedded.site_carrier(site)
        carried = received(carrier)
        embedded.hub.carrier._run.close()
        assert not carrier.reply(carried, b"to a run that has ended")
        carrier.close()
        with served({site: embedded.site_post(site)}):
            assert answers() == {site: b"east: hello"}


@pytest.mark.slow
def test_a_site_that_is_confirmed_while_the_hub_runs_is_let_in_and_one_that_is_revoked_is_not(tmp_path: Path) -> None:
    """People confirm and revoke with commands of their own; nobody restarts the hub for it."""
    east = NAMES[0]
    with listening(tmp_path) as embedded:
        login = embedded.logins.pop(east)
        with served({east: embedded.site_post(east)}):
            assert embedded.post.ask("offer", STUDY, {east: b"hello"}, 1.5) == {}
            embedded.logins[east] = login
            assert set(embedded.post.ask("offer", STUDY, {east: b"hello"}, 30.0)) == {east}
            del embedded.logins[east]
            assert embedded.post.ask("offer", STUDY, {east: b"hello"}, 1.5) == {}


@pytest.mark.slow
def test_two_studies_ask_the_same_sites_at_once(tmp_path: Path) -> None:
    """Each in a thread of its own, and neither hears the other's answers."""
    with with_sites(tmp_path) as embedded:
        post, results = embedded.post, {}

        def ask(study: str) -> None:
            for number in range(5):
                data = f"{study[0]}{number}".encode()
                answers = post.ask("order", study, dict.fromkeys(NAMES, data), 30.0)
                results[study[0], number] = {site: answers[site] for site in answers}

        threads = [threading.Thread(target=ask, args=(letter * 64,)) for letter in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
        assert results == {
            (letter, number): {site: f"{site}: {letter}{number}".encode() for site in NAMES}
            for letter in "abc"
            for number in range(5)
        }


@pytest.mark.slow
def test_an_answer_that_may_not_leave_any_more_is_not_tried_again(tmp_path: Path) -> None:
    """A person revokes while the line is broken: what lay ready stays at the hospital."""
    site = NAMES[0]
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {site: b"hello"}, 8.0)
        carrier = embedded.site_carrier(site)
        carried = received(carrier)
        asked: list[float] = []

        def may_leave() -> bool:
            asked.append(time.monotonic())
            return len(asked) < 3

        proved = carrier._client._client
        carrier._client._client = httpx.Client(transport=httpx.MockTransport(_broken))
        assert not carrier.reply(carried, b"an answer", may_leave)
        carrier._client._client = proved
        carrier.close()
        assert len(asked) == 3 and answers() == {}


def _broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("the line is broken", request=request)
