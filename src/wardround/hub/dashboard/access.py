"""Who may see the dashboard, and from which page a request may come.

    wardround hub dashboard --login code, in the address after '#', which no browser sends--> page --POST /login--> session
    every request after it: Authorization: Bearer SESSION

There is no cookie: no other page can make a browser send a session, and no other port of this machine is shown one. A code is
good once, and lies in a file of the hub's user alone. The name in the Host header must be one of ours, else a stranger's page
whose name leads to this machine could read along (DNS rebinding).
"""

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from wardround.values.durable import write_atomic
from wardround.values.private_files import read_private

CODE_FILE = "dashboard.code"
SESSION_S = 12 * 3600.0
MOST_SESSIONS = 64
_LONGEST = 200


class Sessions:
    """The login code of the moment, and the sessions that were opened with codes. folder: the hub's."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = folder / CODE_FILE, clock
        self._lock = threading.Lock()
        self._ends: dict[str, float] = {}
        self._renew()

    def login(self, code: str) -> str | None:
        """A new session where this is the code of the moment, which is burnt by it; else None."""
        with self._lock:
            if not hmac.compare_digest(code.encode(), self._code.encode()):
                return None
            self._renew()
            session = secrets.token_hex(32)
            self._drop_old()
            self._ends[session] = self._clock() + SESSION_S
            return session

    def is_open(self, session: str) -> bool:
        with self._lock:
            end = next((end for one, end in self._ends.items() if hmac.compare_digest(one.encode(), session.encode())), None)
            return end is not None and self._clock() < end

    def _renew(self) -> None:
        self._code = secrets.token_hex(32)
        write_atomic(self._path, self._code.encode(), private=True)

    def _drop_old(self) -> None:
        now = self._clock()
        kept = sorted(((end, one) for one, end in self._ends.items() if end > now), reverse=True)[: MOST_SESSIONS - 1]
        self._ends = {one: end for end, one in kept}


def login_code(folder: Path) -> str | None:
    """The code of the moment, as the running dashboard wrote it; None where none ever ran."""
    content = read_private(folder / CODE_FILE, _LONGEST)
    return None if content is None else content.decode("ascii", "replace")
