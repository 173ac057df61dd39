"""A thread of a running clinic that looks for drift every few minutes and keeps the alerts up to date."""

import logging
import threading

from wardround.clinic.intake.desk import Desk
from wardround.clinic.place.acceptance_record import read_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import service_of
from wardround.clinic.store.database import Store
from wardround.clinic.watch.alerts import Alert, refresh_alerts
from wardround.clinic.watch.drift import Drift, drift_of

FIRST_S, EVERY_S = 10.0, 600.0
_LOG = logging.getLogger("wardround.clinic")


def look(clinic: ClinicPlace, store: Store) -> tuple[Drift | None, tuple[Alert, ...]]:
    """The drift of the model in service, None where there is none; and the alerts that last, raised and ended by it."""
    answering = service_of(clinic).answering
    drift = None
    if answering is not None:
        drift = drift_of(store, read_acceptance(clinic, answering.acceptance), clinic.settings.watch, store.clock())
    return drift, refresh_alerts(store, drift)


class Watcher:
    """Looks after `first_s` seconds, then every `every_s`, until it is closed. A look that fails costs nobody an answer."""

    def __init__(self, desk: Desk, *, first_s: float = FIRST_S, every_s: float = EVERY_S) -> None:
        self._desk, self._first_s, self._every_s, self._ending = desk, first_s, every_s, threading.Event()
        self._thread = threading.Thread(target=self._run, name="clinic-watch", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s = self._first_s
        while not self._ending.wait(wait_s):
            wait_s = self._every_s
            try:
                look(self._desk.clinic, self._desk.store)
            except Exception as error:  # noqa: BLE001  the next look comes; the text may quote anything
                _LOG.error("watching failed: %s", type(error).__name__)
