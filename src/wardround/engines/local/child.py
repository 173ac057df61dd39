"""A site's process as the coordinator's side sees it, and the environment that all of them start with."""

import os
import signal
from collections.abc import Callable, Mapping
from typing import IO, Protocol

END_WAIT_S = 10.0
"""A child whose orders have ended has this long to go before it is killed."""

REQUEST_BYTES = 64
GONE = b"gone"
"""The words between the coordinator and the fork server are short."""


class Child(Protocol):
    """orders: where its messages are written. answers: where its replies are read."""

    @property
    def orders(self) -> IO[bytes]: ...

    @property
    def answers(self) -> IO[bytes]: ...

    def has_ended(self) -> bool: ...

    def end(self, *, kill: bool = False) -> None:
        """Returns when the process is gone, within END_WAIT_S. kill: at once, also where it hangs or is being read from."""


Starter = Callable[[], Child]


def environment() -> Mapping[str, str]:
    """A site sets its own torch threads. Idle threads of OpenMP would spin on a busy machine; a pool of OpenBLAS, which starts
    with numpy, would only stand in the way of the other sites."""
    return {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}


def leave_interrupts_to_the_parent() -> None:
    """A terminal sends Ctrl-C to every process of a command; the parent's end is heard here anyway."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
