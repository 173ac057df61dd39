"""The line of a hospital, put together: Flower carries, we sign and seal. Nothing else knows both a site and its engine."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from wardround.cli.site.homes import own_card
from wardround.values.errors import EngineError, RefusedError, WardroundError

if TYPE_CHECKING:
    from wardround.engines.remote.site_post import SitePost
    from wardround.site.daemon.home import SiteHome
    from wardround.wire.sealed import KeyCard

ASKED_EVERY_S = 10.0


@contextmanager
def site_line(home: "SiteHome") -> Iterator["SitePost"]:
    """The line to the hub that this hospital has joined. MissingExtraError where the parts for networks are not installed."""
    from wardround.engines.flower.site_carrier import FlowerSiteCarrier
    from wardround.engines.remote.body_client import BodyClient
    from wardround.engines.remote.site_post import SitePost
    from wardround.site.daemon.hub_record import HubRecord
    from wardround.wire.sealed import Party

    record = HubRecord.required(home)
    line, address = record.connection, record.address
    party = Party(record.name, home.identity, home.sealing)
    carrier = FlowerSiteCarrier(address, line.ca_pem, home.login_key, home.path / "node", line.proxy)
    with closing(BodyClient(address, line.ca_pem, party, proxy=line.proxy)) as bodies:
        yield SitePost(carrier, party, record.hub, home.post, bodies, home.log)


def wait_until_confirmed(home: "SiteHome", stop: threading.Event) -> None:
    """Returns when the hub has confirmed this hospital, or at `stop`. RefusedError where it was revoked. A hub that does not
    answer is asked again: the service may start before it."""
    from wardround.site.daemon.hub_record import HubRecord
    from wardround.site.daemon.joining import status

    told = ""
    if HubRecord.required(home).rotation:  # the hub may have confirmed new keys since
        with suppress(WardroundError):
            status(home)
    while not stop.is_set() and HubRecord.required(home).state != "confirmed":
        try:
            joined = status(home)
            sentence = f"the hub has not confirmed this hospital yet: {joined.words}"
            if joined.state == "revoked":
                raise RefusedError("The hub has revoked this hospital", hint="ask its people why, and for a new invitation")
        except EngineError as error:
            sentence = str(error)
        if HubRecord.required(home).state == "confirmed":
            return
        if sentence != told:
            typer.echo(sentence)
            told = sentence
        stop.wait(ASKED_EVERY_S)


def serve(home: "SiteHome", stop: threading.Event, say: Callable[[str], None]) -> None:
    """Speaks for this hospital until `stop`. Where new keys come into force, the line is opened anew with them."""
    from wardround.site.daemon.desk import SiteDesk
    from wardround.site.daemon.service import SiteService

    while not stop.is_set():
        card = own_card(home)
        with site_line(home) as line, _until_new_keys(home, card, stop) as ending:
            SiteService(home, SiteDesk(home, card), line, say).run(ending)
        if not stop.is_set():
            say("new keys of this hospital are in force: the line is opened anew")


@contextmanager
def _until_new_keys(home: "SiteHome", card: "KeyCard", stop: threading.Event) -> Iterator[threading.Event]:
    """An event that is set at `stop`, or when other keys than those on the card are in force."""
    ending = threading.Event()

    def watch() -> None:
        refused = ""
        while not (ending.is_set() or stop.wait(ASKED_EVERY_S)):
            with suppress(WardroundError, OSError):  # the line says what is wrong
                refused = _asked_about_new_keys(home, refused)
                if own_card(home) != card:
                    break
        ending.set()

    watching = threading.Thread(target=watch, name="wardround-keys", daemon=True)
    watching.start()
    try:
        yield ending
    finally:
        ending.set()


def _asked_about_new_keys(home: "SiteHome", refused: str) -> str:
    """Asks the hub whether it has confirmed new keys that wait, but not about those that it has refused. The request that it
    refused last; empty where there is none."""
    from wardround.site.daemon.hub_record import HubRecord
    from wardround.site.daemon.joining import status

    rotation = HubRecord.required(home).rotation
    if rotation and rotation != refused:
        try:
            status(home)
        except RefusedError:
            return rotation
    return refused
