"""Films that lie in a folder are answered as they come: a scanner's export, a share of the archive. They are only read.

A file is taken once it has the same size at two looks. It is known again by its bytes, so that a restart answers nothing twice.
"""

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wardround.clinic.intake.desk import Desk, Sender
from wardround.clinic.store.cases import known_content
from wardround.values.errors import WardroundError

LOOK_S = 1.0
_MOST = 10_000


@dataclass(frozen=True)
class _Look:
    size: int
    changed: int


class WatchedFolder:
    """Looks every LOOK_S while the block runs. refused: files that could not be answered; last: why the latest could not."""

    def __init__(self, desk: Desk, folder: Path, *, look_s: float = LOOK_S) -> None:
        self._desk, self._folder, self._look_s = desk, folder, look_s
        self._looks: dict[str, _Look] = {}
        self._done: set[tuple[str, _Look]] = set()
        self._ends = threading.Event()
        self.refused, self.last = 0, ""
        self._thread = threading.Thread(target=self._run, name="clinic-folder", daemon=True)

    def __enter__(self) -> "WatchedFolder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ends.wait(self._look_s):
            self._guarded(self.look)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, WardroundError) as error:
            self.last = error.what if isinstance(error, WardroundError) else error.strerror or type(error).__name__

    def look(self) -> None:
        """One look: files that did not change since the last are taken in."""
        looks = {}
        for entry in sorted(os.scandir(self._folder), key=lambda entry: entry.name)[:_MOST]:
            status = entry.stat(follow_symlinks=False)  # a link may name any file of this machine
            if stat.S_ISREG(status.st_mode) and not entry.name.startswith("."):
                looks[entry.name] = _Look(status.st_size, status.st_mtime_ns)
        ready = [name for name, seen in looks.items() if self._looks.get(name) == seen and (name, seen) not in self._done]
        self._looks = looks
        for name in ready:
            if self._ends.is_set():
                return
            self._done.add((name, looks[name]))
            self._take(self._folder / name, looks[name].size)

    def _take(self, path: Path, size: int) -> None:
        if self._desk.model_or_none is None:
            self._done = {one for one in self._done if one[0] != path.name}  # it waits until there is a model
            return
        try:
            if size > self._desk.decoders.limits.content_bytes:
                raise WardroundError("The file is too large", hint="export it smaller")
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(descriptor, "rb") as file:
                content = file.read(self._desk.decoders.limits.content_bytes + 1)
            if known_content(self._desk.store, self._desk.mark(content)) is None:
                self._desk.submit(content, Sender("folder", "watched-folder", shown=True))
        except (OSError, WardroundError) as error:
            self.refused += 1
            self.last = error.what if isinstance(error, WardroundError) else error.strerror or type(error).__name__
