"""A DICOM server that reads no more than it was told to: what pynetdicom leaves open is closed here.

    accept --address--> TLS, in the caller's own thread --PDU no longer than it may be, and in time--> message no longer, one at a
    time

pynetdicom reads a PDU as long as its header says (4 GiB), waits for it without end, gathers any number of PDUs into a message,
and queues any number of messages. A TLS handshake would hold up everybody else. Callers from other addresses get no byte back.

Imported after `loading.need_pynetdicom`, and never at the start of a program.
"""

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pynetdicom import transport

PDU_BYTES = 64 << 10
"""What we tell callers that a PDU may hold. Association requests, which come before that, may be as long."""
_SLOWEST = 4096.0
"""Bytes in a second; a caller that gives fewer holds a place for others."""


@dataclass(frozen=True)
class Bounds:
    """message_bytes: of one film, with its commands. callers: at once. silence_s: before a caller is cut off.
    known: whether an address may call at all. tell: a word and a sentence for the log."""

    message_bytes: int
    callers: int
    silence_s: float
    known: Callable[[str], bool]
    tell: Callable[[str, str], None]


class BoundedSocket(transport.AssociationSocket):
    """Takes over what a plain one was given. A caller that breaks a bound is cut off: reading raises OSError."""

    def __init__(self, plain: transport.AssociationSocket, bounds: Bounds) -> None:
        # Not the parent's own: it would tell the association a second time that somebody has connected.
        self.__dict__.update(plain.__dict__)
        self.bounds, self.gathered, self.cut = bounds, 0, ""

    def recv(self, nr_bytes: int) -> bytearray:
        self.gathered += nr_bytes
        if nr_bytes > PDU_BYTES + 6:
            self._refuse("pdu-too-long", "A caller announced a PDU that is longer than was agreed.")
        if self.gathered > self.bounds.message_bytes:
            self._refuse("film-too-large", "A caller sent a film that is larger than is taken.")
        if self.cut:
            self._refuse("too-many-messages", self.cut)
        received, ends = bytearray(), time.monotonic() + self.bounds.silence_s + nr_bytes / _SLOWEST
        while len(received) < nr_bytes:
            left_s = ends - time.monotonic()
            if self.socket is None or left_s <= 0:
                raise OSError("the caller is too slow, or gone")
            self.socket.settimeout(left_s)
            piece = self.socket.recv(min(nr_bytes - len(received), 1 << 16))
            if not piece:
                break
            received += piece
        return received

    def message_is_whole(self, waiting: int) -> None:
        """The next message may begin. waiting: messages that were read and not yet worked on."""
        self.gathered = 0
        if waiting > 1:  # nobody who waits for our answers has two on the way
            self.cut = "A caller sent films without waiting for answers."

    def _refuse(self, code: str, text: str) -> None:
        self.bounds.tell(code, text)
        raise OSError(code)


class _Handler(transport.RequestHandler):
    def _create_association(self) -> Any:
        association = super()._create_association()
        association.dul.socket = BoundedSocket(association.dul.socket, self.server.bounds)  # type: ignore[attr-defined, arg-type]
        return association


class BoundedServer(transport.ThreadedAssociationServer):
    """bounds: what no caller may pass."""

    daemon_threads = True

    def __init__(self, *arguments: Any, bounds: Bounds, **settings: Any) -> None:
        self.bounds, self._pending, self._count = bounds, 0, threading.Lock()
        super().__init__(*arguments, **{**settings, "request_handler": _Handler})

    def get_request(self) -> Any:
        assert self.socket is not None
        return self.socket.accept()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        address = str(client_address[0])
        if not self.bounds.known(address):
            self.bounds.tell("unknown-address", f"A caller from {address} was not heard: it is nobody's of [[dicom.peers]].")
            return False
        with self._count:
            if self._pending + len(self.active_associations) >= 2 * self.bounds.callers:
                self.bounds.tell("too-many-callers", f"A caller from {address} was not heard: too many are here already.")
                return False
            self._pending += 1
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            request.settimeout(self.bounds.silence_s)
            if self.ssl_context is not None:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except (OSError, ssl.SSLError, ValueError):
            self.bounds.tell("no-tls", f"A caller from {client_address[0]} did not come to an agreement over TLS.")
            self.shutdown_request(request)
        finally:
            with self._count:
                self._pending -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Not on standard error: a traceback may show what a caller sent."""
        self.bounds.tell("caller-broken", f"A call from {client_address[0]} broke off.")


def tls_context(certificate: str, key: str, authority: str | None) -> ssl.SSLContext:
    """TLS 1.2 and later. authority: callers must show a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if authority is not None:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
