"""An association that we begin with a machine of clinic.toml: in the clear or over TLS, with limits, and in silence."""

import contextlib
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from wardround.clinic.dicom.loading import need_pynetdicom, silent
from wardround.clinic.dicom.uids import IMPLEMENTATION


class Callee(Protocol):
    """Whom we call: a section of the settings."""

    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def ae_title(self) -> str: ...
    @property
    def tls_ca(self) -> Path | None: ...
    @property
    def tls_certificate(self) -> Path | None: ...
    @property
    def tls_key(self) -> Path | None: ...


class NotHeard(Exception):
    """There is no association; the text says why, in words that may be shown."""


@contextlib.contextmanager
def association(callee: Callee, ae_title: str, classes: Sequence[str], timeout_s: float) -> Iterator[Any]:
    """An established one, for these SOP classes. ae_title: ours. NotHeard where there is none."""
    need_pynetdicom()
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
    from pynetdicom import AE

    entity = AE(ae_title=ae_title)
    entity.implementation_class_uid, entity.implementation_version_name = IMPLEMENTATION, "WARDROUND"
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = timeout_s
    for kind in classes:
        entity.add_requested_context(kind, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    try:
        tls = None if callee.tls_ca is None else (_tls_context(callee), callee.address)
        with silent():
            opened = entity.associate(callee.address, callee.port, ae_title=callee.ae_title, tls_args=tls)
    except (OSError, ValueError, RuntimeError) as error:
        raise NotHeard(f"cannot be reached: {getattr(error, 'strerror', '') or type(error).__name__}") from None
    if not opened.is_established:
        raise NotHeard("rejected the association" if opened.is_rejected else "cannot be reached, or broke off")
    try:
        yield opened
    finally:
        with contextlib.suppress(Exception):
            opened.release()


def _tls_context(callee: Callee) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(callee.tls_ca))
    if callee.tls_certificate is not None:
        context.load_cert_chain(str(callee.tls_certificate), str(callee.tls_key))
    return context
