"""The listener for C-STORE: who is heard, what a status says, and what a hostile caller can do."""

import io
import ipaddress
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import AE
from pynetdicom.sop_class import ComputedRadiographyImageStorage, Verification  # type: ignore[attr-defined]

from wardround.clinic.dicom.listener import Listener, Received, listening
from wardround.clinic.place.dicom_settings import DicomSection, PeerSection
from wardround.values.errors import DataError, RunError

from .films import SENDER, film, pixels, tool

HERE = "127.0.0.1"


class Desk:
    """Keeps what comes, and refuses what it is told to."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.refusal: Exception | None = None
        self.working: threading.Event | None = None
        self.told: list[tuple[str, str]] = []

    def take(self, film_received: Received) -> None:
        if self.refusal is not None:
            raise self.refusal
        if self.working is not None:
            self.working.wait(5)
        self.received.append(film_received)

    def tell(self, code: str, text: str) -> None:
        self.told.append((code, text))

    @property
    def codes(self) -> set[str]:
        return {code for code, _ in self.told}


def section(**settings: Any) -> DicomSection:
    return DicomSection(**{"peers": (PeerSection(ae_title=SENDER, addresses=(HERE,)),), "timeout_s": 5.0, **settings})


@contextmanager
def open_desk(**settings: Any) -> Iterator[tuple[Desk, Listener]]:
    desk = Desk()
    with listening(section(**settings), desk.take, desk.tell, port=0) as listener:
        yield desk, listener
    assert not any("Mustermann" in text or "4711" in text for _, text in desk.told)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Desk, Listener]]:
    with open_desk(timeout_s=3.0) as opened:  # so long a place stays taken after a call that broke off
        yield opened


@contextmanager
def calling(port: int, title: str = SENDER, called: str = "WARDROUND", **settings: Any) -> Iterator[Any]:
    entity = AE(ae_title=title)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = 10
    for context in (ComputedRadiographyImageStorage, Verification):
        entity.add_requested_context(context)
    association = entity.associate(HERE, port, ae_title=called, **settings)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def send(port: int, content: bytes, **settings: Any) -> tuple[int, str]:
    """Status and comment of a film that was sent."""
    with calling(port, **settings) as association:
        assert association.is_established
        status = association.send_c_store(pydicom.dcmread(io.BytesIO(content)))
    return status.get("Status"), str(status.get("ErrorComment", ""))


def echoes(port: int) -> bool:
    with calling(port) as association:
        return bool(association.is_established and association.send_c_echo().get("Status") == 0)


def test_a_film_arrives_as_the_bytes_that_were_sent(running: tuple[Desk, Listener], tmp_path: Path) -> None:
    """dcmtk sends it: what the decoder reads must be the sender's film, not one that a library wrote anew."""
    desk, listener = running
    path = tmp_path / "film.dcm"
    path.write_bytes(film(number=7))
    command = [tool("storescu"), "-aet", SENDER, "-aec", "WARDROUND", HERE, str(listener.port), str(path)]
    subprocess.run(command, check=True, timeout=30, capture_output=True)
    came = desk.received[-1]
    assert (came.sop_instance_uid, came.sender) == ("1.2.276.0.7.7.3", SENDER)
    assert pydicom.dcmread(io.BytesIO(came.content)) == pydicom.dcmread(path)


@pytest.mark.parametrize(
    ("refusal", "status", "comment"),
    [
        (None, 0x0000, ""),
        (DataError("The film has no pixels"), 0xC000, "The film has no pixels"),
        (RunError("No model is in service at this clinic"), 0xA700, "No model is in service at this clinic"),
        (OSError(28, "No space left on device"), 0xA700, "The film could not be stored"),
        (KeyError("Mustermann"), 0x0110, "The film could not be stored"),
    ],
)
def test_a_status_says_what_the_sender_can_do(
    running: tuple[Desk, Listener], refusal: Exception | None, status: int, comment: str
) -> None:
    """An archive sends again what may succeed later, and shows a person what never will."""
    desk, listener = running
    before = len(desk.received)
    desk.refusal = refusal
    try:
        assert send(listener.port, film(number=8)) == (status, comment)
    finally:
        desk.refusal = None
    assert len(desk.received) == before + (refusal is None)


def test_a_film_that_its_command_names_otherwise_is_not_taken(running: tuple[Desk, Listener]) -> None:
    """It would be acknowledged under a name that nobody asks for again."""
    desk, listener = running
    before = len(desk.received)
    with calling(listener.port) as association:
        other = pydicom.dcmread(io.BytesIO(film(number=9)))
        other.SOPInstanceUID = "1.2.3.4"
        request_uid, association_store = "1.2.276.0.7.9.3", association.send_c_store
        patched = film_with_command_uid(other, request_uid)
        assert association_store(patched).Status == 0xA900
    assert len(desk.received) == before


def film_with_command_uid(dataset: Any, uid: str) -> Any:
    """pynetdicom takes the command's UID from the data set: here the data set holds a second one, which is the film's."""

    class Renamed(pydicom.Dataset):
        @property
        def SOPInstanceUID(self) -> str:
            return uid

    renamed = Renamed(dataset)
    renamed.file_meta = dataset.file_meta
    return renamed


@pytest.mark.parametrize(("title", "called"), [("SOMEBODY", "WARDROUND"), (SENDER, "OTHER"), ("", "WARDROUND")])
def test_an_unknown_title_is_rejected(running: tuple[Desk, Listener], title: str, called: str) -> None:
    """Only machines that the hospital named may send films."""
    desk, listener = running
    with calling(listener.port, title or "X", called) as association:
        assert association.is_rejected and not association.is_established
    assert "rejected" in desk.codes


def test_nobody_is_heard_where_nobody_is_named() -> None:
    """An empty list of peers must not mean everybody, as it does in the library."""
    with open_desk(peers=()) as (desk, listener):
        with socket.create_connection((HERE, listener.port), timeout=5) as caller:
            assert caller.recv(100) == b""
        assert desk.codes == {"listening", "unknown-address"}


def test_a_known_title_from_another_address_is_not_authorised() -> None:
    """A title is no secret: everybody in the network can claim it."""
    peers = (PeerSection(ae_title=SENDER, addresses=("10.0.0.0/8",)), PeerSection(ae_title="OTHER", addresses=(HERE,)))
    with open_desk(peers=peers) as (desk, listener):
        assert send(listener.port, film()) == (0x0124, "This AE title may not call from this address")
        with calling(listener.port) as association:
            assert association.send_c_echo().Status == 0x0124
        assert desk.received == [] and "not-authorised" in desk.codes


REQUEST = (
    struct.pack(">BBL", 1, 0, 68) + struct.pack(">HH", 1, 0) + b"WARDROUND".ljust(16) + SENDER.encode().ljust(16) + bytes(32)
)


def hangs_up(caller: socket.socket, within_s: float) -> bool:
    """Whether the other side ends the connection in time, whatever it says before."""
    caller.settimeout(within_s)
    try:
        while caller.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.parametrize("kind", [1, 4, 7])
def test_a_pdu_of_four_gigabytes_is_not_waited_for(running: tuple[Desk, Listener], kind: int) -> None:
    """The library would gather it all."""
    desk, listener = running
    with socket.create_connection((HERE, listener.port), timeout=5) as caller:
        caller.sendall(struct.pack(">BBL", kind, 0, 0xFFFFFFFF) + bytes(1000))
        assert hangs_up(caller, 3)
    assert "pdu-too-long" in desk.codes and echoes(listener.port)


def test_a_film_that_is_too_large_is_cut_off() -> None:
    """Its pieces are small, each as long as was agreed, and there is no end of them."""
    with open_desk(largest_mb=1) as (desk, listener):
        with calling(listener.port) as association:
            status = association.send_c_store(pydicom.dcmread(io.BytesIO(film(pixels(1, 1800)))))
            assert "Status" not in status and wait_for(lambda: not association.is_established, 5)
        assert "film-too-large" in desk.codes and desk.received == []
        assert send(listener.port, film(pixels(1, 900)))[0] == 0


def test_films_without_waiting_for_answers_are_cut_off() -> None:
    """The library would queue all of them in memory while the first is worked on."""
    with open_desk() as (desk, listener):
        working = threading.Event()
        desk.working = working
        with calling(listener.port) as association:
            storage = ComputedRadiographyImageStorage
            context = next(one for one in association.accepted_contexts if one.abstract_syntax == storage)
            data = film(number=3)
            body = data[data.index(b"\x08\x00\x05\x00CS") :]
            for _ in range(12):
                for piece in (pdata(context.context_id, store_command("1.2.276.0.7.3.3"), 3), pdata(context.context_id, body, 2)):
                    association.dul.socket.send(piece)
            ended = wait_for(lambda: not association.is_established, 5)
        working.set()
        assert ended and len(desk.received) <= 4


def pdata(context: int, fragment: bytes, control: int) -> bytes:
    item = struct.pack(">LBB", len(fragment) + 2, context, control) + fragment
    return struct.pack(">BBL", 4, 0, len(item)) + item


def store_command(uid: str) -> bytes:
    """A C-STORE request in Implicit VR Little Endian."""
    kind = b"1.2.840.10008.5.1.4.1.1.1\0"
    name = uid.encode() + b"\0" * (len(uid) % 2)
    elements = [(0x0002, kind), (0x0100, b"\1\0"), (0x0110, b"\1\0"), (0x0700, b"\0\0"), (0x0800, b"\1\0"), (0x1000, name)]
    content = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHLL", 0, 0, 4, len(content)) + content


def wait_for(condition: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_caller_that_says_nothing_or_little_is_cut_off() -> None:
    """Eight of them would hold every place for good."""
    with open_desk(timeout_s=0.5) as (_, listener):
        with (
            socket.create_connection((HERE, listener.port), timeout=5) as silent,
            socket.create_connection((HERE, listener.port), timeout=5) as slow,
        ):
            slow.sendall(REQUEST[:20])
            assert hangs_up(silent, 4) and hangs_up(slow, 4)
        assert wait_for(lambda: echoes(listener.port), 20)


@pytest.mark.slow
def test_more_callers_than_there_are_places_are_sent_away() -> None:
    """Each holds a thread, and each may hold a film in memory."""
    with open_desk(associations=2, timeout_s=1.0) as (desk, listener):
        callers = [socket.create_connection((HERE, listener.port), timeout=5) for _ in range(12)]
        assert wait_for(lambda: "too-many-callers" in desk.codes, 5)
        assert len(listener.server.active_associations) <= 5
        for caller in callers:
            caller.close()
        assert wait_for(lambda: not listener.server.active_associations, 10)
        assert wait_for(lambda: echoes(listener.port), 20)  # a busy machine is slower than the listener's patience


@pytest.mark.slow
@given(noise=st.binary(min_size=1, max_size=300), kind=st.integers(0, 8), position=st.integers(0, 73))
def test_noise_ends_a_call_and_nothing_else(running: tuple[Desk, Listener], noise: bytes, kind: int, position: int) -> None:
    """Everything that a library of the network gets wrong with bytes would end the listener for every sender."""
    desk, listener = running
    framed = struct.pack(">BBL", kind, 0, len(noise)) + noise
    changed = REQUEST[:position] + noise[:8] + REQUEST[position + len(noise[:8]) :]
    before = len(desk.received)
    for content in (noise, framed, changed):
        with socket.create_connection((HERE, listener.port), timeout=5) as caller:
            with suppress(OSError):  # it may have hung up already
                caller.sendall(content)
                caller.shutdown(socket.SHUT_WR)
            assert hangs_up(caller, 8)
    assert len(desk.received) == before


@pytest.mark.slow
def test_after_all_that_the_listener_hears(running: tuple[Desk, Listener]) -> None:
    """And no thread of an ended call is left."""
    _, listener = running
    assert wait_for(lambda: not listener.server.active_associations, 15)
    assert wait_for(lambda: echoes(listener.port), 20)


def test_a_port_that_is_taken_is_said() -> None:
    """The clinic starts without it, or not at all: silently it must not."""
    with open_desk() as (_, listener):
        with (
            pytest.raises(RunError, match="Nothing can listen for DICOM") as refusal,
            listening(section(), print, print, port=listener.port),
        ):
            pass
        assert "choose another port" in refusal.value.hint


def certificate(folder: Path, name: str, issuer: tuple[x509.Name, Any] | None = None) -> tuple[Path, Path, tuple[x509.Name, Any]]:
    """Files of a certificate and its key; of an authority where nobody issues it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer[0] if issuer else subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    alternative: x509.GeneralName = x509.DNSName(name)
    if name[0].isdigit():
        alternative = x509.IPAddress(ipaddress.ip_address(name))
    builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
    signed = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths[1].write_bytes(key.private_bytes(*private))
    return *paths, (subject, key)


def test_with_tls_only_callers_of_the_authority_are_heard(tmp_path: Path) -> None:
    """A film in the clear can be read by everybody on the way."""
    authority, _, issuer = certificate(tmp_path, "authority")
    server, server_key, _ = certificate(tmp_path, "clinic", issuer)
    client, client_key, _ = certificate(tmp_path, "modality", issuer)
    with open_desk(tls_certificate=server, tls_key=server_key, tls_ca=authority, timeout_s=3.0) as (desk, listener):
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(client, client_key)
        assert send(listener.port, film(), tls_args=(context, "clinic"))[0] == 0
        with socket.create_connection((HERE, listener.port), timeout=5) as holding:  # says nothing: nobody else may wait for it
            assert send(listener.port, film(number=2), tls_args=(context, "clinic"))[0] == 0
            holding.close()
        unknown = ssl.create_default_context(cafile=str(authority))
        with calling(listener.port, tls_args=(unknown, "clinic")) as association:
            assert not association.is_established
        with calling(listener.port) as association:
            assert not association.is_established
        assert len(desk.received) == 2 and "no-tls" in desk.codes
