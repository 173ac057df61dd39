"""Libraries that would report their use to their makers, and how each of them is told not to.

Such a library reads its environment variable once, while it is imported: onnxruntime 1.29 and later then leaves a device id and a
queue of events in the user's cache folder, and asks the network for its maker's host. So the variables are set the moment
`wardround` is imported, before any library, and every process that is started from this one inherits them.
"""

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

OFF = {"ORT_DISABLE_TELEMETRY": "1", "FLWR_TELEMETRY_ENABLED": "0"}
"""The variable of onnxruntime and of Flower, with the value that switches its telemetry off."""


def switch_off_telemetry() -> None:
    """Switches it off for this process and its children, except where the user has set a variable.

    Warns where onnxruntime is loaded already and was not told: its telemetry cannot be stopped then.
    """
    if "onnxruntime" in sys.modules and "ORT_DISABLE_TELEMETRY" not in os.environ:
        warnings.warn(
            "onnxruntime was imported before wardround, so its telemetry may be running; import wardround first, or set "
            "ORT_DISABLE_TELEMETRY=1 in the environment",
            stacklevel=2,
        )
    for variable, value in OFF.items():
        os.environ.setdefault(variable, value)


_ONE_AT_A_TIME = threading.RLock()
"""What is absent is so for every thread."""


@contextmanager
def library_absent(name: str) -> Iterator[None]:
    """Within the block, importing this library fails as if it were not installed, unless it is loaded already.

    For a library that another one imports only because it lies there. `requests` brings urllib3, which binds a socket while it is
    imported, to see whether the machine speaks IPv6: a firewall's log would tell of it.
    """
    with _ONE_AT_A_TIME:
        if name in sys.modules:
            yield
            return
        sys.modules[name] = None  # type: ignore[assignment]  # what Python itself takes for "there is none"
        try:
            yield
        finally:
            del sys.modules[name]


@contextmanager
def no_library_absent() -> Iterator[None]:
    """Within the block no other thread makes a library absent: for who needs one that others leave out."""
    with _ONE_AT_A_TIME:
        yield
