"""The hub at work: every submitted study in a thread of its own, looked for in the hub's folder.

    studies/HASH appears | a person's wish | a restart  --every second-->  StudyRunner(HASH) in a thread

Commands of other processes leave files; the service finds them. So it does not matter in which order they are started.
"""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from wardround.hub.daemon.home import HubHome
from wardround.hub.daemon.runner import Means, StudyRunner
from wardround.hub.daemon.studies import StudyFolder, folders
from wardround.hub.daemon.study_state import AT_WORK, StudyState
from wardround.values.errors import WardroundError
from wardround.values.home import default_home
from wardround.values.systemd import Unit

LOOK_S = 1.0
_FIRST_FREE_PORT = 1024
AGAIN_S = 30.0
"""After a fault of the disk a study is not begun anew at once."""


@dataclass
class _Watched:
    """A study and the thread that carries it on, if any does. ended: when the last one did, by a clock that never goes back."""

    runner: StudyRunner
    thread: threading.Thread | None = None
    ended: float = field(default=float("-inf"))

    @property
    def busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class HubService:
    """Carries all studies of a hub on. One process at a time may run it: the caller holds `HubHome.in_use`."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._ending = threading.Event()
        self._studies: dict[str, _Watched] = {}
        self.damaged: dict[str, str] = {}
        """Studies whose folder cannot be read, and why."""

    def run(self, stop: threading.Event) -> None:
        """Returns when `stop` is set and every study has halted."""
        self._means.home.log.append("up", "The hub's service began.")
        try:
            while not stop.is_set():
                with suppress(OSError, WardroundError):  # a full disk, a folder that was just moved away: the next look may do
                    self.look()
                stop.wait(LOOK_S)
        finally:
            self.end()

    def look(self) -> None:
        """Begins or goes on with every study that has something to do."""
        for folder in folders(self._means.home):
            try:
                self._look_at(folder)
                self.damaged.pop(folder.hash, None)
            except WardroundError as error:
                self._damaged(folder, error)

    def end(self) -> None:
        """Halts every study where it is. They go on from there in the next process."""
        self._ending.set()
        for watched in self._studies.values():
            if watched.thread is not None:
                watched.thread.join()

    def studies(self) -> list[tuple[StudyFolder, StudyState]]:
        """Every readable study and where it stands, oldest first."""
        return [(watched.runner.folder, watched.runner.state) for watched in self._studies.copy().values()]

    def states(self) -> dict[str, StudyState]:
        """Where every readable study stands, oldest first."""
        return {study: watched.runner.state for study, watched in self._studies.copy().items()}

    def _look_at(self, folder: StudyFolder) -> None:
        watched = self._studies.get(folder.hash)
        if watched is None:
            watched = self._studies[folder.hash] = _Watched(StudyRunner(folder, self._means, self._ending))
            self._means.changed()
        if watched.busy:
            return
        if watched.thread is not None:
            watched.thread, watched.ended = None, time.monotonic()
        if self._has_work(watched):
            watched.thread = threading.Thread(target=watched.runner.run, name=f"study {folder.hash[:12]}", daemon=True)
            watched.thread.start()

    def _has_work(self, watched: _Watched) -> bool:
        wish = watched.runner.folder.wish
        if wish is not None and wish.number > watched.runner.state.wish:
            return True
        return watched.runner.state.phase in AT_WORK and time.monotonic() > watched.ended + AGAIN_S

    def _damaged(self, folder: StudyFolder, error: WardroundError) -> None:
        if self.damaged.get(folder.hash) != str(error):
            self.damaged[folder.hash] = str(error)
            self._means.home.log.append("damaged", str(error), study=folder.hash)
            self._means.changed()


def unit_text(home: HubHome, command: str, user: str) -> str:
    """A systemd unit for `hub up`. A port below 1024 needs a right that only a unit of the whole system can give to `user`."""
    low = home.settings.port < _FIRST_FREE_PORT
    right = ["AmbientCapabilities=CAP_NET_BIND_SERVICE"] if low else []
    folders = (home.path, default_home())
    variable = ("WARDROUND_HUB", str(home.path))
    return Unit("Wardround hub", (command, "hub", "up"), variable, folders, right, user if low else "").text
