"""How long an ask for messages may be held open by the hub's `LongPoll`: said with the request, by whoever asks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

HOLD_HEADER = "wardround-hold-ms"
_thread = threading.local()


@contextmanager
def held(seconds: float) -> Iterator[None]:
    """Requests of this thread in the block may be held so long; those of other threads are not touched."""
    _thread.milliseconds = max(0, int(seconds * 1000))
    try:
        yield
    finally:
        del _thread.milliseconds


class HoldInterceptor:
    """Puts the time into a request, as one of a client's interceptors."""

    def intercept(self, context: Any, call_next: Callable[[Any], Any]) -> Any:
        milliseconds = getattr(_thread, "milliseconds", None)
        if milliseconds is not None:
            context.request.headers[HOLD_HEADER] = str(milliseconds)
        return call_next(context)
