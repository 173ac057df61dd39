"""A hospital whose clock is wrong is turned away as a stranger is: the hub's people have to hear which of the two it is."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.supercore.primitives.asymmetric import sign_message

from tests.engines.flower.embedded import Embedded, listening
from tests.engines.flower.test_gate import activate, login, media_type, signed
from tests.engines.remote.parties import NAMES
from wardround.engines.flower.wrong_clocks import WrongClocks
from wardround.engines.remote.body_client import tls_context
from wardround.values.ids import SiteId

EAST, WEST = NAMES[:2]


@contextmanager
def hub(folder: Path) -> Iterator[tuple[Embedded, httpx.Client, list[tuple[SiteId, float]]]]:
    """A hub that listens, a client of it, and what its people were told."""
    told: list[tuple[SiteId, float]] = []
    with (
        listening(folder, clock_is_wrong=lambda site, ahead_s: told.append((site, ahead_s))) as embedded,
        httpx.Client(base_url=f"https://{embedded.address}", verify=tls_context(embedded.ca_pem), timeout=30.0) as client,
    ):
        yield embedded, client, told


def head(embedded: Embedded, site: SiteId, ahead_s: float) -> dict[str, str]:
    """Of a request of a site whose clock is so many seconds ahead of the hub's."""
    return {**media_type(), **signed(login(embedded, site), ahead_s)}


def test_a_clock_for_which_a_site_is_turned_away_is_told_once_and_shown_until_it_is_let_in(tmp_path: Path) -> None:
    """6 s ahead and 310 s behind are beyond what Flower lets in; ten requests of a site are one line on the screen."""
    with hub(tmp_path) as (embedded, client, told):
        for _ in range(10):
            assert activate(client, login(embedded, EAST), head(embedded, EAST, 6.0)).status_code == 401
        assert activate(client, login(embedded, WEST), head(embedded, WEST, -310.0)).status_code == 401
        assert [(site, round(ahead_s)) for site, ahead_s in told] == [(EAST, 6), (WEST, -310)]
        assert {site: round(ahead_s) for site, ahead_s in embedded.hub.wrong_clocks().items()} == {EAST: 6, WEST: -310}
        assert activate(client, login(embedded, EAST), head(embedded, EAST, 3.0)).status_code == 200
        assert list(embedded.hub.wrong_clocks()) == [WEST]


def test_nobody_speaks_of_the_clock_of_another(tmp_path: Path) -> None:
    """A login key is public: whoever knows one may not send the hub's people to look at a clock that is right."""
    stranger = ec.generate_private_key(ec.SECP384R1())
    with hub(tmp_path) as (embedded, client, told):
        unknown = activate(client, stranger, {**media_type(), **signed(stranger, 400.0)})
        forged = {**head(embedded, EAST, 0.0), "flwr-timestamp": signed(stranger, 400.0)["flwr-timestamp"]}
        for other in ({}, {"flwr-signature": "="}, {"flwr-signature": ""}, {"flwr-timestamp": "x"}):
            assert activate(client, login(embedded, EAST), {**forged, **other}).status_code == 401
        assert unknown.status_code == 401
        assert not told and not embedded.hub.wrong_clocks()


@pytest.mark.parametrize("written", ["", "now", "2026-11-29T07:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_signed_time_that_is_none_is_no_clock(written: str) -> None:
    """A site signs what it likes: a time without a zone, or one at the end of the calendar, raises nothing."""
    key = ec.generate_private_key(ec.SECP384R1())
    signature = base64.b64encode(sign_message(key, written.encode())).decode()
    values = {**signed(key), "flwr-timestamp": written, "flwr-signature": signature}
    clocks = WrongClocks()
    clocks.turned_away(EAST, {name.encode(): value.encode() for name, value in values.items()})
    assert len(clocks.ahead_s()) == written.endswith(("+23:59", "-23:59"))
