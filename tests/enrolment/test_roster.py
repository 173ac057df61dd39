"""The roster and the hub's certificates, in the hub's folder."""

import contextlib
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from wardround.hub.daemon.certificates import AUTHORITY, Authority, server_certificate, server_expiry
from wardround.hub.daemon.roster import FILE, Roster
from wardround.values.chained_log import ChainedLog, verify
from wardround.values.errors import RunError, WireError
from wardround.values.ids import SiteId
from wardround.wire.hub_address import HubAddress

from .loopback import TestHub, hub_in
from .requests_by_hand import TestSite, asked

ANNA = SiteId("st-anna")
CONFIRMING = """
import sys
from pathlib import Path
from wardround.hub.daemon.roster import Roster
from wardround.values.chained_log import ChainedLog
folder = Path(sys.argv[1])
roster = Roster(folder, ChainedLog(folder / "log"))
sys.stdin.readline()
for name, words in (line.split("=") for line in sys.argv[2:]):
    print(roster.confirm(name, words).identity)
"""


@pytest.fixture
def hub(tmp_path: Path) -> TestHub:
    return hub_in(tmp_path / "hub")


def waiting(hub: TestHub, folder: Path, name: str) -> TestSite:
    site = TestSite.new(folder, name)
    assert asked(hub.desk, site.enrolment(hub.invite(name).code, hub.card, hub.clock())).status == 200
    return site


@pytest.mark.slow
def test_two_processes_that_confirm_at_once_agree(hub: TestHub, tmp_path: Path) -> None:
    """Two persons of the hub's office at two terminals, and the service beside them."""
    sites = [waiting(hub, tmp_path, name) for name in ("a", "b", "c")]
    words = [f"{entry.name}={entry.words}" for entry in hub.roster.waiting().values()]
    command = [sys.executable, "-c", CONFIRMING, str(hub.folder)]
    runs = [
        subprocess.Popen([*command, *order], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for order in (words, words[::-1])
    ]
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    printed = [sorted(run.communicate(timeout=60)[0].split()) for run in runs]
    assert printed[0] == printed[1] == sorted(site.identity.public for site in sites)
    assert set(hub.roster.confirmed()) == {"a", "b", "c"}
    assert len(hub.logged("site-confirmed")) == 3
    assert verify(hub.folder / "log").problem == ""


def test_what_another_process_changed_is_seen_at_once(hub: TestHub, tmp_path: Path) -> None:
    """A revocation at one terminal has to hold in the running service without a restart."""
    site = waiting(hub, tmp_path, ANNA)
    service = Roster(hub.folder, ChainedLog(hub.folder / "log"))
    assert service.confirmed() == {}
    entry = hub.roster.confirm(ANNA, site.keys.words(hub.card))
    assert service.by_login(entry.login) == entry
    assert service.logins() == {ANNA: entry.login}
    hub.roster.revoke(ANNA)
    assert service.by_login(entry.login) is None
    assert service.key_cards() == {}


def test_confirming_and_revoking_again_change_nothing(hub: TestHub, tmp_path: Path) -> None:
    """A person presses the key twice."""
    words = waiting(hub, tmp_path, ANNA).keys.words(hub.card)
    first = hub.roster.confirm(ANNA, words)
    assert hub.roster.confirm(ANNA, words.upper()) == first
    revoked = hub.roster.revoke(ANNA)
    assert hub.roster.revoke(ANNA) == revoked
    assert [entry.code for entry in hub.log.entries()].count("site-revoked") == 1
    with pytest.raises(RunError, match="No hospital waits"):
        hub.roster.confirm(ANNA, words)


def test_names_of_nobody_are_named(hub: TestHub) -> None:
    """A person mistypes a name."""
    for change in (lambda: hub.roster.revoke("x"), lambda: hub.roster.turn_away("x"), lambda: hub.roster.confirm("x", "")):
        with pytest.raises(RunError, match="hospital"):
            change()


@pytest.mark.parametrize("name", ["hub", "federated", "", "a b", "../x", "a" * 64, "é"])
def test_nobody_is_invited_under_a_name_that_no_hospital_has(hub: TestHub, name: str) -> None:
    """It becomes a folder, a line of reports, and the receiver of messages."""
    with pytest.raises(WireError, match="no such invitation"):
        hub.invite(name)


def test_a_hospital_of_the_roster_is_not_invited_by_mistake(hub: TestHub, tmp_path: Path) -> None:
    """After a loss of its keys somebody says so; until its new words are compared the old keys hold."""
    old = waiting(hub, tmp_path, ANNA)
    hub.roster.confirm(ANNA, old.keys.words(hub.card))
    with pytest.raises(RunError, match="--again"):
        hub.invite(ANNA)
    new = TestSite.new(tmp_path, ANNA)
    code = hub.invite(ANNA, again=True).code
    assert asked(hub.desk, new.enrolment(code, hub.card, hub.clock())).state == "waiting"
    assert hub.roster.confirmed()[ANNA].identity == old.identity.public
    hub.roster.confirm(ANNA, new.keys.words(hub.card))
    assert hub.roster.confirmed()[ANNA].identity == new.identity.public
    assert old.identity.public in hub.roster.content().former


@pytest.mark.parametrize("days", [0, -1, 91])
def test_an_invitation_is_good_for_some_days_only(hub: TestHub, days: int) -> None:
    """One that is good for years lies in a mailbox for years."""
    with pytest.raises(RunError, match="1 to 90 days"):
        hub.invite(ANNA, days=days)


def test_a_damaged_roster_is_an_error_and_not_an_empty_one(hub: TestHub, tmp_path: Path) -> None:
    """An empty roster would let in nobody, and invite everybody anew."""
    waiting(hub, tmp_path, ANNA)
    path = hub.folder / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunError, match=r"roster.json is damaged"):
        hub.roster.confirmed()
    assert asked(hub.desk, b"{}").status == 403
    assert asked(hub.desk, TestSite.new(tmp_path, ANNA).enrolment("0" * 32, hub.card, hub.clock())).status == 503


ADDRESS = HubAddress.read("hub.example.org:443")


def test_keys_of_authority_and_port_are_for_the_hubs_user_alone(tmp_path: Path) -> None:
    """Whoever has the authority's key is the hub for every hospital's TLS."""
    path = server_certificate(tmp_path / "keys", ADDRESS)
    for one in (path, path.with_name(AUTHORITY)):
        assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("text", ["hub.example.org:443", "192.0.2.7:1", "[2001:db8::1]:8443"])
def test_the_certificate_is_one_that_strict_readers_take(tmp_path: Path, text: str) -> None:
    """Python 3.13 checks more of a certificate than earlier versions did."""
    address = HubAddress.read(text)
    path = server_certificate(tmp_path, address)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(path)
    client.load_verify_locations(cadata=Authority.at(tmp_path).certificate)
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    one, other, back, forth = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = server.wrap_bio(one, back, server_side=True)
    outside = client.wrap_bio(other, forth, server_hostname=address.host)
    for _ in range(4):
        for side in (outside, inside):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            one.write(forth.read())
            other.write(back.read())
    assert outside.getpeercert()


def test_the_certificate_is_renewed_in_time_and_the_authority_stays(tmp_path: Path) -> None:
    """Hospitals trust the authority, and hear nothing of a renewal; the service never meets an expired certificate."""
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    first = server_certificate(tmp_path, ADDRESS, lambda: begun).read_bytes()
    authority = Authority.at(tmp_path).certificate
    assert server_certificate(tmp_path, ADDRESS, lambda: begun + timedelta(days=250)).read_bytes() == first
    later = server_certificate(tmp_path, ADDRESS, lambda: begun + timedelta(days=300)).read_bytes()
    assert later != first
    assert server_expiry(tmp_path) == begun + timedelta(days=697)
    assert Authority.at(tmp_path).certificate == authority
    moved = server_certificate(tmp_path, HubAddress("other.example.org", 443), lambda: begun + timedelta(days=301)).read_bytes()
    assert moved != later
    issuer = x509.load_pem_x509_certificate(authority.encode())
    x509.load_pem_x509_certificate(moved).verify_directly_issued_by(issuer)


def test_a_certificate_of_another_authority_is_not_served(tmp_path: Path) -> None:
    """A restored key folder may hold half of one hub and half of another."""
    server_certificate(tmp_path / "a", ADDRESS)
    path = server_certificate(tmp_path / "b", ADDRESS)
    path.write_bytes((tmp_path / "a" / path.name).read_bytes())
    certificate = x509.load_pem_x509_certificate(server_certificate(tmp_path / "b", ADDRESS).read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(Authority.at(tmp_path / "b").certificate.encode()))


def test_a_damaged_authority_is_named(tmp_path: Path) -> None:
    """A new one in its place would shut every hospital out without a word."""
    server_certificate(tmp_path, ADDRESS)
    (tmp_path / AUTHORITY).write_bytes(b"nothing")
    with pytest.raises(RunError, match="every hospital has to be invited anew"):
        Authority.at(tmp_path)
