"""pydicom, pynetdicom and highdicom, loaded so that they are silent: no socket at import, no header's value in a log or a
warning.

`requests` is what they import only because it lies there, and its urllib3 binds a socket while it is imported. Their loggers
quote names of patients ("value of argument patient_name is potentially invalid"), and so do pydicom's warnings.
"""

import logging
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import ModuleType
from typing import Any

from wardround.values.errors import MissingExtraError
from wardround.values.telemetry import library_absent

_LIBRARIES = ("pydicom", "pynetdicom", "highdicom", "dicomweb_client")


@cache
def need_pydicom() -> ModuleType:
    """pydicom; MissingExtraError where it is not installed."""
    try:
        with library_absent("requests"):
            import pydicom
            import pydicom.data.download  # it would import requests
    except ImportError:
        raise _absent("pydicom") from None
    mute()
    return pydicom


@cache
def need_highdicom() -> ModuleType:
    """highdicom; MissingExtraError where it is not installed."""
    need_pydicom()
    try:
        with library_absent("requests"), silent():
            import highdicom
            import highdicom.sc
            import highdicom.sr
    except ImportError:
        raise _absent("highdicom") from None
    mute()
    return highdicom


@cache
def need_pynetdicom() -> ModuleType:
    """pynetdicom; MissingExtraError where it is not installed."""
    need_pydicom()
    try:
        with library_absent("requests"), silent():
            import pynetdicom
    except ImportError:
        raise _absent("pynetdicom") from None
    # Its own handlers write every element of what comes in to a log, and read it again for that.
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"
    pynetdicom._config.LOG_REQUEST_IDENTIFIERS = False
    pynetdicom._config.LOG_RESPONSE_IDENTIFIERS = False
    setattr(pynetdicom.transport.AssociationSocket, "_shutdown_socket", _shutdown_socket)  # noqa: B010  (it is a method to mypy)
    mute()
    return pynetdicom


def _shutdown_socket(wrapper: Any) -> None:
    """In place of pynetdicom's, which leaves a socket open where the other side has gone first: it cannot be shut down then."""
    plain = wrapper.socket
    if plain is not None:
        with suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)
        plain.close()


def mute() -> None:
    """No word of these libraries reaches a log of ours: what happened is said in our own words, without a value."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


def ignore_warnings_for_good() -> None:
    """For a service: `silent` changes filters of the whole process, and threads would undo each other's."""
    for name in _LIBRARIES:
        warnings.filterwarnings("ignore", module=rf"{name}(\..*)?")


@contextmanager
def silent() -> Iterator[None]:
    """Without warnings: pydicom's quote the values of elements, which may name a patient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _absent(library: str) -> MissingExtraError:
    return MissingExtraError(f"DICOM beside a PACS needs {library}", hint="pip install 'wardround[clinic]'")
