"""The process of one site: reads its seat, then answers orders until its parent is gone."""

import json
import os
import queue
import sys
import threading

from wardround.engines.seat import Seat
from wardround.engines.workers import read_frame, write_frame


def main() -> None:
    # Messages own the real stdout; anything a library prints goes to stderr instead.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    first = read_frame(sys.stdin.buffer)
    if first is None:
        return
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    site = Seat.from_json(json.loads(first)).open()
    import wardround.training.loop  # noqa: F401  loaded while the coordinator still prepares the first order

    while True:
        write_frame(answers, site.handle(orders.get()))


def _listen(orders: "queue.SimpleQueue[bytes]") -> None:
    """Ends the process the moment the parent is gone, even in the middle of training: nobody is left to answer."""
    while (data := read_frame(sys.stdin.buffer)) is not None:
        orders.put(data)
    os._exit(0)


if __name__ == "__main__":
    main()
