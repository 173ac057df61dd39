"""The invitation: readable, small, and as its hub wrote it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.crypto.identity import Identity
from wardround.crypto.sealing import SealingKey
from wardround.hub.daemon.certificates import Authority
from wardround.values.errors import WireError
from wardround.wire.hub_address import LONGEST as LONGEST_ADDRESS
from wardround.wire.hub_address import HubAddress
from wardround.wire.invitation import LONGEST, Invitation

HUB = Identity.new()
SEALING = SealingKey.new().public
EXPIRES_MS = 1_800_000_000_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> str:
    return Authority.at(tmp_path_factory.mktemp("keys")).certificate


def invitation(authority: str, address: str = "hub.example.org:443", name: str = "st-anna") -> Invitation:
    return Invitation.signed(HubAddress.read(address), name, bytes(range(16)), EXPIRES_MS, (HUB, SEALING), authority)


def test_an_invitation_is_read_as_it_was_written(authority: str) -> None:
    """Address, name and expiry stand in it in plain words, before anything else, and no line is broken by a mail program."""
    one = invitation(authority)
    assert Invitation.read(one.text.encode()) == one
    assert one.expires_ms == EXPIRES_MS - EXPIRES_MS % 60_000
    lines = one.text.splitlines()
    assert lines[4:7] == ['address = "hub.example.org:443"', 'hospital = "st-anna"', 'expires = "2027-01-15 08:00 UTC"']
    assert max(map(len, lines)) <= 80
    assert HUB.sign(b"")[:10] not in one.text


def test_the_longest_invitation_fits(authority: str) -> None:
    """A hub that has a long name must not find out when it invites its first hospital."""
    longest = invitation(authority, f"{'a' * 60}.{'b' * 32}.org:65535"[-LONGEST_ADDRESS:], "n" * 63)
    assert len(longest.address) == LONGEST_ADDRESS
    assert len(longest.text) <= LONGEST - 20


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "﻿" + text,
        lambda text: "\n\n" + text + "\n\n",
        lambda text: text.replace("\n", "  \n"),
    ],
)
def test_what_mail_programs_change_does_no_harm(authority: str, change) -> None:  # type: ignore[no-untyped-def]
    """The file goes through mail, editors and other systems."""
    one = invitation(authority)
    assert Invitation.read(change(one.text).encode()) == one


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("st-anna", "st-anne"),
        ("hub.example.org:443", "hub.example.com:443"),
        ("2027-01-15", "2028-01-15"),
        ("compare eight words", "compare nothing"),
        ("version = 1\n", "version = 1\nspare = 1\n"),
        ("version = 1\n", "version = 2\n"),
        ("version = 1\n", ""),
        ("000102", "000103"),
        ('"st-anna"', "'st-anna'"),
        ('hospital = "st-anna"', 'hospital = "hub"'),
        ('hospital = "st-anna"', 'hospital = "federated"'),
        pytest.param(HUB.public, Identity.new().public, id="identity"),
        pytest.param(SEALING, SealingKey.new().public, id="sealing"),
    ],
)
def test_an_invitation_that_was_changed_is_refused(authority: str, old: str, new: str) -> None:
    """What a person reads in the file is what it does, its comments included."""
    text = invitation(authority).text
    assert old in text
    with pytest.raises(WireError, match="invitation") as refusal:
        Invitation.read(text.replace(old, new).encode())
    assert "ask the hub" in str(refusal.value)
    assert "000102030405" not in str(refusal.value)


def test_another_hubs_signature_is_false(authority: str) -> None:
    """An invitation whose parts come from two hubs is nobody's."""
    one = invitation(authority)
    other = Identity.new().sign(b"wardround invitation 1\0")
    with pytest.raises(WireError, match="false one"):
        Invitation.read(one.revised(signature=other).text.encode())


@given(st.integers(0, 2000), st.integers(0, 255))
def test_no_byte_can_be_changed(authority: str, position: int, byte: int) -> None:
    """All of the text is either checked or a line's end."""
    one = invitation(authority)
    data = bytearray(one.text.encode())
    data[position % len(data)] = byte
    try:
        assert Invitation.read(bytes(data)) == one
        assert re.sub(rb"\s", b"", bytes(data)) == re.sub(rb"\s", b"", one.text.encode())
    except WireError:
        pass


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_file_is_refused_with_a_sentence(data: bytes) -> None:
    """A person gives the wrong file, and reads what to do."""
    with pytest.raises(WireError, match="no invitation"):
        Invitation.read(data)


@pytest.mark.parametrize("data", [b"a=" + b"[" * 4000, b"a." * 2000 + b"a=1", b"x" * 5000, b'signature="""' + b"\n" * 4000])
def test_deep_and_long_files_are_refused(data: bytes) -> None:
    """Such files make readers fail in other ways."""
    with pytest.raises(WireError, match="no invitation"):
        Invitation.read(data)


@pytest.mark.parametrize("text", ["hub.example.org:443", "192.0.2.1:8443", "[2001:db8::1]:443", "hub:1", "a-b.c:65535"])
def test_an_address_has_one_spelling(text: str) -> None:
    """It stands in the certificate, and is compared there sign by sign."""
    assert str(HubAddress.read(text)) == text


NO_ADDRESSES = """
    hub hub: hub:0 hub:65536 hub:0443 Hub:443 hub.:443 -hub:443 2001:db8::1:443 [hub]:443 [2001:DB8::1]:443 [192.0.2.1]:443
    1.2.3:443 192.0.2.01:443 hub/x:443 [fe80::1%0]:1 ä.org:443
    """


@pytest.mark.parametrize(
    "text",
    [*NO_ADDRESSES.split(), "", "hub:443 ", "h\nub:443", "a" * 64 + ":443", f"{'a' * 60}.{'b' * 60}:443"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Of two readers each could find another host in it."""
    with pytest.raises(WireError, match="no address of a hub"):
        HubAddress.read(text)
