"""C-STORE and C-ECHO: films that a PACS or a modality sends, each through the intake and its decoders to a stored, answered case.

    caller --known AE title, known address, TLS--> association --C-STORE--> take(film) --> Success: the case is on the disk

A status says what the sender can do (PS3.4 B.2.3, PS3.7 C):

    0000 Success              the case and its answer are stored, and its results are in the outbox
    0117 Invalid SOP Instance the film's UID is no UID
    0124 Not authorised       this AE title may not call from this address
    0110 Processing failure   nothing is stored, and this clinic does not know why
    A700 Out of resources     nothing is stored; send it again later: no model in service, too much work, a full disk
    A900 Does not match       the command names another object than the film is
    C000 Cannot understand    this film will never be answered: damaged, another modality, no pixels; the comment says which
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from wardround.clinic.dicom.loading import ignore_warnings_for_good, need_pynetdicom
from wardround.clinic.dicom.uids import IMPLEMENTATION, is_uid
from wardround.clinic.place.dicom_settings import DicomSection, address_among
from wardround.values.errors import DataError, RunError, WardroundError

SUCCESS, BAD_UID, NOT_AUTHORISED, LATER, MISMATCH, NEVER = 0x0000, 0x0117, 0x0124, 0xA700, 0xA900, 0xC000
FAILURE = 0x0110
_COMMENT = 64

STORAGE_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, for processing
    "1.2.840.10008.5.1.4.1.1.1.2",  # Digital Mammography, for presentation
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiographic
    "1.2.840.10008.5.1.4.1.1.12.2",  # X-Ray Radiofluoroscopic
    "1.2.840.10008.5.1.4.1.1.77.1.4",  # VL Photographic
    "1.2.840.10008.5.1.4.1.1.77.1.5.1",  # Ophthalmic Photography, 8 bit
)
"""Pictures of one frame. What the model reads of them its contract says."""
VERIFICATION = "1.2.840.10008.1.1"
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE Lossless
)
"""Not the deflated one: it is unpacked whole before a field of it can be read."""


@dataclass(frozen=True)
class Received:
    """A film as it came. content: a DICOM file. sender: the caller's AE title."""

    content: bytes
    sop_instance_uid: str
    sender: str


Take = Callable[[Received], object]
"""Stores the case and what follows from it, durably. WardroundError where it cannot: DataError means never, others later."""


@dataclass(frozen=True)
class Listener:
    """A running one. port: where it listens."""

    port: int
    server: Any

    def close(self) -> None:
        self.server.shutdown()
        for association in self.server.active_associations:
            association.abort()


@contextlib.contextmanager
def listening(
    settings: DicomSection, take: Take, tell: Callable[[str, str], None], *, port: int | None = None
) -> Iterator[Listener]:
    """Listens in threads of its own within the block. tell: a word and a sentence for the log, neither of which names a patient.

    Raises RunError where the port is taken or a TLS file cannot be read. port: in place of that of the settings; 0 for any.
    """
    need_pynetdicom()
    ignore_warnings_for_good()
    server = _bound(settings, take, tell, settings.port if port is None else port)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="clinic-dicom", daemon=True).start()
    listener = Listener(server.server_address[1], server)
    tell("listening", f"{settings.ae_title} listens at {settings.address}, port {listener.port}.")
    try:
        yield listener
    finally:
        listener.close()


def _bound(settings: DicomSection, take: Take, tell: Callable[[str, str], None], port: int) -> Any:
    from pynetdicom import AE, evt

    from wardround.clinic.dicom.bounded_server import PDU_BYTES, BoundedServer, Bounds, tls_context

    entity = AE(ae_title=settings.ae_title)
    entity.implementation_class_uid, entity.implementation_version_name = IMPLEMENTATION, "WARDROUND"
    entity.maximum_pdu_size, entity.maximum_associations = PDU_BYTES, settings.associations
    entity.require_called_aet = True
    entity.require_calling_aet = [peer.ae_title for peer in settings.peers] or ["\x20NOBODY"]
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = settings.timeout_s
    entity.add_supported_context(VERIFICATION)
    for storage_class in STORAGE_CLASSES:
        entity.add_supported_context(storage_class, list(TRANSFER_SYNTAXES))
    networks = tuple(network for peer in settings.peers for network in peer.addresses)
    # The command and the headers of PDUs come on top of the film.
    bounds = Bounds(
        (settings.largest_mb << 20) + (1 << 20),
        settings.associations,
        settings.timeout_s,
        lambda address: address_among(address, networks),
        tell,
    )
    handlers: list[Any] = [
        (evt.EVT_C_STORE, _stored, [settings, take, tell]),
        (evt.EVT_C_ECHO, _echoed, [settings, tell]),
        (evt.EVT_DIMSE_RECV, _whole),
        (evt.EVT_REJECTED, _rejected, [tell]),
    ]
    try:
        tls = None
        if settings.tls_certificate is not None:
            authority = None if settings.tls_ca is None else str(settings.tls_ca)
            tls = tls_context(str(settings.tls_certificate), str(settings.tls_key), authority)
        server = entity.make_server(
            (settings.address, port), evt_handlers=handlers, ssl_context=tls, server_class=BoundedServer, bounds=bounds
        )
    except OSError as error:
        raise RunError(
            f"Nothing can listen for DICOM at {settings.address}, port {port}",
            found=error.strerror or type(error).__name__,
            hint="choose another port under [dicom] in clinic.toml, end what listens there, or correct the TLS files",
        ) from error
    entity._servers.append(server)
    return server


def _whole(event: Any) -> None:
    event.assoc.dul.socket.message_is_whole(event.assoc.dimse.msg_queue.qsize())


def _rejected(event: Any, tell: Callable[[str, str], None]) -> None:
    tell(
        "rejected", f"An association from {event.assoc.requestor.address} was rejected: an unknown AE title, or too many callers."
    )


def _echoed(event: Any, settings: DicomSection, tell: Callable[[str, str], None]) -> int:
    return SUCCESS if _sender(event, settings, tell) else NOT_AUTHORISED


def _sender(event: Any, settings: DicomSection, tell: Callable[[str, str], None]) -> str:
    """The caller's AE title; "" where it may not call from where it does."""
    title, address = event.assoc.requestor.ae_title.strip(), event.assoc.requestor.address
    if any(peer.holds(title, address) for peer in settings.peers):
        return str(title)
    tell("not-authorised", f"A caller from {address} used the AE title of another address.")
    return ""


def _stored(event: Any, settings: DicomSection, take: Take, tell: Callable[[str, str], None]) -> Any:
    sender = _sender(event, settings, tell)
    if not sender:
        return _status(NOT_AUTHORISED, "This AE title may not call from this address")
    uid = str(event.request.AffectedSOPInstanceUID or "")
    if not is_uid(uid):
        tell("bad-uid", f"{sender} sent a film whose UID is none.")
        return _status(BAD_UID, "The SOP Instance UID is none")
    try:
        content = event.encoded_dataset()
        if _instance(content) != uid:
            return _status(MISMATCH, "The command names another SOP Instance")
        take(Received(content, uid, sender))
    except DataError as error:
        tell("refused", f"A film of {sender} was refused. {error.what}.")
        return _status(NEVER, error.what)
    except WardroundError as error:
        tell("not-stored", f"A film of {sender} was not stored. {error.what}.")
        return _status(LATER, error.what)
    except OSError as error:
        tell("not-stored", f"A film of {sender} was not stored: {error.strerror or type(error).__name__}.")
        return _status(LATER, "The film could not be stored")
    except Exception as error:  # noqa: BLE001  the sender keeps the film, and no message of a library reaches a log
        tell("not-stored", f"A film of {sender} was not stored: {type(error).__name__}.")
        return _status(FAILURE, "The film could not be stored")
    return SUCCESS


def _instance(content: bytes) -> str:
    from wardround.clinic.dicom.film_header import film_header

    return film_header(content).sop_instance_uid


def _status(code: int, comment: str) -> Any:
    from pydicom.dataset import Dataset

    status = Dataset()
    status.Status = code
    status.ErrorComment = comment.encode("ascii", "replace").decode()[:_COMMENT]
    return status
