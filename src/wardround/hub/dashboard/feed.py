"""That something has changed at the hub, for whoever watches: a number that grows."""

import threading


class Feed:
    """Any thread may say that something has changed; whoever watches compares numbers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = 0
        self.closed = False

    @property
    def version(self) -> int:
        return self._version

    def changed(self) -> None:
        """There is something new to show."""
        with self._lock:
            self._version += 1

    def close(self) -> None:
        """Nothing more comes: whoever watches leaves."""
        self.closed = True
        self.changed()
