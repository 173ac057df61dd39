"""Films in memory, for as long as doctors look at them: the newest, up to a limit of bytes and of age."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from wardround.clinic.intake.film import Film

Clock = Callable[[], float]


class Films:
    """By the id of their case. limit_bytes: of all together. age_s: after which a film is forgotten."""

    def __init__(
        self, limit_bytes: int = 96 << 20, age_s: float = 8 * 3600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._age_s, self._clock = limit_bytes, age_s, clock
        self._films: OrderedDict[str, tuple[float, Film]] = OrderedDict()
        self._bytes, self._lock = 0, threading.Lock()

    def put(self, case_id: str, film: Film) -> None:
        with self._lock:
            self._drop(case_id)
            self._films[case_id] = (self._clock(), film)
            self._bytes += _size(film)
            while self._bytes > self._limit and len(self._films) > 1:
                self._drop(next(iter(self._films)))

    def get(self, case_id: str) -> Film | None:
        """None where it was forgotten, or never was."""
        with self._lock:
            for old in [name for name, (at, _) in self._films.items() if self._clock() - at > self._age_s]:
                self._drop(old)
            kept = self._films.get(case_id)
        return None if kept is None else kept[1]

    def _drop(self, case_id: str) -> None:
        kept = self._films.pop(case_id, None)
        if kept is not None:
            self._bytes -= _size(kept[1])


def _size(film: Film) -> int:
    return film.prepared.nbytes + (0 if film.shown is None else film.shown.pixels.nbytes)
