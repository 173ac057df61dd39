"""The process that speaks for a hospital: it receives, lets the desk answer, and shows how it stands.

post.serve(desk.answer, stop)    beside it, every few seconds: how the line stands --> service.json, which `site status` reads
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from wardround.site.daemon.desk import SiteDesk
from wardround.site.daemon.home import SiteHome
from wardround.site.daemon.policy import Policy
from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import WardroundError
from wardround.values.home import default_home
from wardround.values.private_files import read_private
from wardround.values.systemd import Unit, proxy_lines
from wardround.wire.sealed import SealedHeader, Topic

FILE = "service.json"
TOLD_EVERY_S = 5.0
_LONGEST = 1 << 16
Answer = Callable[[SealedHeader, bytes], tuple[Topic, bytes] | None]
Limit = Callable[[SealedHeader], int]
MayLeave = Callable[[SealedHeader], bool]


class SiteLine(Protocol):
    """What carries messages to and from this hospital."""

    def serve(self, answer: Answer, stop: threading.Event, limit: Limit, may_leave: MayLeave) -> None:
        """Receives and answers until `stop`. Broken lines are mended inside. limit: bytes that are taken of a message. may_leave:
        whether the answer to a message may still leave."""
        ...

    @property
    def state(self) -> str:
        """How the line stands: "connected", or what is wrong and its mend."""
        ...


@dataclass(frozen=True)
class ServiceState:
    """How the service stood at `at`, seconds since 1970. line: see SiteLine. messages: proved ones since the start."""

    process: int
    at: float
    line: str
    messages: int = 0
    last_message: float = 0.0

    @classmethod
    def of(cls, home: SiteHome) -> "ServiceState | None":
        """What the service wrote last; None where it never ran."""
        content = read_private(home.path / FILE, _LONGEST)
        if content is None:
            return None
        with suppress(ValueError, TypeError):
            return cls(**json.loads(content))
        return None


class SiteService:
    """Runs a hospital's desk over a line until it is told to stop. say: shows a sentence to whoever watches the process."""

    def __init__(self, home: SiteHome, desk: SiteDesk, line: SiteLine, say: Callable[[str], None]) -> None:
        self._home, self._desk, self._line, self._say = home, desk, line, say
        self._messages, self._last = 0, 0.0

    def run(self, stop: threading.Event) -> None:
        """Returns when `stop` is set. The desk is closed afterwards."""
        watch = threading.Thread(target=self._watch, args=(stop,), daemon=True)
        watch.start()
        try:
            self._line.serve(self._answered, stop, self._desk.limit, self._desk.may_leave)
        finally:
            stop.set()
            watch.join(TOLD_EVERY_S)
            self._desk.close()

    def _answered(self, header: SealedHeader, body: bytes) -> tuple[Topic, bytes] | None:
        began = time.monotonic()
        self._messages, self._last = self._messages + 1, time.time()
        try:
            answer = self._desk.answer(header, body)
        except (WardroundError, OSError) as error:  # what cannot be logged is not answered
            self._say(f"study {header.study[:12]}: not answered. {error}")
            return None
        seconds = time.monotonic() - began
        size = 0 if answer is None else len(answer[1])
        self._say(f"study {header.study[:12]}: {header.topic} of {len(body):,} bytes, answered with {size:,} in {seconds:.1f} s")
        return answer

    def _watch(self, stop: threading.Event) -> None:
        """A line that changes is said once; the file tells other processes of this user."""
        before = ""
        while True:
            line = self._line.state
            if line != before:
                self._say(line)
                before = line
            with suppress(WardroundError):  # a full disk is told by the log, which is written first
                state = ServiceState(os.getpid(), time.time(), line, self._messages, self._last)
                write_atomic(self._home.path / FILE, canonical_json(asdict(state)), private=True)
            if stop.wait(TOLD_EVERY_S):
                return


def keep_to(policy: Policy) -> None:
    """Takes no more memory than the policy allows, where the system can say so. Its cores are training's threads, and the unit's
    quota."""
    if policy.memory_gb and sys.platform != "win32":
        import resource

        limit = int(policy.memory_gb * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def unit_text(home: Path, command: str, policy: Policy) -> str:
    """A systemd unit for this service, to be put where its administrator keeps units."""
    limits = [f"CPUQuota={policy.cores * 100}%"] * bool(policy.cores) + [f"MemoryMax={policy.memory_gb:g}G"] * bool(
        policy.memory_gb
    )
    limits += proxy_lines()
    description = "Wardround, this hospital's side of federated studies"
    return Unit(description, (command, "site", "up"), ("WARDROUND_SITE", str(home)), (home, default_home()), limits).text
