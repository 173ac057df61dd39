"""A hub that runs for years shows its renewed certificate without a restart."""

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from wardround.cli.hub import wiring
from wardround.engines.flower.hub import FlowerHub
from wardround.hub.daemon.certificates import server_certificate
from wardround.site.daemon.connection import Connection

from .loopback import TestHub, hub_in


def test_a_renewed_certificate_is_shown_to_the_next_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise every hospital would be cut off on one day, a year after the start."""
    monkeypatch.setattr(wiring, "RENEWED_EVERY_S", 0.2)
    hub = hub_in(tmp_path / "hub")
    path = server_certificate(hub.keys, hub.address, lambda: datetime.now(UTC) - timedelta(days=390))
    carrier = FlowerHub(hub.address.host, hub.address.port, path, path, hub.roster.logins, hub.desk)
    carrier.start()
    ended = threading.Event()
    renewing = threading.Thread(target=wiring._renew, args=(hub.keys, hub.address, carrier, ended))
    try:
        before = _shown(hub)
        renewing.start()
        until = time.monotonic() + 60
        while _shown(hub).serial_number == before.serial_number and time.monotonic() < until:
            time.sleep(0.1)
        after = _shown(hub)
    finally:
        ended.set()
        renewing.join(20)
        carrier.stop()
    assert before.not_valid_after_utc < datetime.now(UTC) + timedelta(days=8)
    assert after.not_valid_after_utc > datetime.now(UTC) + timedelta(days=390)


def _shown(hub: TestHub) -> x509.Certificate:
    address = hub.address
    context = Connection(address, hub.inviter.authority).context()
    with (
        socket.create_connection((address.host, address.port), 20) as line,
        context.wrap_socket(line, server_hostname=address.host) as secured,
    ):
        return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
