"""Flower's own error replies, from a real SuperLink: a site whose heart stopped is waited for, asked again, and named."""

import time
from pathlib import Path

import pytest
from flwr.common.constant import ErrorCode

from tests.engines.flower.embedded import Embedded, listening
from tests.engines.flower.test_exchanges import asked_in_a_thread, received
from tests.engines.remote.parties import NAMES, codes, served
from wardround.engines.flower import site_carrier
from wardround.engines.flower.flower_run import FlowerRun
from wardround.engines.flower.site_carrier import CONNECTED, FlowerSiteCarrier

EAST = NAMES[0]
Errors = list[int]


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> Errors:
    """Codes of the error replies that the hub hears of Flower. Sites say who they are and beat no more."""
    heard: Errors = []
    pull = FlowerRun.pull

    def listened(run: FlowerRun, message_ids: list[str]) -> list:
        replies = pull(run, message_ids)
        heard.extend(one.error.code for one in replies if one.HasField("error"))
        return replies

    monkeypatch.setattr(FlowerRun, "pull", listened)
    monkeypatch.setattr(site_carrier, "_BEAT_EVERY_S", 1000.0)
    return heard


def until_heard(errors: Errors, within_s: float = 30.0) -> None:
    until = time.monotonic() + within_s
    while not errors and time.monotonic() < until:
        time.sleep(0.05)
    assert errors and set(errors) == {ErrorCode.NODE_UNAVAILABLE} == {5}


def with_order_in_hand(embedded: Embedded) -> tuple[FlowerSiteCarrier, object]:
    """A site that Flower takes for gone two seconds later: its last heartbeat has promised one each second."""
    carrier = embedded.site_carrier(EAST)
    carried = received(carrier)
    node = embedded.hub.carrier._nodes.node_of(EAST)
    assert embedded.hub.carrier._state.acknowledge_node_heartbeat(node, 1.0)  # over the line Flower takes no less than ten
    return carrier, carried


@pytest.mark.slow
def test_a_site_whose_heart_stops_over_an_order_is_asked_again_when_it_is_back(tmp_path: Path, errors: Errors) -> None:
    """Flower says error 5 in its place. That is no answer and no refusal: the round waits, and the next process has the order."""
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {EAST: b"hello"}, 60.0)
        killed, _ = with_order_in_hand(embedded)
        killed._closed.set()
        killed._client.close()
        until_heard(errors)
        assert codes(embedded.parties.hub_log()) == ["order-sent"]
        with served({EAST: embedded.site_post(EAST)}):
            assert answers() == {EAST: b"east: hello"}
        assert codes(embedded.parties.hub_log()) == ["order-sent", "reply-received"]


@pytest.mark.slow
def test_a_site_that_slept_over_its_order_says_nothing_false_and_gets_it_again(tmp_path: Path, errors: Errors) -> None:
    """A machine that was suspended wakes with its answer to a message that Flower has given up. It does not believe that it
    has arrived."""
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {EAST: b"hello"}, 60.0)
        slept, carried = with_order_in_hand(embedded)
        until_heard(errors)
        assert not slept.reply(carried, b"an answer that comes too late")
        assert slept.state == CONNECTED
        slept.close()
        with served({EAST: embedded.site_post(EAST)}):
            assert answers() == {EAST: b"east: hello"}
        assert codes(embedded.parties.hub_log()) == ["order-sent", "reply-received"]


@pytest.mark.slow
def test_a_site_that_stays_away_is_named_at_the_deadline_and_not_spoken_to_meanwhile(tmp_path: Path, errors: Errors) -> None:
    """After the error nothing is sent into the void: the hub looks whether the site is there, and says whom it missed."""
    with listening(tmp_path) as embedded:
        answers = asked_in_a_thread(embedded, {EAST: b"hello"}, 20.0)
        gone, _ = with_order_in_hand(embedded)
        gone._closed.set()
        gone._client.close()
        until_heard(errors, 20.0)
        assert answers() == {}
        assert len(errors) == 1
        assert codes(embedded.parties.hub_log()) == ["order-sent", "no-answer"]
        (silent,) = (entry for entry in embedded.parties.hub_log().entries() if entry.code == "no-answer")
        assert silent.facts["sites"] == [EAST] and silent.text == "No answer in time from east."
